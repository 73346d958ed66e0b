//! A small context with one of everything, and the `check` functions of the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::tools::*;
use names::{AppName, EndpointName, RelationId, SecretId, UnitName};
use serde_json::{Value, json};

use crate::{Call, Output, run};

/// The secret that exists.
pub(crate) const ID: &str = "0123456789abcdefghij";

/// Relation 1 has units, 2 has none and a follower's bag, all three are of endpoint `db`.
#[derive(Default)]
pub(crate) struct Fake {
    relation: bool,
    storage: bool,
    follower: bool,
    stateless: bool,
    no_action: bool,
    effects: Vec<String>,
}

#[track_caller]
fn check_on(mut fake: Fake, args: &[&str], code: u8, stdout: &str, error: &str) {
    let output = run(&mut fake, &call(args, None));
    let stderr = if error.is_empty() { String::new() } else { format!("ERROR {error}\n") };
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{args:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{args:?}");
    assert_eq!(output.code, code, "{args:?}");
}

fn call(args: &[&str], stdin: Option<&str>) -> Call {
    let mut words = args.iter().map(|&word| word.to_owned());
    let tool = words.next().unwrap();
    Call { tool, args: words.collect(), stdin: stdin.map(|text| text.as_bytes().to_vec()) }
}

/// Runs a tool on a plain context.
pub(crate) fn run_tool(args: &[&str], stdin: Option<&str>) -> Output {
    run(&mut Fake::default(), &call(args, stdin))
}

/// Code, standard output and message of a call outside a relation hook.
#[track_caller]
pub(crate) fn check(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake::default(), args, code, stdout, error);
}

/// The same in `db-relation-changed` of `app/0` and `db:1`.
#[track_caller]
pub(crate) fn check_in_relation(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake { relation: true, ..Fake::default() }, args, code, stdout, error);
}

/// The same in a storage hook.
#[track_caller]
pub(crate) fn check_in_storage(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake { storage: true, ..Fake::default() }, args, code, stdout, error);
}

/// The same on a unit that does not lead.
#[track_caller]
pub(crate) fn check_follower(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake { follower: true, ..Fake::default() }, args, code, stdout, error);
}

/// The same on a unit without controller-side state and secrets.
#[track_caller]
pub(crate) fn check_stateless(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake { stateless: true, ..Fake::default() }, args, code, stdout, error);
}

/// The same outside an action.
#[track_caller]
pub(crate) fn check_outside_action(args: &[&str], code: u8, stdout: &str, error: &str) {
    check_on(Fake { no_action: true, ..Fake::default() }, args, code, stdout, error);
}

#[track_caller]
fn check_effects(mut fake: Fake, args: &[&str], stdin: Option<&str>, want: &[&str]) {
    let output = run(&mut fake, &call(args, stdin));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    assert_eq!(output.code, 0, "{args:?}");
    assert_eq!(fake.effects, want, "{args:?}");
}

/// What a call asks of the context.
#[track_caller]
pub(crate) fn check_effect(args: &[&str], want: &[&str]) {
    check_effects(Fake::default(), args, None, want);
}

/// The same in a relation hook.
#[track_caller]
pub(crate) fn check_effect_in_relation(args: &[&str], want: &[&str]) {
    check_effects(Fake { relation: true, ..Fake::default() }, args, None, want);
}

/// The same with standard input.
#[track_caller]
pub(crate) fn check_stdin(args: &[&str], stdin: &str, want: &[&str]) {
    check_effects(Fake::default(), args, Some(stdin), want);
}

fn refused<T>(message: &str) -> Answer<T> {
    Err(ToolError::Refused(message.to_owned()))
}

fn time() -> jiff::Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn status(status: &str, message: &str) -> Status {
    Status { status: status.to_owned(), message: message.to_owned(), since: time() }
}

fn metadata(m: SecretMetadata) -> String {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let owner = m.owner_is_unit.map(|unit| if unit { "unit" } else { "application" });
    let expire = m.expire.map(|time| time.to_string());
    let owner = owner.map(str::to_owned);
    [m.label, m.description, m.rotate, expire, owner].map(dash).join(" ")
}

impl Fake {
    fn done(&mut self, effect: String) -> Answer<()> {
        self.effects.push(effect);
        Ok(())
    }

    fn known(&self, id: &SecretId) -> Answer<()> {
        if id.bare() == ID {
            return Ok(());
        }
        refused(&format!("secret {:?} not found", id.bare()))
    }

    fn acting(&self) -> Answer<()> {
        if self.no_action { refused("not running an action") } else { Ok(()) }
    }
}

