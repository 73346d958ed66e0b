//! Facts for tests, from a first unit before its start to a running cluster.

use std::collections::BTreeMap;

use charm_kit::credentials::Seed;
use juju_charm::{Bag, Config, ExposeSecret as _, SecretContent, SecretString};
use juju_interfaces::postgresql_client::Request;
use patroni::{Cluster, Health, Member, Role, Standby, State};
use pebble_client::Plan;
use serde_json::json;

use super::{Container, DatabaseRelation, Facts, Peer};
use crate::layer;
use crate::options::Settings;
use crate::passwords::{self, Passwords};
use crate::patroni_yml;
use crate::resources::Resources;
use crate::topology::Topology;

/// Settings and passwords as they would be rendered.
pub(crate) fn rendering() -> (Settings, Passwords) {
    let facts = new_leader();
    (facts.settings.clone().unwrap(), facts.passwords().unwrap())
}

/// Passwords that name their user.
pub(crate) fn secret() -> SecretContent {
    passwords::SHOWN.iter().map(|user| (passwords::key(user), format!("{user}-secret"))).collect()
}

fn settings() -> Settings {
    let options = json!({
        "profile": "testing", "synchronous_node_count": "all", "synchronous_mode_strict": true,
        "durability_synchronous_commit": "on", "durability_wal_keep_size": 4096,
        "memory_max_prepared_transactions": 0, "instance_max_locks_per_transaction": 64,
    });
    let options = options.as_object().unwrap().clone();
    let machine = Resources { cores: 2, memory: 4_000_000_000 };
    Settings::parse(&Config::new(options), machine).unwrap()
}

/// A container whose Pebble answers and in which nothing was done yet.
pub(crate) fn empty_container() -> Container {
    Container {
        prepared: false,
        system: None,
        unfinished: false,
        aside: false,
        audit: false,
        before_stop: None,
        marks: patroni_yml::Marks::default(),
        config: None,
        passfile: None,
        ca: None,
        plan: Plan::default(),
        running: false,
        health: None,
    }
}

/// `pg/0`, leader, passwords made, container up, nothing started.
pub(crate) fn new_leader() -> Facts {
    let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
    let endpoints = json!(["pg-0.pg-endpoints"]).to_string();
    Facts {
        leader: true,
        planned: 1,
        units: 1,
        seed: Seed::new([7; 32], passwords::LENGTH),
        settings: Ok(settings()),
        peer: Some(Peer {
            id: "1".parse().unwrap(),
            app: Bag::from([("endpoints".to_owned(), endpoints)]),
            own: Bag::new(),
            units: vec!["pg/0".parse().unwrap()],
            leaving: false,
        }),
        secret: secret(),
        container: Some(empty_container()),
        labelled: Some(false),
        ..Facts::bare(topology, "pg/0".parse().unwrap())
    }
}

/// The health of a member whose PostgreSQL runs.
pub(crate) fn running_health() -> Health {
    Health {
        state: State::Running,
        role: None,
        pending_restart: false,
        timeline: None,
        xlog: None,
        postmaster_start_time: None,
        replication_state: None,
        replication: Vec::new(),
    }
}

/// The same seen from a standby that streams.
pub(crate) fn follow(facts: Facts, unit: &str) -> Facts {
    let mut facts = Facts { unit: unit.parse().unwrap(), leader: false, ..facts };
    let health = facts.container.as_mut().unwrap().health.as_mut().unwrap();
    health.replication_state = Some("streaming".to_owned());
    facts
}

/// The same while a standby streams from this unit.
pub(crate) fn feed(mut facts: Facts, pod: &str) -> Facts {
    let health = facts.container.as_mut().unwrap().health.as_mut().unwrap();
    let (application_name, state) = (pod.to_owned(), "streaming".to_owned());
    health.replication.push(Standby { application_name, state });
    facts
}

