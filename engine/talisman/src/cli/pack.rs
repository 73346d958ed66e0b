//! `pack`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use super::output::say;

/// Packs a charm folder into a .charm file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman pack charms/my-charm --dispatch target/release/my-charm
  talisman pack ./my-python-charm

A folder with src/charm.py needs no --dispatch: what its requirements.txt names is installed
beside it with `python3 -m pip`, for the Python of the charm container.")]
pub(crate) struct Pack {
    folder: PathBuf,
    /// The charm's program; absent for a charm written in Python.
    #[arg(long)]
    dispatch: Option<PathBuf>,
    /// What a charm written in Python needs, where its folder has no requirements.txt or
    /// names packages that have no wheels.
    #[arg(long, conflicts_with = "dispatch")]
    requirements: Option<PathBuf>,
    /// Where the file goes.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

impl Pack {
    pub(super) async fn run(self, _at: &Invocation) -> Result<()> {
        let Self { folder, dispatch, requirements, out } = self;
        let packed = match dispatch {
            Some(dispatch) => crate::package::pack::pack(&folder, &dispatch, &out)?,
            None => crate::package::pack_python::pack(&folder, requirements.as_deref(), &out)?,
        };
        say(&packed.display().to_string())
    }
}
