//! Options of Juju that choose a charm in its store, or a place for it.

use clap::Args;

use super::constraints::tell_idle;
use super::output::tell;

/// Options of Juju that choose a charm in its store, or a place for it.
#[derive(Debug, Args)]
pub(crate) struct Store {
    /// Accepted for Juju's sake: a local charm is in no channel.
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Accepted for Juju's sake: a charm's container has one base.
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// Accepted for Juju's sake: a local charm has no revisions.
    #[arg(long)]
    pub(crate) revision: Option<String>,
    /// `mem=512M` and `cpu-power=500`, thousandths of a processor, for each workload container.
    #[arg(long)]
    pub(crate) constraints: Vec<String>,
    /// Accepted for Juju's sake: volumes are folders without a size.
    #[arg(long)]
    pub(crate) storage: Vec<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    pub(crate) force: bool,
}

impl Store {
    /// Says which of the options that were given change nothing.
    pub(crate) fn tell_without_effect(&self, constraints: &[&str]) {
        let reasons = [
            (self.channel.is_some(), "--channel", "a local charm is in no channel"),
            (self.base.is_some(), "--base", "a charm's container has one base"),
            (self.revision.is_some(), "--revision", "a local charm has no revisions"),
            (!self.storage.is_empty(), "--storage", "volumes are folders without a size"),
        ];
        for (_, option, reason) in reasons.iter().filter(|(given, ..)| *given) {
            tell(&format!("{option} has no effect: {reason}"));
        }
        tell_idle(constraints);
    }
}
