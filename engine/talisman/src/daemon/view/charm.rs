//! What an application's charm declares, and what the operator said about it.

use juju_model::{Application, Model, OptionMeta};
use serde_json::{Map, Value, json};

use super::{BASE, bindings, filled};
use crate::bundle::constraints;

/// The shape of `juju config --format json`.
pub(crate) fn config(app: &Application) -> Value {
    json!({
        "application": app.name,
        "charm": app.charm.name,
        "application-config": {"trust": {
            "default": false,
            "description": "Does this application have access to trusted credentials",
            "source": if app.trust { "user" } else { "default" },
            "type": "bool",
            "value": app.trust,
        }},
        "settings": charm_config(app),
    })
}

/// The options that the charm declares.
fn charm_config(app: &Application) -> Value {
    let option = |name: &String, meta: &OptionMeta| {
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
        if let Some(value) = app.effective(name) {
            shown["value"] = whole(value);
        }
        if let Some(default) = &meta.default {
            shown["default"] = whole(default);
        }
        shown
    };
    let options = app.charm.config.iter().map(|(name, meta)| (name.clone(), option(name, meta)));
    options.collect::<Map<_, _>>().into()
}

/// A float without a fraction as Go writes it: without a point.
fn whole(value: &Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()).filter(|number| number.fract() == 0.0) {
        Some(number) => serde_json::from_str(&format!("{number:.0}")).unwrap_or(json!(number)),
        None => value.clone(),
    }
}

/// The shape of `juju show-application --format json` for one application.
pub(crate) fn show_application(app: &Application) -> Value {
    let limits = constraints::words(&app.constraints).into_iter();
    let limits = limits.map(|(key, value)| (key.to_owned(), value));
    let limits: Map<_, _> = limits
        .chain([("arch".to_owned(), json!(crate::package::charm_file::architecture()))])
        .collect();
    let exposed = match app.exposed {
        // Whatever the charm opens, from everywhere.
        true => json!({"": {"expose-to-cidrs": ["0.0.0.0/0", "::/0"]}}),
        false => Value::Null,
    };
    filled([
        ("charm", json!(app.charm.name)),
        ("base", json!(format!("{}@{}", BASE.0, BASE.1))),
        ("constraints", Value::Object(limits)),
        ("principal", json!(true)),
        ("exposed", json!(app.exposed)),
        ("exposed-endpoints", exposed),
        ("remote", json!(false)),
        ("life", json!(app.life)),
        ("endpoint-bindings", bindings(app)),
    ])
}

/// Applications and relations as a bundle needs them; resources are for who has the files.
pub(crate) fn bundle(model: &Model) -> Value {
    let one = |app: &Application| {
        let words = constraints::words(&app.constraints).into_iter();
        let limits: Map<_, _> = words.map(|(key, value)| (key.to_owned(), value)).collect();
        let from = app.charm_ref.strip_prefix("local:").unwrap_or(&app.charm_ref);
        let shown = json!({
            "charm": from,
            "scale": app.scale,
            "trust": app.trust,
            "settings": charm_config(app),
            "constraints": limits,
            "resources": {},
        });
        (app.name.to_string(), shown)
    };
    let relations = model.relations().filter(|relation| !relation.is_peer());
    let ends = |relation: &juju_model::Relation| -> Vec<String> {
        relation.ends.iter().map(|end| format!("{}:{}", end.app, end.endpoint)).collect()
    };
    json!({
        "applications": model.applications().map(one).collect::<Map<_, _>>(),
        "relations": relations.map(ends).collect::<Vec<_>>(),
    })
}

/// The actions of an application: description, and parameters as one schema each.
pub(crate) fn actions(app: &Application) -> Value {
    let one = |(name, meta): (&String, &juju_model::ActionMeta)| {
        let schema = json!({
            "title": name,
            "type": "object",
            "description": meta.description,
            "properties": meta.params,
            "required": meta.required,
            "additionalProperties": meta.additional_properties,
        });
        (name.clone(), json!({"description": meta.description, "schema": schema}))
    };
    app.charm.actions.iter().map(one).collect::<Map<_, _>>().into()
}

/// The resources of an application, and whether each came with a deploy or a refresh.
pub(crate) fn resources(model: &Model, app: &Application) -> Vec<Value> {
    let came = |name: &String| app.resources.as_ref().is_none_or(|given| given.contains(name));
    let since = app.since.strftime("%Y-%m-%dT%H:%M").to_string();
    let resources = app.charm.resources.iter().map(|(name, meta)| {
        json!({
            "resourceid": format!("{}/{name}", app.name),
            "name": name,
            "type": meta.kind,
            "path": meta.filename,
            "description": meta.description,
            "origin": "upload",
            "username": if came(name) { "admin" } else { "" },
            "used": model.units(&app.name).next().is_some(),
            "revision": if came(name) { since.as_str() } else { "-" },
        })
    });
    resources.collect()
}
