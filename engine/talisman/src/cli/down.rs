//! `down`: everything stopped and removed that the engine made.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::invocation::Invocation;
use super::output::{say, tell};
use crate::api::Task;
use crate::client::Client;
use crate::paths::Paths;

/// Stops the engine and everything it started; data and images stay.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Also forget the model and delete its volumes.
    #[arg(long)]
    destroy_storage: bool,
}

impl Down {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        for model in crate::models::all(&at.controller.instance) {
            let paths = at.controller.other(&model.instance);
            down(&paths, &Client::new(&paths.socket()), self.destroy_storage).await?;
        }
        down(&at.controller, &Client::new(&at.controller.socket()), self.destroy_storage).await
    }
}

/// How long pods may take to stop, with what comes after them.
const STOP_SECONDS_MAX: u64 = 60;

/// Stops the engine of one instance and removes what it made, with `destroy` the model and its
/// volumes too.
pub(super) async fn down(paths: &Paths, client: &Client, destroy: bool) -> Result<()> {
    if client.is_running().await {
        tell("stopping the pods");
        let process = client.process().await;
        client.ask(Task::Down).await?;
        if let Some(process) = process {
            ended(process).await?;
        }
    }
    // What a killed engine left behind goes too.
    clear(paths).await?;
    if destroy {
        node::remove_all(&paths.state)
            .with_context(|| format!("cannot remove {}", paths.state.display()))?;
        node::set_uses(&paths.node(), &BTreeSet::new())
            .with_context(|| format!("cannot give up the images in {}", paths.cache.display()))?;
        return say(&format!("Stopped. Kept: images in {}.", paths.cache.display()));
    }
    say(&format!(
        "Stopped. Kept: the model and its volumes in {}, images in {}; `talisman up` brings them back.",
        paths.state.display(),
        paths.cache.display()
    ))
}

/// Waits for the engine's process: its folder goes before it does.
#[expect(
    deprecated,
    reason = "the successor is unsafe, which is forbidden here; an owned descriptor is what it asks for"
)]
async fn ended(process: std::os::fd::OwnedFd) -> Result<()> {
    let process = tokio::io::unix::AsyncFd::new(process).context("cannot watch the engine")?;
    let bound = Duration::from_secs(STOP_SECONDS_MAX);
    let ready = tokio::time::timeout(bound, process.readable()).await;
    drop(ready.with_context(|| format!("timed out: the engine has not ended in {bound:?}"))??);
    Ok(())
}

/// Clears the instance as soon as its engine, if one is ending, has let go of it.
async fn clear(paths: &Paths) -> Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
    loop {
        match crate::daemon::teardown(paths).await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => {
                return result.with_context(|| {
                    format!("cannot stop the engine; see {}", paths.daemon_log().display())
                });
            }
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(node::SweepError::Busy(_)))
}
