//! `daemon`.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;

/// Runs the engine in the foreground.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Daemon {}

impl Daemon {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        crate::daemon::run(at.controller.clone()).await
    }
}
