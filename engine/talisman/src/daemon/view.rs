//! The model as Juju's JSON: `status` and `show-unit`.

use jiff::Timestamp;
use model::tools::Status;
use model::{Action, Application, Model, Relation, Role, Unit};
use names::{AppName, UnitName};
use serde_json::{Map, Value, json};

/// The shape of `juju status --format json`.
pub(crate) fn status(model: &Model, now: Timestamp) -> Value {
    let applications: Map<String, Value> =
        model.applications().map(|app| (app.name.to_string(), application(model, app))).collect();
    json!({
        "model": {
            "name": model.name(),
            "uuid": model.uuid(),
            "type": "caas",
            "controller": "talisman",
            "cloud": "localhost",
            "version": model::JUJU_VERSION,
            "model-status": {"current": "available", "since": juju_time(now)},
        },
        "machines": {},
        "applications": applications,
        "relations": relations(model),
        "storage": {},
        "controller": {"timestamp": now.strftime("%H:%M:%SZ").to_string()},
    })
}

fn application(model: &Model, app: &Application) -> Value {
    let shown: Map<String, Value> =
        model.units(&app.name).map(|found| (found.name.to_string(), unit(model, found))).collect();
    let mut value = json!({
        "charm": charm_url(app),
        "charm-name": app.charm.name,
        "charm-origin": "local",
        "charm-rev": app.charm_revision,
        "base": {"name": "ubuntu", "channel": "22.04"},
        "scale": app.scale,
        "provider-id": app.name,
        "address": app.address.clone().unwrap_or_default(),
        "exposed": false,
        "life": app.life,
        "application-status": model.app_status(&app.name).as_ref().map(status_value),
        "relations": app_relations(model, &app.name),
        "version": app.version,
        "endpoint-bindings": {},
    });
    if !shown.is_empty() {
        value["units"] = Value::Object(shown);
    }
    value
}

/// Juju's name of a charm that did not come from its store.
fn charm_url(app: &Application) -> String {
    format!("local:{}-{}", app.charm.name, app.charm_revision)
}

fn unit(model: &Model, unit: &Unit) -> Value {
    let mut value = json!({
        "workload-status": status_value(&unit.status()),
        "juju-status": {
            "current": unit.agent.status,
            "message": unit.agent_message(),
            "since": juju_time(unit.agent.since),
            "version": model::JUJU_VERSION,
        },
        "address": unit.address.clone().unwrap_or_default(),
        "provider-id": unit.name.pod(),
        "open-ports": ports(unit),
    });
    if model.is_leader(&unit.name) {
        value["leader"] = json!(true);
    }
    value
}

fn ports(unit: &Unit) -> Vec<String> {
    let mut ports: Vec<String> =
        unit.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
    ports.dedup();
    ports
}

fn status_value(status: &Status) -> Value {
    json!({
        "current": status.status,
        "message": status.message,
        "since": juju_time(status.since),
    })
}

fn juju_time(at: Timestamp) -> String {
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
            "message": if relation.life == model::Life::Dying { "removing" } else { "" },
        }))
    };
    model.relations().filter_map(describe).collect()
}

/// The shape of `juju show-unit --format json`.
pub(crate) fn show_unit(model: &Model, name: &UnitName) -> Option<Value> {
    let unit = model.unit(name)?;
    let related: Vec<Value> =
        model.relations().filter_map(|relation| unit_relation(relation, name)).collect();
    let mut shown = Map::new();
    shown.insert(
        name.to_string(),
        json!({
            "opened-ports": ports(unit),
            "charm": model.application(name.app()).map(charm_url),
            "leader": model.is_leader(name),
            "life": unit.life,
            "relation-info": related,
            "provider-id": name.pod(),
            "address": unit.address,
        }),
    );
    Some(Value::Object(shown))
}

fn unit_relation(relation: &Relation, name: &UnitName) -> Option<Value> {
    let own = relation.end(name.app())?;
    let remote = relation.remote(name.app())?;
    let none = model::tools::Bag::default();
    let bag = |unit: &UnitName| relation.unit_bags.get(unit).map_or(&none, |bag| &bag.values);
    let related: Map<String, Value> = relation
        .scope
        .iter()
        .filter(|unit| unit.app() == &remote.app && *unit != name)
        .map(|unit| (unit.to_string(), json!({"in-scope": true, "data": bag(unit)})))
        .collect();
    let mut value = json!({
        "relation-id": relation.id,
        "endpoint": own.endpoint,
        "related-endpoint": remote.endpoint,
        "application-data": relation.app_bags.get(&remote.app).map_or(&none, |bag| &bag.values),
        "local-unit": {"in-scope": relation.scope.contains(name), "data": bag(name)},
    });
    if !related.is_empty() {
        value["related-units"] = Value::Object(related);
    }
    Some(value)
}

/// An action as `run --format json` shows it.
pub(crate) fn action(action: &Action) -> Value {
    let log: Vec<String> = action
        .log
        .iter()
        .map(|line| format!("{} {}", line.at.strftime("%H:%M:%S"), line.message))
        .collect();
    json!({
        "id": action.id.to_string(),
        "unit": action.unit,
        "action": action.name,
        "status": action.status,
        "message": action.message,
        "results": action.results,
        "log": log,
        "timing": {
            "enqueued": action.enqueued,
            "started": action.started,
            "completed": action.completed,
        },
    })
}

/// An application's options as `config --format json` shows them.
pub(crate) fn config(app: &Application) -> Value {
    let effective = app.effective_config();
    let option = |name: &String, meta: &model::OptionMeta| {
        let source = match (app.config.contains_key(name), &meta.default) {
            (true, _) => "user",
            (false, Some(_)) => "default",
            (false, None) => "unset",
        };
        let mut shown = json!({
            "description": meta.description,
            "source": source,
            "type": meta.kind,
        });
        if let Some(Some(value)) = effective.get(name) {
            shown["value"] = value.clone();
        }
        if let Some(default) = &meta.default {
            shown["default"] = default.clone();
        }
        shown
    };
    let settings: Map<String, Value> =
        app.charm.config.iter().map(|(name, meta)| (name.clone(), option(name, meta))).collect();
    json!({
        "application": app.name,
        "charm": app.charm.name,
        "application-config": {"trust": {"value": app.trust, "default": false, "type": "bool"}},
        "settings": settings,
    })
}
