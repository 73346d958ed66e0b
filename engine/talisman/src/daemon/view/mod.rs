//! The model as Juju's JSON: `status`, and what the other verbs that only look show.

mod charm;
mod operations;
pub(crate) mod secret;
mod storage;
mod unit;

use jiff::Timestamp;
use juju_model::tools::Status;
use juju_model::{AgentStatus, Application, Model, Relation, Role, Unit};
use juju_names::AppName;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub(crate) use charm::{actions, bundle, config, resources, show_application};
pub(crate) use operations::action;
pub(crate) use storage::storage;
pub(crate) use unit::show_unit;

/// The base that every charm container stands for, whatever it is made of.
const BASE: (&str, &str) = ("ubuntu", "22.04");
/// The space that all endpoints are bound to.
const SPACE: &str = "alpha";

/// The shape of `juju status --format json`, and beside it `relations`, which Juju shows in its
/// table only.
pub(crate) fn status(model: &Model, now: Timestamp) -> Value {
    let applications: Map<String, Value> =
        model.applications().map(|app| (app.name.to_string(), application(model, app))).collect();
    json!({
        "model": {
            "name": model.name(),
            "type": "caas",
            "controller": "talisman",
            "cloud": "localhost",
            "version": model.juju().rules().version,
            "model-status": {"current": "available", "since": since(model, now)},
        },
        "machines": {},
        "applications": applications,
        "relations": relations(model),
        "storage": storage(model, true),
        "controller": {"timestamp": now.strftime("%H:%M:%SZ").to_string()},
    })
}

/// Since when the model is there: it was available from the start.
pub(crate) fn since(model: &Model, now: Timestamp) -> String {
    juju_time(model.since().unwrap_or(now))
}

/// An object without what is empty: Juju leaves it out.
fn filled<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let kept = pairs.into_iter().filter(|(_, value)| !is_empty(value));
    Value::Object(kept.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn application(model: &Model, app: &Application) -> Value {
    let units: Map<String, Value> =
        model.units(&app.name).map(|found| (found.name.to_string(), unit(model, found))).collect();
    let scale = if app.scale == 0 { Value::Null } else { json!(app.scale) };
    let mut shown = filled([
        ("charm", json!(charm_url(app, app.charm_revision))),
        ("charm-name", json!(app.charm.name)),
        ("charm-origin", json!("local")),
        ("charm-rev", json!(app.charm_revision)),
        ("base", json!({"name": BASE.0, "channel": BASE.1})),
        ("scale", scale),
        ("provider-id", json!(provider_id(model, app))),
        ("address", json!(app.address)),
        ("exposed", json!(app.exposed)),
        ("life", json!(app.life)),
        ("relations", app_relations(model, &app.name)),
        ("units", Value::Object(units)),
        ("version", json!(app.version)),
        ("endpoint-bindings", bindings(app)),
    ]);
    shown["application-status"] =
        model.app_status(&app.name).as_ref().map_or(Value::Null, status_value);
    shown
}

/// What stands for the application in the cluster: the same for its whole life, and another one
/// for the next application of that name.
fn provider_id(model: &Model, app: &Application) -> String {
    let text = format!("{} {} {}", model.uuid(), app.name, app.since);
    let digest = Sha256::digest(text);
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The space of each endpoint, and of those that are to come.
fn bindings(app: &Application) -> Value {
    let named = app.charm.endpoints().map(|(name, _)| name.as_str());
    let extra = app.charm.extra_bindings.iter().map(String::as_str);
    let all = named.chain(extra).chain(["", "juju-info"]);
    all.map(|name| (name.to_owned(), json!(SPACE))).collect::<Map<_, _>>().into()
}

/// Juju's name of a charm that did not come from its store.
fn charm_url(app: &Application, revision: u32) -> String {
    format!("local:{}-{revision}", app.charm.name)
}

fn unit(model: &Model, unit: &Unit) -> Value {
    // That a hook has failed shows in the workload's status; Juju calls the agent idle meanwhile.
    let (current, message) = match unit.agent.status {
        AgentStatus::Error => (AgentStatus::Idle, ""),
        current => (current, unit.agent_message()),
    };
    let agent = filled([
        ("current", json!(current)),
        ("message", json!(message)),
        ("since", json!(juju_time(unit.agent.since))),
        ("version", json!(model.juju().rules().version)),
    ]);
    let outdated = model.application(unit.name.app()).filter(|_| model.is_outdated(&unit.name));
    let leads = model.is_leader(&unit.name);
    filled([
        ("workload-status", status_value(&unit.status())),
        ("juju-status", agent),
        ("leader", if leads { json!(true) } else { Value::Null }),
        ("upgrading-from", json!(outdated.map(|app| charm_url(app, unit.charm_revision)))),
        ("open-ports", json!(ports(unit))),
        ("address", json!(unit.address)),
        ("provider-id", json!(unit.name.pod())),
    ])
}

fn ports(unit: &Unit) -> Vec<String> {
    let mut ports: Vec<String> =
        unit.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
    ports.dedup();
    ports
}

fn status_value(status: &Status) -> Value {
    filled([
        ("current", json!(status.status)),
        ("message", json!(status.message)),
        ("since", json!(juju_time(status.since))),
    ])
}

/// A time as Juju's statuses have it.
pub(crate) fn juju_time(at: Timestamp) -> String {
    at.strftime("%d %b %Y %H:%M:%SZ").to_string()
}

fn app_relations(model: &Model, app: &AppName) -> Value {
    let mut by_endpoint: Map<String, Value> = Map::new();
    for relation in model.relations() {
        let (Some(own), Some(remote)) = (relation.end(app), relation.remote(app)) else { continue };
        let entry = by_endpoint.entry(own.endpoint.to_string()).or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!({
                "related-application": remote.app,
                "interface": own.interface,
                "scope": "global",
            }));
        }
    }
    Value::Object(by_endpoint)
}

fn relations(model: &Model) -> Vec<Value> {
    let describe = |relation: &Relation| {
        let side = |role: Role| relation.ends.iter().find(|end| end.role == role);
        let provider = side(Role::Provider).or(relation.ends.first())?;
        let requirer = side(Role::Requirer).or(relation.ends.first())?;
        Some(json!({
            "provider": format!("{}:{}", provider.app, provider.endpoint),
            "requirer": format!("{}:{}", requirer.app, requirer.endpoint),
            "interface": provider.interface,
            "type": if relation.is_peer() { "peer" } else { "regular" },
            "message": if relation.life == juju_model::Life::Dying { "removing" } else { "" },
        }))
    };
    model.relations().filter_map(describe).collect()
}