/// The running container of a unit whose configuration is up to date.
fn running(facts: &Facts) -> Container {
    let settings = facts.settings.clone().unwrap();
    let passwords = facts.passwords().unwrap();
    let config = patroni_yml::render(
        &facts.topology,
        &facts.unit,
        &settings,
        &passwords,
        facts.tls.files.is_some(),
    )
    .unwrap();
    Container {
        prepared: true,
        system: None,
        unfinished: false,
        aside: false,
        audit: false,
        before_stop: Some(facts.program.clone()),
        marks: patroni_yml::Marks::default(),
        config: Some(config),
        passfile: None,
        ca: facts.tls.files.as_ref().map(|files| files.ca.clone()),
        plan: layer::layer(&facts.topology, &facts.unit, facts.tls.files.is_some()),
        running: true,
        health: Some(running_health()),
    }
}

/// A member of `/cluster`.
pub(crate) fn member(name: &str, role: Role, state: State) -> Member {
    Member {
        name: name.to_owned(),
        role,
        state,
        timeline: Some(1),
        lag: None,
        pending_restart: false,
        pending_restart_reason: BTreeMap::new(),
        api_url: format!("http://{name}:8008/patroni"),
    }
}

/// `pg/0`, leader and primary of a cluster of one, all well.
pub(crate) fn steady() -> Facts {
    let mut facts = new_leader();
    let peer = facts.peer.as_mut().unwrap();
    peer.app.insert("cluster_initialised".to_owned(), "True".to_owned());
    peer.own.insert("member".to_owned(), "started".to_owned());
    facts.container = Some(running(&facts));
    facts.labelled = Some(true);
    facts.cluster = Some(Cluster { members: vec![member("pg-0", Role::Leader, State::Running)] });
    let settings = facts.settings.clone().unwrap();
    let dynamic = patroni_yml::dynamic(&settings, patroni_yml::ALONE);
    let mut dynamic = serde_json::to_value(dynamic).unwrap();
    dynamic["slots"] = json!({"pg_0": {"type": "physical"}});
    facts.dynamic = Some(dynamic);
    facts
}

/// The same while an option cannot be used, with the settings of its file in force.
pub(crate) fn refused(facts: Facts) -> Facts {
    let options = json!({"synchronous_mode_strict": true}).as_object().unwrap().clone();
    let config = facts.container.as_ref().and_then(|container| container.config.as_ref());
    let in_force = |text: &SecretString| {
        patroni_yml::in_force(text.expose_secret(), &Config::new(options)).unwrap()
    };
    let in_force = config.map(in_force);
    Facts { settings: Err(vec!["cannot use it".to_owned()]), in_force, ..facts }
}

/// `pg/1` beside [`steady`], let in by the leader, not started.
pub(crate) fn second_unit() -> Facts {
    let mut facts = steady();
    facts.unit = "pg/1".parse().unwrap();
    facts.leader = false;
    facts.planned = 2;
    facts.container = Some(empty_container());
    facts.labelled = Some(true);
    facts.dynamic = None;
    let peer = facts.peer.as_mut().unwrap();
    let hosts = r#"["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#.to_owned();
    peer.app.insert("endpoints".to_owned(), hosts);
    peer.units.push("pg/1".parse().unwrap());
    peer.own.clear();
    facts
}

/// [`steady`] after `pg/1` joined.
pub(crate) fn joined() -> Facts {
    let mut facts = steady();
    facts.planned = 2;
    facts.peer.as_mut().unwrap().units.push("pg/1".parse().unwrap());
    facts
}

/// A client that asked for a database and got nothing yet.
pub(crate) fn client(id: u32, database: &str, roles: &[&str]) -> DatabaseRelation {
    DatabaseRelation {
        id: id.to_string().parse().unwrap(),
        app: Some("shop-app".parse().unwrap()),
        former: None,
        request: Ok(Request {
            database: Some(database.to_owned()),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            requested_secrets: Some(vec!["username".to_owned(), "password".to_owned()]),
            ..Request::default()
        }),
        seen: "{}".to_owned(),
        offered: Bag::new(),
        password: None,
        legacy: None,
    }
}
