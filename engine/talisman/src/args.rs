//! The command line as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use names::{AppName, UnitName};

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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the engine and, with a bundle, deploys it and waits until all is active.
    Up(Up),
    /// Stops the engine and everything it started; data and images stay.
    Down(Down),
    /// Deploys a charm folder, a .charm file or a bundle.
    Deploy(Deploy),
    /// Gives an application another revision of its charm.
    #[command(after_help = "Example:
  talisman refresh my-charm --path ./my-charm.charm")]
    Refresh {
        app: AppName,
        /// The charm folder or .charm file.
        #[arg(long)]
        path: PathBuf,
        /// `<resource>=<file>`; resources that are not named stay as they are.
        #[arg(long, value_parser = key_value)]
        resource: Vec<(String, String)>,
        /// Does not wait for units whose hook has failed.
        #[arg(long)]
        force_units: bool,
        /// Accepted for Juju's sake: a charm's container has one base.
        #[arg(long)]
        force_base: bool,
        #[command(flatten)]
        store: Store,
    },
    /// Relates two applications.
    #[command(
        alias = "relate",
        after_help = "Example:
  talisman integrate pgbouncer-k8s:backend-database postgresql-k8s:database"
    )]
    Integrate { a: String, b: String },
    /// Ends a relation.
    RemoveRelation {
        a: String,
        b: String,
        /// Accepted for Juju's sake.
        #[arg(long)]
        force: bool,
    },
    /// Removes an application and its units; its volumes stay.
    RemoveApplication {
        apps: Vec<AppName>,
        #[command(flatten)]
        removal: crate::args_juju::Removal,
    },
    /// Sets the number of units.
    ScaleApplication { app: AppName, units: u32 },
    /// Shows or changes an application's options.
    #[command(after_help = "Examples:
  talisman config pgbouncer-k8s
  talisman config pgbouncer-k8s pool_mode
  talisman config pgbouncer-k8s pool_mode=transaction max_db_connections=50
  talisman config pgbouncer-k8s --reset pool_mode")]
    Config(Config),
    /// Grants an application access to the Kubernetes API.
    Trust(Trust),
    /// Shows the model.
    Status(Status),
    /// Shows one unit with its relation data.
    ShowUnit(ShowUnit),
    /// Runs an action and waits for its result.
    #[command(after_help = "Example:
  talisman run data-integrator/0 get-credentials --format json")]
    Run(Run),
    /// Shows the model's log.
    DebugLog(DebugLog),
    /// Retries a failed hook.
    #[command(alias = "resolved")]
    Resolve {
        unit: UnitName,
        /// Mark the hook as done instead of running it again.
        #[arg(long)]
        no_retry: bool,
    },
    /// Shows or changes the model's options.
    ModelConfig {
        /// `<option>` to read, `<option>=<value>` to change.
        settings: Vec<String>,
        /// Options to set back to their defaults.
        #[arg(long, value_delimiter = ',')]
        reset: Vec<String>,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Makes a service reachable on a loopback port of this host.
    #[command(after_help = "Example:
  talisman forward 6432 pgbouncer-k8s-service:6432")]
    Forward { port: u16, target: ForwardTarget },
    /// Serves a page that shows the model live, on a loopback port, and prints its address.
    Page {
        /// The port, any free one where absent.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Lists the images that are built, with their age; with definitions, builds those that are
    /// not.
    #[command(after_help = "Examples:
  talisman images
  talisman images images/*.yaml
  talisman images --refresh
  talisman images --prune

Running units keep the build that they were made from until their application is refreshed:
  talisman refresh my-app --path ./my-app.charm")]
    Images(Images),
    /// Packs a charm folder into a .charm file.
    #[command(after_help = "Examples:
  talisman pack charms/my-charm --dispatch target/release/my-charm
  talisman pack ./my-python-charm

A folder with src/charm.py needs no --dispatch: what its requirements.txt names is installed
beside it with `python3 -m pip`, for the Python of the charm container.")]
    Pack {
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
    },
    /// Replaces a unit's pod by a new one, as when Kubernetes moves it.
    #[command(hide = true)]
    DeletePod { unit: UnitName },
    /// Prints what the hooks have cost so far, as JSON.
    Measurements,
    /// Prints a shell's completion script.
    Completion { shell: clap_complete::Shell },
    #[command(flatten)]
    Juju(crate::args_juju::Juju),
    /// Runs the engine in the foreground.
    #[command(hide = true)]
    Daemon,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// A bundle to deploy.
    pub(crate) bundle: Option<PathBuf>,
    /// `<port>:<service>:<service port>`: a loopback port of the host for a service.
    #[arg(long, value_parser = forward)]
    pub(crate) forward: Vec<(u16, ForwardTarget)>,
    /// How long to wait, in seconds.
    #[arg(long, default_value_t = 300)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Also forget the model and delete its volumes.
    #[arg(long)]
    pub(crate) destroy_storage: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman deploy ./my-charm.charm --resource my-image=./image.yaml --trust
  talisman deploy ./bundle.yaml")]
pub(crate) struct Deploy {
    /// The charm or bundle.
    pub(crate) charm: PathBuf,
    /// The application's name, the charm's name where absent.
    pub(crate) app: Option<AppName>,
    #[arg(short = 'n', long, default_value_t = 1)]
    pub(crate) num_units: u32,
    /// `<option>=<value>`
    #[arg(long, value_parser = key_value)]
    pub(crate) config: Vec<(String, String)>,
    /// `<resource>=<image definition>`
    #[arg(long, value_parser = key_value)]
    pub(crate) resource: Vec<(String, String)>,
    /// Give the charm access to the Kubernetes API.
    #[arg(long)]
    pub(crate) trust: bool,
    /// A file that changes the bundle; the later one wins.
    #[arg(long)]
    pub(crate) overlay: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: Store,
}

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
            crate::commands::tell(&format!("{option} has no effect: {reason}"));
        }
        for key in constraints {
            crate::commands::tell(&format!(
                "the constraint {key} has no effect: there is one machine"
            ));
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    pub(crate) app: AppName,
    /// `<option>` to read, `<option>=<value>` to change.
    pub(crate) settings: Vec<String>,
    /// Options to set back to their defaults.
    #[arg(long, value_delimiter = ',')]
    pub(crate) reset: Vec<String>,
    /// A YAML file of options and values, or of such under the application's name.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    #[arg(long, default_value = "yaml")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Trust {
    pub(crate) app: AppName,
    /// Withdraw the access.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Accepted for Juju's sake; the engine knows one cluster.
    #[arg(long, default_value = "cluster")]
    pub(crate) scope: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[arg(long, default_value = "tabular")]
    pub(crate) format: Format,
    /// Show the relations too.
    #[arg(long)]
    pub(crate) relations: bool,
    /// Show it again and again, after this time; two seconds where none is named.
    #[arg(long, value_parser = crate::args_juju::duration, num_args = 0..=1, default_missing_value = "2s")]
    pub(crate) watch: Option<std::time::Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowUnit {
    pub(crate) unit: UnitName,
    #[arg(long, default_value = "yaml")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// `<application>/<number>` or `<application>/leader`
    pub(crate) unit: String,
    pub(crate) action: String,
    /// A YAML file of parameters; those that are typed come on top.
    #[arg(long = "params")]
    pub(crate) params_file: Option<PathBuf>,
    /// `<parameter>=<value>`
    #[arg(value_parser = key_value)]
    pub(crate) params: Vec<(String, String)>,
    #[arg(long, default_value = "plain")]
    pub(crate) format: Format,
    /// How long to wait for the result.
    #[arg(long, value_parser = crate::args_juju::duration, default_value = "60s")]
    pub(crate) wait: std::time::Duration,
    /// Do not wait; `show-operation` shows the result.
    #[arg(long)]
    pub(crate) background: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DebugLog {
    /// Only lines of this level or worse.
    #[arg(short = 'l', long, default_value = "INFO", ignore_case = true)]
    pub(crate) level: Level,
    /// Only lines of these entities, such as `unit-pgbouncer-k8s-0`.
    #[arg(short = 'i', long)]
    pub(crate) include: Vec<String>,
    /// Not lines of these entities.
    #[arg(short = 'x', long)]
    pub(crate) exclude: Vec<String>,
    /// Only lines of these modules, such as `unit` or `juju.worker`.
    #[arg(long)]
    pub(crate) include_module: Vec<String>,
    /// Not lines of these modules.
    #[arg(long)]
    pub(crate) exclude_module: Vec<String>,
    /// Show this many of the last lines, and end.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// How many of the last lines to begin with.
    #[arg(short = 'n', long, default_value_t = 10)]
    pub(crate) lines: usize,
    /// Do not wait for more; the default where the output is no terminal.
    #[arg(long)]
    pub(crate) no_tail: bool,
    /// Wait for more; the default on a terminal.
    #[arg(long, conflicts_with = "no_tail")]
    pub(crate) tail: bool,
    /// Begin with the first line that is kept.
    #[arg(long)]
    pub(crate) replay: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

#[derive(Debug, Args)]
pub(crate) struct Images {
    /// Definition files. With --refresh, none stands for every image that is built.
    pub(crate) definitions: Vec<PathBuf>,
    /// Builds again, from today's packages, and says which packages changed.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Removes builds that no model uses.
    #[arg(long, conflicts_with_all = ["refresh", "definitions"])]
    pub(crate) prune: bool,
    #[arg(long, value_enum, default_value_t = Format::Tabular)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Tabular,
    Plain,
    Json,
    Yaml,
    #[value(aliases = ["oneline", "line"])]
    Short,
}

/// `<service>:<port>`
#[derive(Debug, Clone)]
pub(crate) struct ForwardTarget {
    pub(crate) service: String,
    pub(crate) port: u16,
}

impl std::str::FromStr for ForwardTarget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("cannot read {text:?} as a target: write <service>:<port>");
        let (service, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self { service: service.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}

fn forward(text: &str) -> Result<(u16, ForwardTarget), String> {
    let wrong = || format!("cannot read {text:?}: write <port>:<service>:<service port>");
    let (port, target) = text.split_once(':').ok_or_else(wrong)?;
    Ok((port.parse().map_err(|_| wrong())?, target.parse().map_err(|_| wrong())?))
}

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("cannot read {text:?}: write <key>=<value>")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold_together() {
        super::Cli::command().debug_assert();
    }
}
