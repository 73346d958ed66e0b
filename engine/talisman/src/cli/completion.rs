//! `completion`.

use anyhow::Result;
use clap::Args;

/// Prints a shell's completion script.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    shell: clap_complete::Shell,
}

impl Completion {
    /// `command` is the program's whole command line.
    pub(super) fn run(self, mut command: clap::Command) -> Result<()> {
        clap_complete::generate(self.shell, &mut command, "talisman", &mut std::io::stdout());
        Ok(())
    }
}
