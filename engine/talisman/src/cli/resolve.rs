//! `resolve`.

use anyhow::Result;
use clap::Args;
use juju_names::UnitName;

use super::invocation::Invocation;
use crate::api::Change;

/// Retries a failed hook.
#[derive(Debug, Args)]
#[command(alias = "resolved")]
pub(crate) struct Resolve {
    unit: UnitName,
    /// Mark the hook as done instead of running it again.
    #[arg(long)]
    no_retry: bool,
}

impl Resolve {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        at.client()?.ask(Change::Resolve { unit: self.unit, retry: !self.no_retry }).await.map(drop)
    }
}
