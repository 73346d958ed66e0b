//! `scale-application`, `add-unit` and `remove-unit`.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use super::output::tell;
use super::values::Removal;
use crate::api::Change;

/// Sets the number of units.
#[derive(Debug, Args)]
pub(crate) struct ScaleApplication {
    app: AppName,
    units: u32,
}

impl ScaleApplication {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { app, units } = self;
        at.client()?.ask(Change::Scale { app: app.clone(), units }).await?;
        tell(&format!("{app} scaled to {units} units"));
        Ok(())
    }
}

/// Adds units.
#[derive(Debug, Args)]
pub(crate) struct AddUnit {
    app: AppName,
    #[arg(short = 'n', long, default_value_t = 1)]
    num_units: u32,
}

impl AddUnit {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let units = i64::from(self.num_units);
        at.client()?.ask(Change::ScaleBy { app: self.app, units, force: false }).await.map(drop)
    }
}

/// Removes units, the highest numbers first.
#[derive(Debug, Args)]
pub(crate) struct RemoveUnit {
    app: AppName,
    #[arg(short = 'n', long, default_value_t = 1)]
    num_units: u32,
    #[command(flatten)]
    removal: Removal,
}

impl RemoveUnit {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (units, force) = (-i64::from(self.num_units), self.removal.force);
        at.client()?.ask(Change::ScaleBy { app: self.app, units, force }).await.map(drop)
    }
}
