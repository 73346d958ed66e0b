//! `models`, `show-model` and `switch`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::invocation::Invocation;
use super::output::{print, say, show, tell};
use super::values::Format;
use crate::api::Read;
use crate::client::Client;
use crate::models::{self, FIRST};
use crate::table::Table;

/// Lists the models.
#[derive(Debug, Args)]
#[command(alias = "list-models")]
pub(crate) struct Models {
    /// Their UUIDs too, of those that run.
    #[arg(long)]
    uuid: bool,
    /// Accepted for Juju's sake: all are the operator's.
    #[arg(long)]
    all: bool,
    /// Accepted for Juju's sake: the table has no times.
    #[arg(long)]
    exact_time: bool,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl Models {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (controller, Self { uuid, format, .. }) = (&at.controller, self);
        let current = models::current(&controller.instance);
        let mut all = vec![(FIRST.to_owned(), controller.instance.clone())];
        let added = models::all(&controller.instance);
        all.extend(added.into_iter().map(|model| (model.name.to_string(), model.instance)));
        let mut shown = Vec::new();
        for (name, instance) in all {
            let client = Client::new(&controller.other(&instance).socket());
            let facts = client.ask(Read::ShowModel).await.unwrap_or_default();
            let state = if facts.is_null() { "stopped" } else { "available" };
            let mut model = json!({
                "name": format!("admin/{name}"),
                "short-name": name,
                "controller-name": "talisman",
                "model-type": "caas",
                "owner": "admin",
                "cloud": "localhost",
                "type": "kubernetes",
                "life": "alive",
                "status": {"current": state},
                "is-controller": false,
            });
            if let Some(uuid) = facts.get("uuid") {
                model["model-uuid"] = uuid.clone();
            }
            shown.push(model);
        }
        if !matches!(format, Format::Tabular | Format::Plain | Format::Short) {
            return show(&json!({"models": shown, "current-model": current}), format);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let columns: &[&str] =
            if uuid { &["Model", "UUID", "Status"] } else { &["Model", "Status"] };
        let mut table = Table::new(columns);
        for model in &shown {
            let name = text(&model["short-name"]);
            let mark = if name == current { "*" } else { "" };
            let mut row = vec![format!("{name}{mark}"), text(&model["status"]["current"])];
            if uuid {
                row.insert(1, text(&model["model-uuid"]));
            }
            table.row(row);
        }
        print(&table.to_string())
    }
}

/// Shows a model.
#[derive(Debug, Args)]
pub(crate) struct ShowModel {
    model: Option<String>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowModel {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (controller, Self { model, format }) = (&at.controller, self);
        let instance = models::instance(&controller.instance, model.as_deref())?;
        let client = Client::new(&controller.other(&instance).socket());
        let facts = client.ask(Read::ShowModel).await?;
        let name = facts["name"].as_str().unwrap_or_default();
        let info = json!({
            "name": format!("admin/{name}"),
            "short-name": name,
            "model-uuid": facts["uuid"],
            "model-type": "caas",
            // An engine is its own controller: it has no identity besides its models'.
            "controller-uuid": facts["uuid"],
            "controller-name": "talisman",
            "is-controller": false,
            "owner": "admin",
            "cloud": "localhost",
            "type": "kubernetes",
            "life": "alive",
            "status": {"current": "available", "since": facts["since"]},
            "users": {"admin": {"display-name": "admin", "access": "admin", "last-connection": "just now"}},
            "agent-version": facts["version"],
        });
        show(&json!({ name: info }), format)
    }
}

/// Names the model in use, or uses another one.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    model: Option<String>,
}

impl Switch {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let controller = &at.controller;
        let Some(model) = &self.model else {
            return say(&format!("talisman:admin/{}", models::current(&controller.instance)));
        };
        let before = models::current(&controller.instance);
        models::instance(&controller.instance, Some(model))?;
        models::switch(&controller.instance, models::short(model))?;
        tell(&format!("talisman:admin/{before} -> talisman:admin/{}", models::short(model)));
        Ok(())
    }
}
