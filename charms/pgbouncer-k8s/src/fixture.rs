//! Facts for tests of decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use charm_kit::certificates::{Issuer, Tls};
use charm_kit::credentials::Seed;
use charm_kit::watch::Watchers;
use juju_charm::{
    AppName, Bag, Config, Decision, Hidden, RelationId, SecretOwner, UnitName, Write,
};
use juju_interfaces::Endpoint;
use juju_interfaces::pgb_peers::{AppBag, UnitBag};
use juju_interfaces::postgresql_client::{Request, seen};
use pgbouncer::Ini;
use postgres::RoleName;

use crate::databases::{DatabaseMap, MappedDatabase};
use crate::decide::{Step, decide};
use crate::effect::{ContainerEffect, Effect, File};
use crate::facts::{Backend, Common, DatabaseRelation, Effective, Facts, FullFacts, Login, Peers};
use crate::facts::{Service, ServiceView, Workload};
use crate::names;
use crate::options::Options;
use crate::render::Shape;
use crate::state_keys::{BARRIER, PAUSED};

pub(crate) const PEERS: RelationId = RelationId(1);
pub(crate) const BACKEND: RelationId = RelationId(3);
pub(crate) const CLIENT: RelationId = RelationId(7);

pub(crate) fn app() -> AppName {
    "pgbouncer-k8s".parse().unwrap()
}

pub(crate) fn unit(number: u32) -> UnitName {
    UnitName::new(app(), number)
}

pub(crate) fn options() -> Options {
    Options::parse(&Config::default()).unwrap()
}

pub(crate) fn common(leader: bool) -> Common {
    Common {
        unit: unit(0),
        model: "m".into(),
        leader,
        options: Ok(options()),
        refused: None,
        processes: NonZeroU32::new(2).unwrap(),
        program: "this".to_owned(),
    }
}

pub(crate) fn login() -> Login {
    let host = |role: &str| Endpoint {
        host: format!("postgresql-k8s-{role}.m.svc.cluster.local"),
        port: 5432,
    };
    Login {
        username: "relation_id_3".parse().unwrap(),
        auth_user: "pgbouncer_auth_relation_id_3".parse().unwrap(),
        password: Hidden::from("backend"),
        primary: host("primary"),
        replicas: vec![host("replicas")],
    }
}

pub(crate) fn map(databases: &[(u32, &str)]) -> DatabaseMap {
    let relations = databases
        .iter()
        .map(|(id, name)| {
            (RelationId(*id), MappedDatabase { name: name.parse().unwrap(), legacy: false })
        })
        .collect();
    DatabaseMap { relations, wildcard: None }
}

pub(crate) fn shape() -> Shape<'static> {
    Shape { version: pgbouncer::Version::TRIXIE, share: None, readonly: &[] }
}

pub(crate) fn shared_ini() -> Ini {
    let map = map(&[(7, "waltz")]);
    crate::render::ini::shared(&app(), &options(), Some(&login()), &map, &shape()).unwrap()
}

/// The leader of one unit, in a container that answers but runs nothing, with peers.
pub(crate) fn fresh() -> FullFacts {
    FullFacts {
        common: common(true),
        seed: Seed::new([7; 32], names::PASSWORD_LENGTH),
        peers: Some(Peers {
            id: PEERS,
            app: AppBag::default(),
            databases: None,
            readonly: Vec::new(),
            app_bag: Bag::new(),
            own: UnitBag::default(),
            own_bag: Bag::new(),
            digests: BTreeMap::new(),
        }),
        others: BTreeSet::new(),
        secret: None,
        backend: None,
        clients: Vec::new(),
        legacy: Vec::new(),
        events_pending: false,
        extensions: BTreeSet::new(),
        workload: Some(Workload {
            version: Some(pgbouncer::Version::TRIXIE),
            ..Workload::default()
        }),
        service: Service::Absent,
        effective: Effective::default(),
        now: 1_000,
        barrier: None,
        tls: Tls::none(),
        watchers: Watchers::default(),
        leaving: false,
        paused: None,
        was_paused: false,
        held: None,
    }
}

pub(crate) fn backend() -> Backend {
    Backend {
        id: BACKEND,
        requested: true,
        populated: true,
        problem: None,
        offered: true,
        version: Some("17.5".into()),
        ca: None,
        login: Some(login()),
        server: Some("17.5".into()),
        answers: true,
        connection_budget: None,
        knows_lookup: true,
        lookup: Some(lookup(&[])),
        owned_roles: None,
        databases: None,
    }
}

