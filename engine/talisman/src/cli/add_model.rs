//! `add-model`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use juju_model::Juju;

use super::engine::start_engine;
use super::invocation::Invocation;
use super::model_config;
use super::output::tell;
use super::values::key_value;
use crate::client::Client;
use crate::models;

/// Adds a model: an engine of its own that shares only images with the others.
#[derive(Debug, Args)]
pub(crate) struct AddModel {
    name: juju_names::ModelName,
    /// Accepted for Juju's sake; there is one cloud.
    cloud: Option<String>,
    /// Go on using the model in use now.
    #[arg(long)]
    no_switch: bool,
    /// `<option>=<value>`
    #[arg(long, value_parser = key_value)]
    config: Vec<(String, String)>,
    /// Accepted for Juju's sake; there is one controller.
    #[arg(short, long)]
    controller: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    credential: Option<String>,
    /// The Juju whose rules the model has: 3.6 unless said, or 4.0.
    #[arg(long)]
    juju: Option<Juju>,
}

impl AddModel {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (controller, args) = (&at.controller, self);
        let config: BTreeMap<String, String> = args.config.into_iter().collect();
        model_config::warn(config.keys());
        let instance = models::create(&controller.instance, &args.name)?;
        let paths = controller.other(&instance);
        let client = Client::new(&paths.socket());
        if let Err(error) = start_engine(&paths, &client, args.juju).await {
            std::fs::remove_dir_all(&paths.state).ok();
            return Err(error);
        }
        if !config.is_empty() {
            model_config::change(&client, config, Vec::new()).await?;
        }
        if !args.no_switch {
            models::switch(&controller.instance, args.name.as_str())?;
        }
        tell(&format!("Added '{}' model", args.name));
        Ok(())
    }
}
