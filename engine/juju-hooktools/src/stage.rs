//! A small model with one of everything, and the `check` functions of the tables.
//!
//! `pg/0` leads. Relation 1 has the units of `app`, 2 and 10 have none; all three are of `db`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use juju_model::tools::{Bag, Port, SecretMetadata};
use juju_model::{
    CharmMeta, Deploy, Grant, Hook, HookOutcome, HookRun, Model, Owner, RelationEnd, RelationEvent,
    Role, Session, ToolCall,
};
use juju_names::{RelationId, SecretId, UnitName};
use serde_json::{Value, json};

use crate::{Response, run};

/// The secret that `pg` owns.
pub(crate) const ID: &str = "0123456789abcdefghij";
/// A secret of another, which has a newer revision than the one that `pg/0` tracks.
pub(crate) const OTHER: &str = "1123456789abcdefghij";
/// The keys that Juju keeps in the bag of `pg/0`, as JSON has them.
pub(crate) const KEYS: &str = "\"egress-subnets\":\"10.152.183.7/32\",\
    \"ingress-address\":\"10.152.183.7\",\"private-address\":\"10.152.183.7\"";

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const NOW: Timestamp = Timestamp::constant(1_795_168_800, 0);

const METADATA: &str = "
name: pg
provides: {db: {interface: i}}
extra-bindings: {a: , b: }
storage:
  pgdata: {type: filesystem, location: /data}
  more: {type: filesystem, location: /more, multiple: {range: 0-}}
resources: {image: {type: oci-image}}
";
const CONFIG: &str = "
options:
  title: {type: string, default: x}
  size: {type: int, default: 7}
  ratio: {type: float, default: 0.5}
  flag: {type: boolean, default: true}
  none: {type: string}
";
const ACTIONS: &str = "act: {params: {name: {type: string}, a: {type: object}}}";

/// The hook in which a tool is called, and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// `update-status` of a unit that leads.
    Leader,
    /// The same of one that does not lead.
    Follower,
    /// `db-relation-changed` of `app/0` and `db:1`.
    Relation,
    /// `pgdata-storage-attached`.
    Storage,
    /// The action `act`.
    Action,
    /// `update-status` of a unit without state and secrets.
    Bare,
}

/// A hook that runs.
pub(crate) struct Stage {
    model: Model,
    run: HookRun,
    session: Session,
}

fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn event(remote: &str) -> RelationEvent {
    let (endpoint, remote_app) = ("db".parse().unwrap(), remote.parse().unwrap());
    RelationEvent { id: RelationId(1), endpoint, remote_app }
}

/// A hook whose charm does only this.
fn play(model: &mut Model, name: &str, hook: Hook, act: impl FnOnce(&mut ToolCall)) {
    let run = model.given_hook(&unit(name), hook);
    let mut session = model.begin(&run, NOW);
    act(&mut model.tools(&mut session, NOW));
    model.finish(run, session, HookOutcome::Exited(0), NOW).unwrap();
}

fn deploy(model: &mut Model, name: &str, metadata: &str, units: u32) {
    let parse = |text: &str| serde_saphyr::from_str(text).unwrap();
    let (config, actions) = (serde_saphyr::from_str(CONFIG), serde_saphyr::from_str(ACTIONS));
    let charm = CharmMeta::from_parts(parse(metadata), config.ok(), actions.ok()).unwrap();
    let (app, charm_ref, config) = (name.parse().unwrap(), String::new(), BTreeMap::new());
    model.deploy(NOW, Deploy { app, charm, charm_ref, units, config, trust: false }).unwrap();
    for number in 0..units {
        let unit = unit(&format!("{name}/{number}"));
        model.unit_address(&unit, Some(format!("10.1.2.{}", number + 3)));
    }
    model.lease_passes(&unit(&format!("{name}/0")));
}

/// Applications and what is between them.
static RELATED: LazyLock<Model> = LazyLock::new(|| {
    let mut model = Model::new("dev".parse().unwrap(), UUID.to_owned(), 7);
    deploy(&mut model, "pg", METADATA, 1);
    deploy(&mut model, "app", "name: app", 2);
    model.service_address(&"pg".parse().unwrap(), "10.152.183.7".to_owned());
    for (id, endpoint) in [(1, "db"), (2, "db2"), (10, "db10")] {
        let end = |app: &str, endpoint: &str, role| RelationEnd {
            app: app.parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            role,
            interface: "i".to_owned(),
        };
        let ends = vec![end("app", endpoint, Role::Requirer), end("pg", "db", Role::Provider)];
        model.given_relation(NOW, RelationId(id), ends);
    }
    play(&mut model, "pg/0", Hook::RelationCreated { relation: event("app") }, |_| {});
    for name in ["app/0", "app/1"] {
        play(&mut model, name, Hook::RelationCreated { relation: event("pg") }, |_| {});
        let joined = Hook::RelationJoined { relation: event("app"), unit: unit(name) };
        play(&mut model, "pg/0", joined, |_| {});
    }
    play(&mut model, "app/0", Hook::UpdateStatus, |tools| {
        tools.relation_set(RelationId(1), false, bag(&[("a", "1"), ("b", "<")])).unwrap();
        tools.relation_set(RelationId(1), true, bag(&[("c", "2")])).unwrap();
    });
    model
});