pub(crate) fn client(id: u32, database: &str) -> DatabaseRelation {
    let secrets = ["username", "password", "uris", "read-only-uris"].map(str::to_owned);
    let request = Request {
        database: Some(database.into()),
        requested_secrets: Some(secrets.to_vec()),
        ..Request::default()
    };
    DatabaseRelation {
        id: RelationId(id),
        app: "waltz".parse().unwrap(),
        echo: seen(&request.render()),
        request: Ok(request),
        own: Bag::new(),
        password: None,
    }
}

/// The text of the lookup that finds these superusers.
pub(crate) fn lookup(superusers: &[RoleName]) -> String {
    postgres::sql::lookup_body(&login().auth_user, superusers)
}

/// The facts after the effects of a decision, as the next hook would gather them.
pub(crate) fn settle(mut facts: FullFacts, decision: &Decision<Effect>) -> FullFacts {
    for effect in &decision.effects {
        settle_one(&mut facts, effect);
    }
    facts
}

fn settle_one(facts: &mut FullFacts, effect: &Effect) {
    let workload = facts.workload.get_or_insert_default();
    match effect {
        Effect::Juju(write) => settle_write(facts, write),
        Effect::Initialise(init) => {
            let backend = facts.backend.as_mut().unwrap();
            backend.knows_lookup = true;
            backend.lookup = Some(lookup(&init.superusers));
        }
        Effect::InstallLookup(made) => {
            facts.backend.as_mut().unwrap().lookup = Some(lookup(&made.superusers));
        }
        Effect::Container(ContainerEffect::PushFiles(files)) => {
            let files = files.iter().map(|file| (file.path.clone(), file.content.clone()));
            workload.files.extend(files);
        }
        Effect::Container(ContainerEffect::PushAgent(version)) => {
            workload.files.insert(version.path.clone(), version.content.clone());
        }
        Effect::Container(ContainerEffect::RemoveFile(path)) => drop(workload.files.remove(path)),
        Effect::Container(ContainerEffect::Replan(layer)) => {
            let enabled = |service: &pebble_client::Service| {
                service.startup == Some(pebble_client::Startup::Enabled)
            };
            workload.plan = Some((**layer).clone());
            workload.planned = layer.services.keys().cloned().collect();
            let names = layer.services.iter().filter(|(_, service)| enabled(service));
            workload.active = names.map(|(name, _)| name.clone()).collect();
        }
        Effect::Confirm(confirm) => facts.effective = confirm.effective.clone(),
        Effect::ApplyService(spec) => {
            facts.service = Service::Present(ServiceView {
                kind: spec.expose.service_type().into(),
                port: spec.port,
                annotations: spec.annotations.clone(),
                endpoints: None,
                connectable: true,
            });
        }
        Effect::GrantLegacy(grant) => {
            for (own, changes) in &grant.bags {
                settle_bag(facts, grant.relation, *own, changes);
            }
        }
        Effect::Grant(grant) => {
            let client = facts.clients.iter_mut().find(|client| client.id == grant.relation);
            let own = &mut client.unwrap().own;
            grant.publish.apply_to(own);
            if grant.account.request.secret {
                own.entry("secret-user".into()).or_insert("secret:x".into());
            } else {
                let (user, password) =
                    (grant.account.request.user.as_str(), grant.account.password.expose());
                own.insert("username".into(), user.into());
                own.insert("password".into(), password.into());
                own.insert("uris".into(), grant.uris.render(user, password).0);
            }
        }
        _ => {}
    }
}

fn settle_write(facts: &mut FullFacts, write: &Write) {
    match write {
        Write::Bag { relation, own, changes } => settle_bag(facts, *relation, *own, changes),
        Write::Version(version) => {
            facts.workload.get_or_insert_default().reported = version.parse().ok();
        }
        Write::State(key, value) if key == BARRIER => {
            facts.barrier = value.as_ref().map(|text| serde_json::from_str(text).unwrap());
        }
        Write::State(key, value) if key == PAUSED => facts.was_paused = value.is_some(),
        Write::State(_, value) => facts.effective = Effective::parse(value.as_ref().unwrap()),
        Write::Secret { content, owner: SecretOwner::App, .. } => {
            facts.secret = Some(content.clone());
        }
        Write::Secret { content, owner: SecretOwner::Unit, .. } => {
            facts.tls = crate::tls::read(content);
        }
        Write::RemoveSecret(label) if label.ends_with(".unit") => facts.tls = Tls::none(),
        _ => {}
    }
}

