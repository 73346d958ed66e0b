//! `show-unit` and `show-application`.

use anyhow::{Result, bail};
use clap::Args;
use juju_names::{AppName, UnitName};
use serde_json::{Map, Value, json};

use super::invocation::Invocation;
use super::output::show;
use super::values::Format;
use crate::api::Read;

/// Shows units with their relation data.
#[derive(Debug, Args)]
pub(crate) struct ShowUnit {
    #[arg(required = true)]
    units: Vec<UnitName>,
    /// Of relations, only the applications' data.
    #[arg(long)]
    app: bool,
    /// Only relations of this endpoint.
    #[arg(long)]
    endpoint: Option<String>,
    /// Of relations, only this related unit's data.
    #[arg(long)]
    related_unit: Option<UnitName>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowUnit {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let mut shown = Map::new();
        let mut missing = Vec::new();
        for unit in &args.units {
            match client.ask(Read::ShowUnit { unit: unit.clone() }).await {
                Ok(one) => shown.extend(one.as_object().cloned().unwrap_or_default()),
                Err(error) => missing.push(error.to_string()),
            }
        }
        if !missing.is_empty() {
            bail!("{}", missing.join("\n"));
        }
        for unit in shown.values_mut() {
            narrow(unit, &args);
            as_go_writes(unit, args.format);
        }
        show(&Value::Object(shown), args.format)
    }
}

/// Shows applications.
#[derive(Debug, Args)]
pub(crate) struct ShowApplication {
    #[arg(required = true)]
    apps: Vec<AppName>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowApplication {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { apps, format }) = (at.client()?, self);
        let mut shown = Map::new();
        let mut missing = Vec::new();
        for app in apps {
            match client.ask(Read::ShowApplication { app: app.clone() }).await {
                Ok(one) => drop(shown.insert(app.to_string(), one)),
                Err(error) => missing.push(error.to_string()),
            }
        }
        if !missing.is_empty() {
            bail!("{}", missing.join("\n"));
        }
        show(&Value::Object(shown), format)
    }
}

/// Leaves of the relations what was asked for.
fn narrow(unit: &mut Value, args: &ShowUnit) {
    // A unit without relations says nothing of them.
    let Some(relations) = unit.get_mut("relation-info").and_then(Value::as_array_mut) else {
        return;
    };
    if let Some(endpoint) = &args.endpoint {
        relations.retain(|relation| relation["endpoint"] == endpoint.as_str());
    }
    for relation in relations.iter_mut().filter_map(Value::as_object_mut) {
        if args.app {
            relation.remove("local-unit");
            relation.remove("related-units");
        }
        if let Some(related) = &args.related_unit {
            relation.remove("local-unit");
            let units = relation.get_mut("related-units").and_then(Value::as_object_mut);
            units
                .into_iter()
                .for_each(|units| units.retain(|name, _| *name == related.to_string()));
        }
        relation.retain(|key, value| key != "related-units" || *value != json!({}));
    }
    if relations.is_empty()
        && let Some(unit) = unit.as_object_mut()
    {
        unit.remove("relation-info");
    }
}

/// What is empty, as Go writes it: a list without ports is `null` in JSON, and what is not in
/// scope has no data there and is not in the YAML at all.
fn as_go_writes(unit: &mut Value, format: Format) {
    let is_json = format == Format::Json;
    if is_json && unit["opened-ports"] == json!([]) {
        unit["opened-ports"] = Value::Null;
    }
    let relations = unit.get_mut("relation-info").and_then(Value::as_array_mut);
    for relation in relations.into_iter().flatten().filter_map(Value::as_object_mut) {
        let absent = json!({"in-scope": false, "data": null});
        let local = relation.entry("local-unit").or_insert_with(|| absent.clone());
        if local["in-scope"] == false && (local["data"] == json!({}) || local["data"].is_null()) {
            *local = absent;
            if !is_json {
                relation.remove("local-unit");
            }
        }
    }
}
