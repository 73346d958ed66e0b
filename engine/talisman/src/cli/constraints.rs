//! `constraints` and `set-constraints`, and the same of the model.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;
use serde_json::Value;

use super::invocation::Invocation;
use super::output::{say, show, tell};
use super::values::{Format, option_text};
use crate::api::{Change, Read};
use crate::bundle::constraints;

/// Shows the constraints of an application.
#[derive(Debug, Args)]
pub(crate) struct Constraints {
    app: AppName,
    #[arg(long, default_value = "plain")]
    format: Format,
}

impl Constraints {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let shown = at.client()?.ask(Read::Constraints { app: Some(self.app) }).await?;
        print_constraints(&shown, self.format)
    }
}

/// Sets the constraints of an application, for pods that start from now on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman set-constraints hello mem=512M cpu-power=500")]
pub(crate) struct SetConstraints {
    app: AppName,
    /// `mem=512M` and `cpu-power=500`, thousandths of a processor; those that are left out go.
    constraints: Vec<String>,
}

impl SetConstraints {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (constraints, idle) = constraints::parse(&self.constraints)?;
        tell_idle(&idle);
        let request = Change::SetConstraints { app: self.app, constraints };
        at.client()?.ask(request).await.map(drop)
    }
}

/// Shows the constraints of the model.
#[derive(Debug, Args)]
pub(crate) struct ModelConstraints {
    #[arg(long, default_value = "plain")]
    format: Format,
}

impl ModelConstraints {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let shown = at.client()?.ask(Read::Constraints { app: None }).await?;
        print_constraints(&shown, self.format)
    }
}

/// Sets the constraints of applications that are deployed from now on.
#[derive(Debug, Args)]
pub(crate) struct SetModelConstraints {
    /// `mem=512M` and `cpu-power=500`; Juju's others are kept and change nothing.
    constraints: Vec<String>,
}

impl SetModelConstraints {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (_, idle) = constraints::parse(&self.constraints)?;
        tell_idle(&idle);
        let words = constraints::pairs(&self.constraints);
        at.client()?.ask(Change::SetModelConstraints { words }).await.map(drop)
    }
}

/// Constraints as words or as a map.
fn print_constraints(shown: &Value, format: Format) -> Result<()> {
    if matches!(format, Format::Json | Format::Yaml) {
        return show(shown, format);
    }
    let word = |(key, value): (&String, &Value)| format!("{key}={}", option_text(value));
    let words: Vec<String> = shown.as_object().into_iter().flatten().map(word).collect();
    say(&words.join(" "))
}

/// Says which constraints change nothing here.
pub(super) fn tell_idle(keys: &[&str]) {
    for key in keys {
        tell(&format!("the constraint {key} has no effect: there is one machine"));
    }
}
