//! `expose` and `unexpose`.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use crate::api::Change;

/// Shows an application as open to the outside.
#[derive(Debug, Args)]
pub(crate) struct Expose {
    app: AppName,
}

impl Expose {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        at.client()?.ask(Change::Expose { app: self.app, exposed: true }).await.map(drop)
    }
}

/// Shows an application as closed to the outside.
#[derive(Debug, Args)]
pub(crate) struct Unexpose {
    app: AppName,
}

impl Unexpose {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        at.client()?.ask(Change::Expose { app: self.app, exposed: false }).await.map(drop)
    }
}