/// The same with what `pg/0` has set, and secrets.
static WHOLE: LazyLock<Model> = LazyLock::new(|| {
    let mut model = RELATED.clone();
    let (own, other): (SecretId, SecretId) = (ID.parse().unwrap(), OTHER.parse().unwrap());
    let content = |value: &str| Some(bag(&[("password", value)]));
    let app = || "pg".parse().unwrap();
    let reader = || vec![Grant { unit: None, app: app(), relation: None }];
    model.given_secret(NOW, &own, Owner::App(app()), content("b2xk"), Vec::new());
    model.given_secret(NOW, &other, Owner::Model, content("b2xk"), reader());
    play(&mut model, "pg/0", Hook::UpdateStatus, |tools| {
        tools.status_set(false, "active", "").unwrap();
        tools.status_set(true, "blocked", "m").unwrap();
        tools.leader_set(bag(&[("a", "1")])).unwrap();
        let state = [("k", "v"), ("empty", "")];
        let state = state.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        tools.state_set(state.into()).unwrap();
        for (protocol, number, endpoint) in
            [("tcp", 5432, ""), ("tcp", 8008, "a"), ("tcp", 8008, "b"), ("icmp", 0, "")]
        {
            let (protocol, endpoint) = (protocol.to_owned(), endpoint.to_owned());
            tools.open_port(Port { protocol, number, endpoint }).unwrap();
        }
        let metadata = SecretMetadata {
            label: Some("l".to_owned()),
            rotate: Some("daily".to_owned()),
            expire: Some(NOW),
            ..SecretMetadata::default()
        };
        tools.secret_set(&own, content("aHVzaA=="), metadata).unwrap();
        tools.secret_grant(&own, RelationId(1), None).unwrap();
        tools.secret_get(Some(&other), None, juju_model::tools::Revision::Tracked).unwrap();
    });
    model.given_secret(NOW, &other, Owner::Model, content("bmV3"), reader());
    model.take_log();
    model
});

impl Stage {
    /// A hook that begins.
    pub(crate) fn at(at: At) -> Self {
        let mut model = if at == At::Bare { RELATED.clone() } else { WHOLE.clone() };
        let own = unit("pg/0");
        let hook = match at {
            At::Leader | At::Bare => Hook::UpdateStatus,
            At::Follower => {
                model.lease_ends(own.app());
                Hook::UpdateStatus
            }
            At::Relation => {
                Hook::RelationChanged { relation: event("app"), unit: Some(unit("app/0")) }
            }
            At::Storage => Hook::StorageAttached { storage: "pgdata/0".to_owned() },
            At::Action => {
                let Value::Object(params) = json!({ "name": "x", "a": { "b": [1] } }) else {
                    unreachable!()
                };
                let id = model.enqueue_action(NOW, &own, "act", params).unwrap();
                Hook::Action { id, action: "act".to_owned() }
            }
        };
        let run = model.given_hook(&own, hook);
        let session = model.begin(&run, NOW);
        model.take_log();
        Self { model, run, session }
    }

    /// Calls a tool.
    pub(crate) fn call(&mut self, args: &[&str], stdin: Option<&str>) -> Response {
        let mut tools = self.model.tools(&mut self.session, NOW);
        run(&mut tools, args[0], &args[1..], stdin.map(str::as_bytes))
    }

    /// Code, standard output and message of a call.
    #[track_caller]
    pub(crate) fn check(&mut self, args: &[&str], code: u8, stdout: &str, error: &str) {
        let response = self.call(args, None);
        let stderr = if error.is_empty() { String::new() } else { format!("ERROR {error}\n") };
        assert_eq!(String::from_utf8_lossy(&response.stderr), stderr, "{args:?}");
        assert_eq!(String::from_utf8_lossy(&response.stdout), stdout, "{args:?}");
        assert_eq!(response.code, code, "{args:?}");
    }

    /// Calls a tool that is not refused, and gives what it prints.
    #[track_caller]
    pub(crate) fn calls(&mut self, args: &[&str], stdin: Option<&str>) -> String {
        let response = self.call(args, stdin);
        assert_eq!(String::from_utf8_lossy(&response.stderr), "", "{args:?}");
        String::from_utf8(response.stdout).unwrap()
    }

    /// Ends the hook well and begins another.
    pub(crate) fn next(mut self) -> Self {
        self.model.finish(self.run, self.session, HookOutcome::Exited(0), NOW).unwrap();
        let run = self.model.given_hook(&unit("pg/0"), Hook::UpdateStatus);
        let session = self.model.begin(&run, NOW);
        Self { model: self.model, run, session }
    }

    /// The model, for what no tool reads.
    pub(crate) fn model(&mut self) -> &mut Model {
        &mut self.model
    }
}

/// A call in a hook of a kind.
#[track_caller]
pub(crate) fn check_at(at: At, args: &[&str], code: u8, stdout: &str, error: &str) {
    Stage::at(at).check(args, code, stdout, error);
}

/// A call in `update-status` of a unit that leads.
#[track_caller]
pub(crate) fn check(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_at(At::Leader, args, code, stdout, error);
}

/// What a tool of the next hook prints after a call.
#[track_caller]
pub(crate) fn check_left(args: &[&str], stdin: Option<&str>, read: &[&str], want: &str) {
    let mut stage = Stage::at(At::Leader);
    stage.calls(args, stdin);
    assert_eq!(stage.next().calls(read, None), want, "{args:?} and {read:?}");
}