impl Context for Fake {
    fn unit(&self) -> UnitName {
        "pg/0".parse().unwrap()
    }
    fn hook_relation(&self) -> HookRelation {
        if !self.relation {
            return HookRelation::default();
        }
        HookRelation {
            relation: Some((RelationId(1), "db".parse().unwrap())),
            remote_unit: Some("app/0".parse().unwrap()),
            remote_app: Some("app".parse().unwrap()),
        }
    }
    fn hook_storage(&self) -> Option<String> {
        self.storage.then(|| "pgdata/0".to_owned())
    }
    fn now(&self) -> jiff::Timestamp {
        time()
    }
    fn relation_ids(&mut self, endpoint: &str) -> Answer<Vec<RelationId>> {
        let known = endpoint == "db";
        Ok(if known { vec![RelationId(1), RelationId(2), RelationId(10)] } else { Vec::new() })
    }
    fn relation_endpoint(&mut self, id: RelationId) -> Answer<EndpointName> {
        match id.0 {
            1 | 2 | 10 => Ok("db".parse().unwrap()),
            _ => Err(ToolError::Usage("relation not found".to_owned())),
        }
    }
    fn relation_list(&mut self, id: RelationId) -> Answer<Vec<UnitName>> {
        let units: &[&str] = if id.0 == 1 { &["app/0", "app/1"] } else { &[] };
        Ok(units.iter().map(|unit| unit.parse().unwrap()).collect())
    }
    fn relation_remote_app(&mut self, _: RelationId) -> Answer<AppName> {
        Ok("app".parse().unwrap())
    }
    fn relation_model(&mut self, _: RelationId) -> Answer<String> {
        Ok("11111111-2222-3333-4444-555555555555".to_owned())
    }
    fn relation_get(&mut self, _: RelationId, of: &Party) -> Answer<Arc<Bag>> {
        match of {
            Party::Unit(unit) if *unit == self.unit() => Ok(Arc::default()),
            Party::Unit(unit) if unit.app().as_str() == "app" => {
                Ok(bag(&[("a", "1"), ("b", "<")]).into())
            }
            Party::App(app) if app.as_str() == "app" => Ok(bag(&[("c", "2")]).into()),
            _ => refused("permission denied"),
        }
    }
    fn relation_set(&mut self, id: RelationId, app: bool, changes: Bag) -> Answer<()> {
        if app && id.0 == 2 {
            return refused("cannot write relation settings");
        }
        let whose = if app { "app" } else { "unit" };
        self.done(format!("relation-set {id} {whose} {changes:?}"))
    }
    fn is_leader(&mut self) -> Answer<bool> {
        Ok(!self.follower)
    }
    fn unit_status(&mut self) -> Answer<Status> {
        Ok(status("active", ""))
    }
    fn app_status(&mut self) -> Answer<(Status, BTreeMap<String, Status>)> {
        if self.follower {
            return refused("finding application status: this unit is not the leader");
        }
        let units = BTreeMap::from([("pg/0".to_owned(), status("active", ""))]);
        Ok((status("blocked", "m"), units))
    }
    fn set_status(&mut self, application: bool, status: &str, message: &str) -> Answer<()> {
        if application && self.follower {
            return refused("this unit is not the leader");
        }
        let whose = if application { "app" } else { "unit" };
        self.done(format!("status {whose} {status} {message}"))
    }
    fn set_application_version(&mut self, version: &str) -> Answer<()> {
        self.done(format!("version {version}"))
    }
    fn log(&mut self, level: &str, message: &str) {
        self.effects.push(format!("log {level} {message}"));
    }
    fn config(&mut self) -> Answer<Arc<Options>> {
        let options = [
            ("title", Some(json!("x"))),
            ("size", Some(json!(7))),
            ("ratio", Some(json!(0.5))),
            ("flag", Some(json!(true))),
            ("none", None),
        ];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value));
        Ok(Arc::new(options.collect()))
    }
    fn goal_state(&mut self) -> Answer<GoalState> {
        let one = |name: &str, status: &str| {
            BTreeMap::from([(name.to_owned(), (status.to_owned(), time()))])
        };
        let relations = BTreeMap::from([("db".to_owned(), one("app", "joined"))]);
        Ok(GoalState { units: one("pg/0", "active"), relations })
    }
    fn network(&mut self, binding: &str, _: Option<RelationId>) -> Answer<NetworkInfo> {
        if !matches!(binding, "db" | "juju-info") {
            return refused(&format!("no network config found for binding {binding:?}"));
        }
        Ok(NetworkInfo {
            bind_address: "10.1.2.3".to_owned(),
            ingress_address: "10.152.183.7".to_owned(),
        })
    }
    fn open_port(&mut self, port: Port) -> Answer<()> {
        let line = format!("open {}/{} {}", port.number, port.protocol, port.endpoint);
        self.done(line.trim_end().to_owned())
    }
    fn close_port(&mut self, port: Port) -> Answer<()> {
        let line = format!("close {}/{} {}", port.number, port.protocol, port.endpoint);
        self.done(line.trim_end().to_owned())
    }
    fn opened_ports(&mut self) -> Answer<Vec<Port>> {
        let port = |number, protocol: &str, endpoint: &str| Port {
            number,
            protocol: protocol.to_owned(),
            endpoint: endpoint.to_owned(),
        };
        Ok(vec![
            port(5432, "tcp", ""),
            port(8008, "tcp", "a"),
            port(8008, "tcp", "b"),
            port(0, "icmp", ""),
        ])
    }
    fn state(&mut self) -> Answer<Bag> {
        Ok(if self.stateless { Bag::new() } else { bag(&[("k", "v"), ("empty", "")]) })
    }
    fn state_change(&mut self, changes: BTreeMap<String, Option<String>>) -> Answer<()> {
        let one = |(key, value): (&String, &Option<String>)| match value {
            Some(value) => format!(" {key}={value}"),
            None => format!(" -{key}"),
        };
        self.done(format!("state{}", changes.iter().map(one).collect::<String>()))
    }
    fn secret_add(&mut self, content: Bag, m: SecretMetadata) -> Answer<SecretId> {
        if m.label.as_deref() == Some("taken") {
            return refused("secret with label \"taken\" already exists");
        }
        self.done(format!("secret-add {content:?} {}", metadata(m)))?;
        Ok(ID.parse().unwrap())
    }
    fn secret_set(&mut self, id: &SecretId, c: Option<Bag>, m: SecretMetadata) -> Answer<()> {
        let content = c.map_or("none".to_owned(), |content| format!("{content:?}"));
        self.done(format!("secret-set {} {content} {}", id.bare(), metadata(m)))
    }
    fn secret_get(
        &mut self,
        id: Option<&SecretId>,
        label: Option<&str>,
        revision: Revision,
    ) -> Answer<Bag> {
        match (id, label) {
            (Some(id), _) => self.known(id)?,
            (None, Some(label)) if label != "l" => {
                return refused(&format!("consumer label {label:?} not found"));
            }
            _ => {}
        }
        self.done(format!("secret-get {revision:?}"))?;
        Ok(bag(&[("password", "aHVzaA==")]))
    }
    fn secret_info(&mut self, id: Option<&SecretId>, _: Option<&str>) -> Answer<SecretInfo> {
        if let Some(id) = id {
            self.known(id)?;
        }
        Ok(SecretInfo {
            id: ID.parse().unwrap(),
            revision: 2,
            label: "l".to_owned(),
            owner: "application".to_owned(),
            description: String::new(),
            rotation: "never".to_owned(),
            rotates: Some(time()),
            expiry: Some(time()),
            access: vec![("app-x".to_owned(), "relation-1".to_owned(), "view".to_owned())],
        })
    }
    fn secret_ids(&mut self) -> Answer<Vec<SecretId>> {
        Ok(if self.stateless { Vec::new() } else { vec![ID.parse().unwrap()] })
    }
    fn secret_grant(
        &mut self,
        id: &SecretId,
        relation: RelationId,
        unit: Option<&UnitName>,
    ) -> Answer<()> {
        self.known(id)?;
        let unit = unit.map_or("-".to_owned(), ToString::to_string);
        self.done(format!("grant {} {relation} {unit}", id.bare()))
    }
    fn secret_revoke(
        &mut self,
        id: &SecretId,
        relation: Option<RelationId>,
        of: Option<&Party>,
    ) -> Answer<()> {
        let relation = relation.map_or("-".to_owned(), |id| id.to_string());
        let of = match of {
            None => "-".to_owned(),
            Some(Party::Unit(unit)) => unit.to_string(),
            Some(Party::App(app)) => app.to_string(),
        };
        self.done(format!("revoke {} {relation} {of}", id.bare()))
    }
    fn secret_remove(&mut self, id: &SecretId, revision: Option<u32>) -> Answer<()> {
        self.done(format!("remove {} {revision:?}", id.bare()))
    }
    fn action_params(&mut self) -> Answer<Value> {
        self.acting()?;
        Ok(json!({ "name": "x", "a": { "b": [1] } }))
    }
    fn action_set(&mut self, results: Vec<(String, String)>) -> Answer<()> {
        self.acting()?;
        let all: String = results.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        self.done(format!("action{all}"))
    }
    fn action_fail(&mut self, message: &str) -> Answer<()> {
        self.done(format!("fail {message}"))
    }
    fn action_log(&mut self, message: &str) -> Answer<()> {
        self.done(format!("action-log {message}"))
    }
    fn storage_add(&mut self, name: &str, count: u32) -> Answer<()> {
        self.done(format!("storage-add {name} {count}"))
    }
    fn storage_list(&mut self, name: Option<&str>) -> Answer<Vec<String>> {
        let known = name.is_none_or(|name| name == "pgdata");
        Ok(if known { vec!["pgdata/0".to_owned()] } else { Vec::new() })
    }
    fn storage_get(&mut self, id: &str) -> Answer<StorageInfo> {
        if id != "pgdata/0" {
            return refused("permission denied");
        }
        Ok(StorageInfo {
            id: id.to_owned(),
            kind: "filesystem".to_owned(),
            location: "/data".to_owned(),
        })
    }
    fn resource_get(&mut self, name: &str) -> Answer<String> {
        match name {
            "image" => Ok("/resources/image".to_owned()),
            _ => refused(&format!("could not download resource: {name}")),
        }
    }
}
