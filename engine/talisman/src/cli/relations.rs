//! `integrate` and `remove-relation`.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use super::output::Usage;
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
#[command(after_help = "Examples:
  talisman remove-relation pgbouncer-k8s:backend-database postgresql-k8s:database
  talisman remove-relation 4 --force")]
pub(crate) struct RemoveRelation {
    /// The two applications, as `integrate` names them, or the relation's id.
    #[arg(required = true, num_args = 1..=2)]
    relation: Vec<String>,
    /// Go on even if hooks of the relation fail.
    #[arg(long)]
    force: bool,
}

impl RemoveRelation {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { relation, force } = self;
        let request = match relation.as_slice() {
            [a, b] => Change::RemoveRelation { a: a.clone(), b: b.clone(), force },
            words => {
                let id = words.first().and_then(|id| id.parse().ok()).ok_or_else(|| {
                    Usage("cannot remove a relation: name two applications, or its id".to_owned())
                })?;
                Change::RemoveRelationById { id, force }
            }
        };
        at.client()?.ask(request).await.map(drop)
    }
}
