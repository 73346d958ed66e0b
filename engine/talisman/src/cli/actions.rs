//! `actions` and `show-action`: what a charm declares.

use anyhow::{Result, bail};
use clap::Args;
use juju_names::AppName;
use serde_json::{Map, Value, json};

use super::invocation::Invocation;
use super::output::{print, say, show, tell, yaml};
use super::values::Format;
use crate::api::Read;
use crate::table::Table;

/// Lists the actions of an application.
#[derive(Debug, Args)]
#[command(alias = "list-actions")]
pub(crate) struct Actions {
    app: AppName,
    /// The parameters too, as a schema.
    #[arg(long)]
    schema: bool,
    /// A table where absent, or YAML with --schema.
    #[arg(long)]
    format: Option<Format>,
}

impl Actions {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { app, schema, format }) = (at.client()?, self);
        let all = client.ask(Read::CharmActions { app: app.clone() }).await?;
        let all = all.as_object().cloned().unwrap_or_default();
        if schema {
            let schemas: Map<_, _> =
                all.into_iter().map(|(name, one)| (name, one["schema"].clone())).collect();
            return show(&Value::Object(schemas), format.unwrap_or(Format::Yaml));
        }
        let described = |one: &Value| match one["description"].as_str().unwrap_or_default().trim() {
            "" => "No description".to_owned(),
            text => text.to_owned(),
        };
        if let Some(format @ (Format::Json | Format::Yaml)) = format {
            let short: Map<_, _> =
                all.iter().map(|(name, one)| (name.clone(), json!(described(one)))).collect();
            return show(&Value::Object(short), format);
        }
        if all.is_empty() {
            tell(&format!("No actions defined for {app}."));
            return Ok(());
        }
        let mut table = Table::new(&["Action", "Description"]);
        for (name, one) in &all {
            let mut cell = name.clone();
            for line in described(one).lines() {
                table.row(vec![std::mem::take(&mut cell), line.to_owned()]);
            }
        }
        print(&table.to_string())
    }
}

/// Shows an action with its parameters.
#[derive(Debug, Args)]
pub(crate) struct ShowAction {
    app: AppName,
    action: String,
}

impl ShowAction {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { app, action }) = (at.client()?, self);
        let all = client.ask(Read::CharmActions { app }).await?;
        let Some(one) = all.get(&action) else {
            bail!("unknown action {action:?}");
        };
        let mut arguments = Map::new();
        for (name, schema) in one["schema"]["properties"].as_object().into_iter().flatten() {
            let mut shown = json!({"type": schema["type"], "description": schema["description"]});
            if let Some(default) = schema.get("default") {
                shown["default"] = default.clone();
            }
            arguments.insert(name.clone(), shown);
        }
        say(&format!("{}\n\nArguments", one["description"].as_str().unwrap_or_default()))?;
        print(&yaml(&arguments)?)
    }
}
