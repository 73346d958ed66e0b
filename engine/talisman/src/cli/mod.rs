//! The command line: one file a verb, or a noun whose verbs share their body.

mod actions;
mod add_model;
mod completion;
mod config;
mod constraints;
mod daemon;
mod debug_log;
mod deploy;
mod destroy_model;
mod down;
mod engine;
mod exec;
mod export_bundle;
mod expose;
mod forward;
mod help_hook_commands;
mod images;
mod invocation;
mod measurements;
mod model_config;
mod models;
mod operations;
mod output;
mod pack;
mod page;
mod patience;
#[cfg(test)]
mod recorded;
mod refresh;
mod relations;
mod remove_application;
mod resolve;
mod resources;
mod run;
mod scale;
mod scp;
mod secrets;
mod show;
mod show_status_log;
mod ssh;
mod status;
mod storage;
mod store;
mod task;
mod trust;
mod units;
mod unpack;
mod up;
mod user_secrets;
mod values;
mod version;
mod wait_for;

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::paths::Paths;
use invocation::Invocation;
pub(crate) use output::{refused, tell, usage, write_to};
use values::Format;

/// Runs Juju charms on one machine with real parts.
#[derive(Debug, Parser)]
#[command(name = "talisman", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  talisman up bundle.yaml
  talisman status
  talisman config pgbouncer-k8s pool_mode=transaction
  talisman run data-integrator/0 get-credentials")]
pub(crate) struct Cli {
    /// The engine to talk to; two instances share nothing but images.
    #[arg(long, global = true, env = "TALISMAN_INSTANCE", default_value = "default", value_parser = instance)]
    pub(crate) instance: String,
    /// The model, the one in use where absent.
    #[arg(short, long, global = true, env = "JUJU_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    /// Accepted for Juju's sake: nobody logs in.
    #[arg(short = 'B', long, global = true, hide = true)]
    pub(crate) no_browser_login: bool,
    /// Where image trees are kept.
    #[arg(long, global = true, env = "TALISMAN_CACHE", hide = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Where Pebble and the hook tools are.
    #[arg(long, global = true, env = "TALISMAN_LIB", hide = true)]
    pub(crate) lib: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

fn instance(text: &str) -> Result<String, String> {
    let fits = (1..=8).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("use one to eight lower-case letters and digits".to_owned())
    }
}

/// The verbs: each is a type in the file that is named, with its arguments and its body.
macro_rules! verbs {
    ($($file:ident::$verb:ident),* $(,)?) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($verb($file::$verb),)*
            Completion(completion::Completion),
        }

        impl Command {
            async fn run(self, at: &Invocation) -> Result<()> {
                match self {
                    $(Self::$verb(verb) => verb.run(at).await,)*
                    Self::Completion(verb) => verb.run(command()),
                }
            }
        }
    };
}

verbs! {
    up::Up,
    down::Down,
    deploy::Deploy,
    refresh::Refresh,
    relations::Integrate,
    relations::RemoveRelation,
    remove_application::RemoveApplication,
    scale::ScaleApplication,
    config::Config,
    trust::Trust,
    status::Status,
    show::ShowUnit,
    run::Run,
    debug_log::DebugLog,
    resolve::Resolve,
    model_config::ModelConfig,
    forward::Forward,
    page::Page,
    images::Images,
    pack::Pack,
    measurements::Measurements,
    actions::Actions,
    actions::ShowAction,
    resources::Resources,
    resources::AttachResource,
    storage::Storage,
    storage::ShowStorage,
    constraints::Constraints,
    constraints::SetConstraints,
    constraints::ModelConstraints,
    constraints::SetModelConstraints,
    expose::Expose,
    expose::Unexpose,
    show_status_log::ShowStatusLog,
    export_bundle::ExportBundle,
    help_hook_commands::HelpHookCommands,
    version::Version,
    add_model::AddModel,
    destroy_model::DestroyModel,
    models::Models,
    models::ShowModel,
    models::Switch,
    scale::AddUnit,
    scale::RemoveUnit,
    show::ShowApplication,
    exec::Exec,
    ssh::Ssh,
    scp::Scp,
    wait_for::WaitFor,
    operations::Operations,
    operations::ShowOperation,
    operations::ShowTask,
    operations::CancelTask,
    secrets::Secrets,
    secrets::ShowSecret,
    user_secrets::AddSecret,
    user_secrets::UpdateSecret,
    user_secrets::GrantSecret,
    user_secrets::RevokeSecret,
    user_secrets::RemoveSecret,
    daemon::Daemon,
}

/// The verbs with their options.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommands(output::with_file)
}

/// Carries out one command line.
pub(crate) async fn perform(cli: Cli) -> Result<()> {
    let controller = Paths::new(&cli.instance, cli.cache, cli.lib);
    cli.command.run(&Invocation::new(controller, cli.model)).await
}

/// The format of a command's result: the one that was asked for, or the verb's own.
pub(crate) fn format(matches: &clap::ArgMatches) -> Option<Format> {
    let (_, verb) = matches.subcommand()?;
    verb.try_get_one::<Format>("format").ok().flatten().copied()
}

/// The file that a command's result was asked to go to.
pub(crate) fn file(matches: &clap::ArgMatches) -> Option<PathBuf> {
    let (_, verb) = matches.subcommand()?;
    verb.try_get_one::<PathBuf>("output").ok().flatten().cloned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definitions_hold_together() {
        super::command().debug_assert();
    }
}
