//! `resolve`.

use anyhow::{Result, bail};
use clap::Args;
use juju_names::UnitName;

use super::invocation::Invocation;
use crate::api::Change;

/// Retries failed hooks.
#[derive(Debug, Args)]
#[command(alias = "resolved")]
pub(crate) struct Resolve {
    #[arg(required_unless_present = "all")]
    units: Vec<UnitName>,
    /// Those of all units.
    #[arg(long, conflicts_with = "units")]
    all: bool,
    /// Mark the hooks as done instead of running them again.
    #[arg(long)]
    no_retry: bool,
}

impl Resolve {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, retry) = (at.client()?, !self.no_retry);
        if self.all {
            return client.ask(Change::ResolveAll { retry }).await.map(drop);
        }
        let mut refused = Vec::new();
        for unit in self.units {
            if let Err(error) = client.ask(Change::Resolve { unit, retry }).await {
                refused.push(error.to_string());
            }
        }
        match refused.is_empty() {
            true => Ok(()),
            false => bail!("{}", refused.join("\n")),
        }
    }
}
