//! `resources` and `attach-resource`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use juju_names::AppName;
use serde_json::{Value, json};

use super::invocation::Invocation;
use super::output::{print, show, tell};
use super::refresh::{CharmChange, refresh};
use super::values::{Format, key_value, unit};
use crate::api::Read;
use crate::table::Table;

/// Lists the resources of an application or unit.
#[derive(Debug, Args)]
#[command(alias = "list-resources")]
pub(crate) struct Resources {
    /// `<application>` or `<application>/<number>`
    target: String,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl Resources {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { target, format }) = (at.client()?, self);
        let name = target.split('/').next().unwrap_or(&target);
        let app: AppName = name
            .parse()
            .map_err(|_| anyhow::anyhow!("{target:?} is neither an application nor a unit"))?;
        if target.contains('/') {
            let unit = unit(&target).map_err(anyhow::Error::msg)?;
            client.ask(Read::ShowUnit { unit }).await?;
        }
        let all = client.ask(Read::Resources { app }).await?;
        let all = all.as_array().cloned().unwrap_or_default();
        if all.is_empty() {
            tell("No resources to display.");
            return Ok(());
        }
        if matches!(format, Format::Json | Format::Yaml) {
            return show(&json!({ "resources": all }), format);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut table = Table::new(&["Resource", "Supplied by", "Revision"]);
        for one in &all {
            table.row(vec![text(&one["name"]), text(&one["username"]), text(&one["revision"])]);
        }
        print(&table.to_string())
    }
}

/// Gives an application another file or image for a resource.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman attach-resource hello notes=./notes.txt")]
pub(crate) struct AttachResource {
    app: AppName,
    /// `<resource>=<file>`
    #[arg(value_parser = key_value)]
    resource: (String, String),
}

impl AttachResource {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        // The charm stays, and units get the resource with a new pod.
        let change = CharmChange {
            app: self.app,
            charm: None,
            resource: vec![self.resource],
            forced: false,
            config: BTreeMap::new(),
            trust: false,
        };
        refresh(at, change).await
    }
}
