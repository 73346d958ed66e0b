//! `version`.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::invocation::Invocation;
use super::output::{say, show};
use super::values::Format;

/// Prints the version of Juju whose rules hold here.
#[derive(Debug, Args)]
pub(crate) struct Version {
    #[arg(long, default_value = "plain")]
    format: Format,
    /// All that is known of it.
    #[arg(long)]
    all: bool,
}

impl Version {
    pub(super) async fn run(self, _at: &Invocation) -> Result<()> {
        let Self { format, all } = self;
        let text = format!(
            "{}-ubuntu-{}",
            juju_model::Juju::default().rules().version,
            crate::package::charm_file::architecture()
        );
        match format {
            Format::Plain | Format::Tabular | Format::Short if !all => say(&text),
            _ if !all => show(&json!(text), format),
            _ => {
                let program = env!("CARGO_PKG_VERSION");
                show(&json!({"version": text, "git-commit": "", "talisman": program}), format)
            }
        }
    }
}
