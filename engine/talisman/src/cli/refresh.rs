//! `refresh`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use juju_names::AppName;
use serde_json::Value;

use super::config;
use super::deploy::{ensure_images, resources};
use super::invocation::Invocation;
use super::output::tell;
use super::store::Store;
use super::values::key_value;
use crate::api::{self, Read, Task};
use crate::client::Client;
use crate::paths::Paths;

/// Gives an application another revision of its charm.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman refresh my-charm --path ./my-charm.charm")]
pub(crate) struct Refresh {
    app: AppName,
    /// The charm folder or .charm file.
    #[arg(long)]
    path: PathBuf,
    /// `<option>=<value>`, or a YAML file of options.
    #[arg(long)]
    config: Vec<String>,
    /// Give the charm access to the Kubernetes API.
    #[arg(long)]
    trust: bool,
    /// `<resource>=<file>`; resources that are not named stay as they are.
    #[arg(long, value_parser = key_value)]
    resource: Vec<(String, String)>,
    /// Does not wait for units whose hook has failed.
    #[arg(long)]
    force_units: bool,
    /// Accepted for Juju's sake: a charm's container has one base.
    #[arg(long)]
    force_base: bool,
    #[command(flatten)]
    store: Store,
}

impl Refresh {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        self.store.tell_without_effect(&[]);
        let change = CharmChange {
            forced: self.force_units || self.store.force,
            config: config::typed(&self.config, self.app.as_str())?,
            app: self.app,
            charm: Some(self.path),
            resource: self.resource,
            trust: self.trust,
        };
        refresh(at, change).await
    }
}

/// What changes of an application with another charm, or with other resources alone.
pub(super) struct CharmChange {
    pub(super) app: AppName,
    pub(super) charm: Option<PathBuf>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) forced: bool,
    pub(super) config: BTreeMap<String, String>,
    pub(super) trust: bool,
}

/// Gives an application another charm, or other resources alone.
pub(super) async fn refresh(at: &Invocation, change: CharmChange) -> Result<()> {
    let (paths, client) = (&at.paths()?, &at.client()?);
    let CharmChange { app, charm, resource, forced, config, trust } = change;
    let (charm, resources) = match charm {
        Some(charm) => {
            let meta = crate::package::charm_file::read(&charm)?;
            (Some(std::path::absolute(charm)?), resources(paths, &meta, resource).await?)
        }
        None => (None, attached(paths, client, &app, resource).await?),
    };
    let request = api::Refresh { app, charm, resources, forced, config, trust };
    let held = client.ask(Task::Refresh(request)).await?;
    for unit in held.as_array().into_iter().flatten().filter_map(Value::as_str) {
        tell(&format!(
            "{unit} keeps its charm while its hook has failed; resolve it, or refresh with --force-units"
        ));
    }
    Ok(())
}

/// The files of resources of the charm that an application has.
async fn attached(
    paths: &Paths,
    client: &Client,
    app: &AppName,
    typed: Vec<(String, String)>,
) -> Result<BTreeMap<String, PathBuf>> {
    let known = client.ask(Read::Resources { app: app.clone() }).await?;
    let mut files = BTreeMap::new();
    let mut images = Vec::new();
    for (name, file) in typed {
        let all = known.as_array().into_iter().flatten();
        let mut named = all.clone().filter(|one| one["name"] == name.as_str());
        let Some(one) = named.next() else {
            let names: Vec<&str> = all.filter_map(|one| one["name"].as_str()).collect();
            bail!(
                "cannot attach {name:?}: the charm of {app} has the resources {}",
                names.join(", ")
            );
        };
        let path = std::path::absolute(file)?;
        if one["type"] == "oci-image" {
            images.push(path.clone());
        }
        files.insert(name, path);
    }
    ensure_images(paths, images.iter()).await?;
    Ok(files)
}
