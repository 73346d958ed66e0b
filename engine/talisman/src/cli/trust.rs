//! `trust`.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use crate::api::Change;

/// Grants an application access to the Kubernetes API.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    app: AppName,
    /// Withdraw the access.
    #[arg(long)]
    remove: bool,
    /// Accepted for Juju's sake; the engine knows one cluster.
    #[arg(long, default_value = "cluster")]
    scope: String,
}

impl Trust {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        at.client()?.ask(Change::Trust { app: self.app, trusted: !self.remove }).await.map(drop)
    }
}
