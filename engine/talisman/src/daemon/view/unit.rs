//! The shape of `juju show-unit --format json`.

use juju_model::{Model, Relation};
use juju_names::UnitName;
use serde_json::{Map, Value, json};

use super::{charm_url, filled, ports};

/// One unit under its name; `None` when there is none.
pub(crate) fn show_unit(model: &Model, name: &UnitName) -> Option<Value> {
    let unit = model.unit(name)?;
    let app = model.application(name.app());
    let related: Vec<Value> =
        model.relations().filter_map(|relation| unit_relation(relation, name)).collect();
    let mut shown = filled([
        ("workload-version", json!(app.map(|app| &app.version))),
        ("charm", json!(app.map(|app| charm_url(app, unit.charm_revision)))),
        ("leader", json!(model.is_leader(name))),
        ("life", json!(unit.life)),
        ("relation-info", Value::Array(related)),
        ("provider-id", json!(name.pod())),
        ("address", json!(unit.address)),
    ]);
    shown["opened-ports"] = json!(ports(unit));
    Some(json!({ name.to_string(): shown }))
}

fn unit_relation(relation: &Relation, name: &UnitName) -> Option<Value> {
    let own = relation.end(name.app())?;
    let remote = relation.remote(name.app())?;
    let none = juju_model::tools::Bag::default();
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