fn settle_bag(
    facts: &mut FullFacts,
    id: RelationId,
    own: juju_charm::Own,
    changes: &juju_charm::Changes,
) {
    if id == PEERS {
        let peers = facts.peers.as_mut().unwrap();
        if own == juju_charm::Own::App {
            changes.apply_to(&mut peers.app_bag);
            read_app(peers);
        } else {
            changes.apply_to(&mut peers.own_bag);
            peers.own = UnitBag::parse(&peers.own_bag);
        }
    } else if id == BACKEND {
        facts.backend.as_mut().unwrap().requested = true;
    } else {
        if let Some(client) = facts.legacy.iter_mut().find(|client| client.id == id) {
            let bag = if own == juju_charm::Own::App {
                &mut client.own_app
            } else {
                &mut client.own_unit
            };
            return changes.apply_to(bag);
        }
        if let Some(client) = facts.clients.iter_mut().find(|client| client.id == id) {
            changes.apply_to(&mut client.own);
        }
    }
}

/// Reads the peers' application bag, as gather does.
pub(crate) fn read_app(peers: &mut Peers) {
    peers.app = AppBag::parse(&peers.app_bag).unwrap();
    let databases = peers.app.databases.as_ref();
    peers.databases = databases.map(|map| DatabaseMap::parse(map).unwrap());
    let readonly = peers.app.readonly_databases.iter();
    peers.readonly = readonly.map(|name| name.parse().unwrap()).collect();
}

/// A copy of facts, in which no issuer was looked for.
pub(crate) fn copy(facts: &FullFacts) -> FullFacts {
    let tls = Tls { issuer: Issuer::Unknown, ..facts.tls.clone() };
    FullFacts { tls, ..facts.clone() }
}

/// Decides, and returns what the next hook would find.
#[track_caller]
pub(crate) fn step(event: &juju_charm::Event, facts: FullFacts) -> (FullFacts, Decision<Effect>) {
    let facts = Facts::Full(Box::new(facts));
    let decision = decide(event, &facts);
    let Facts::Full(facts) = facts else { unreachable!() };
    (settle(*facts, &decision), decision)
}

/// The leader after pebble-ready, without a backend.
#[track_caller]
pub(crate) fn running() -> FullFacts {
    step(&pebble_ready(), fresh()).0
}

/// The leader after pebble-ready and the first backend-changed.
#[track_caller]
pub(crate) fn ready() -> FullFacts {
    let facts = FullFacts { backend: Some(backend()), ..running() };
    step(&juju_charm::Event::UpdateStatus, facts).0
}

pub(crate) fn pebble_ready() -> juju_charm::Event {
    juju_charm::Event::PebbleReady { container: names::CONTAINER.parse().unwrap() }
}

pub(crate) fn relation(endpoint: &str, kind: juju_charm::RelationKind) -> juju_charm::Event {
    let id = match endpoint {
        "pgb-peers" => PEERS,
        "backend-database" => BACKEND,
        _ => CLIENT,
    };
    juju_charm::Event::Relation(juju_charm::RelationEvent {
        kind,
        endpoint: endpoint.parse().unwrap(),
        id,
        remote_app: Some("other".parse().unwrap()),
        remote_unit: None,
        departing_unit: None,
    })
}

/// The text of a file that a decision pushes.
#[track_caller]
pub(crate) fn pushed<'a>(decision: &'a Decision<Effect>, path: &str) -> &'a str {
    let found = files(decision).find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("{path} is not pushed")).content.expose()
}

/// The files that a decision pushes, in their order.
pub(crate) fn files(decision: &Decision<Effect>) -> impl Iterator<Item = &File> {
    let files = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Container(ContainerEffect::PushFiles(files)) => Some(files),
        _ => None,
    });
    files.flatten()
}

/// The name of a step, for assertions.
pub(crate) fn name(step: &Step) -> &'static str {
    match step {
        Step::Absent => "absent",
        Step::Follower => "follower",
        Step::NotRunning => "not running",
        Step::NotReady => "not ready",
        Step::Initialise(_) => "initialise",
        Step::Ready(_) => "ready",
    }
}
