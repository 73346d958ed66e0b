//! `destroy-model`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tokio::time::Instant;

use super::down::down;
use super::invocation::Invocation;
use super::values::duration;
use crate::api::{Change, Read};
use crate::client::Client;
use crate::models;

/// Removes a model with its applications.
#[derive(Debug, Args)]
pub(crate) struct DestroyModel {
    name: String,
    /// Accepted for Juju's sake; nothing is asked.
    #[arg(long, alias = "yes", short_alias = 'y')]
    no_prompt: bool,
    /// Delete the volumes too; needed when there are any.
    #[arg(long)]
    destroy_storage: bool,
    /// Do not wait for the units' last hooks.
    #[arg(long)]
    force: bool,
    /// Accepted for Juju's sake: --force waits for nothing.
    #[arg(long, requires = "force")]
    no_wait: bool,
    /// How long the last hooks may take.
    #[arg(short, long, value_parser = duration, default_value = "60s")]
    timeout: Duration,
}

impl DestroyModel {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (controller, args) = (&at.controller, self);
        let instance = models::instance(&controller.instance, Some(&args.name))?;
        let paths = controller.other(&instance);
        let client = Client::new(&paths.socket());
        let has_volumes = std::fs::read_dir(paths.state.join("volumes"))
            .is_ok_and(|mut volumes| volumes.next().is_some());
        if has_volumes && !args.destroy_storage {
            bail!(
                "cannot destroy model {:?}: it has volumes, which would be lost; add --destroy-storage",
                args.name
            );
        }
        if client.is_running().await && !args.force {
            remove_applications(&client, args.timeout).await?;
        }
        down(&paths, &client, true).await
    }
}

async fn remove_applications(client: &Client, bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    let mut asked = false;
    loop {
        let status = client.ask(Read::Status).await?;
        let left: Vec<String> = status["applications"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if !asked {
            for app in &left {
                let (app, force, wait) = (app.parse()?, false, true);
                let request = Change::RemoveApplication { app, force, wait };
                client.ask(request).await?;
            }
            asked = true;
        }
        if Instant::now() > deadline {
            bail!("timed out: {} did not leave; add --force to go on without", left.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
