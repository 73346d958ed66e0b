//! `ssh`: a command, or a shell, in a container of a unit.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::invocation::Invocation;
use super::units::entered;

/// Runs a command, or a shell, in a container of a unit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman ssh hello/0
  talisman ssh --container workload hello/0 ls /")]
pub(crate) struct Ssh {
    /// The container, the charm's where absent.
    #[arg(long)]
    container: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    no_host_key_checks: bool,
    /// `[<user>@]<unit>`; only root is there.
    target: String,
    /// The command; a shell where absent.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Ssh {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let target = match args.target.split_once('@') {
            Some(("root", target)) => target,
            Some((user, _)) => bail!("cannot enter a container as {user:?}: only root is there"),
            None => &args.target,
        };
        let mut words = args.command.as_slice();
        // Options of ssh itself mean nothing here.
        while let Some((first, rest)) =
            words.split_first().filter(|(word, _)| word.starts_with('-'))
        {
            words = if first == "-o" { rest.get(1..).unwrap_or_default() } else { rest };
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let mut command = entered(&client, target, args.container.as_deref(), terminal).await?;
        if words.is_empty() {
            command.args(["/bin/sh", "-c", "exec $(command -v bash || command -v sh)"]);
        } else {
            command.args(["/bin/sh", "-c", &words.join(" ")]);
        }
        Err(command.exec()).context("cannot run runc: install it")
    }
}
