//! `integrate` and `remove-relation`.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use crate::api::Change;

/// Relates two applications.
#[derive(Debug, Args)]
#[command(
    alias = "relate",
    after_help = "Example:
  talisman integrate pgbouncer-k8s:backend-database postgresql-k8s:database"
)]
pub(crate) struct Integrate {
    a: String,
    b: String,
}

impl Integrate {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { a, b } = self;
        at.client()?.ask(Change::Integrate { a, b }).await.map(drop)
    }
}

/// Ends a relation.
#[derive(Debug, Args)]
pub(crate) struct RemoveRelation {
    a: String,
    b: String,
    /// Accepted for Juju's sake.
    #[arg(long)]
    force: bool,
}

impl RemoveRelation {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { a, b, .. } = self;
        at.client()?.ask(Change::RemoveRelation { a, b }).await.map(drop)
    }
}
