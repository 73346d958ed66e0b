//! `scale-application`, `add-unit` and `remove-unit`.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use super::output::tell;
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
#[command(after_help = "Example:
  talisman remove-unit hello --num-units 1")]
pub(crate) struct RemoveUnit {
    #[arg(value_parser = app_of_units)]
    app: AppName,
    /// How many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    num_units: u32,
    /// Accepted for Juju's sake; nothing is asked.
    #[arg(long)]
    no_prompt: bool,
    /// Go on even if the last hooks fail.
    #[arg(long)]
    force: bool,
    /// Accepted for Juju's sake, where it does no more on Kubernetes.
    #[arg(long, requires = "force")]
    no_wait: bool,
}

impl RemoveUnit {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (units, force) = (-i64::from(self.num_units), self.force);
        let wanted = at.client()?.ask(Change::ScaleBy { app: self.app, units, force }).await?;
        tell(&format!("scaling down to {wanted} units"));
        Ok(())
    }
}

/// The application whose units are meant; on Kubernetes they are not chosen by name.
fn app_of_units(text: &str) -> Result<AppName, String> {
    if text.contains('/') {
        return Err("the highest numbers go; name the application, and how many".to_owned());
    }
    text.parse().map_err(|error: juju_names::NameError| error.to_string())
}
