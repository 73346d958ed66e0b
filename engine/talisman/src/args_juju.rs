//! Verbs that are there for people and test suites that speak Juju.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use names::{AppName, UnitName};

use crate::args::{Format, key_value};

#[derive(Debug, Subcommand)]
pub(crate) enum Juju {
    /// Prints the version of Juju whose rules hold here.
    Version {
        #[arg(long, default_value = "plain")]
        format: Format,
        /// All that is known of it.
        #[arg(long)]
        all: bool,
    },
    /// Adds a model: an engine of its own that shares only images with the others.
    AddModel(AddModel),
    /// Removes a model with its applications.
    DestroyModel(DestroyModel),
    /// Lists the models.
    #[command(alias = "list-models")]
    Models {
        #[arg(long, default_value = "tabular")]
        format: Format,
    },
    /// Shows a model.
    ShowModel {
        model: Option<String>,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Names the model in use, or uses another one.
    Switch { model: Option<String> },
    /// Adds units.
    AddUnit {
        app: AppName,
        #[arg(short = 'n', long, default_value_t = 1)]
        num_units: u32,
    },
    /// Removes units, the highest numbers first.
    RemoveUnit {
        app: AppName,
        #[arg(short = 'n', long, default_value_t = 1)]
        num_units: u32,
        #[command(flatten)]
        removal: Removal,
    },
    /// Shows an application.
    ShowApplication {
        app: AppName,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Runs a command in a hook context of units.
    #[command(after_help = "Example:
  talisman exec --unit hello/0 -- is-leader")]
    Exec(Exec),
    /// Runs a command, or a shell, in a container of a unit.
    #[command(after_help = "Examples:
  talisman ssh hello/0
  talisman ssh --container workload hello/0 ls /")]
    Ssh(Ssh),
    /// Copies a file, or with -r a folder, to or from a container of a unit.
    #[command(after_help = "Examples:
  talisman scp -r hello/0:/var/log ./logs
  talisman scp hello/0:/etc/hostname ./name
  talisman scp --container workload ./settings hello/0:/tmp/settings")]
    Scp(Scp),
    /// Waits until a unit or an application is as a query says.
    #[command(after_help = "Example:
  talisman wait-for unit hello/0 --query 'workload-status==\"active\"' --timeout 5m")]
    WaitFor(WaitFor),
    /// Lists the actions that ran or run.
    Operations {
        #[arg(long, default_value = "plain")]
        format: Format,
    },
    /// Shows an action by its operation's number.
    ShowOperation {
        id: u64,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Shows an action by its task's number.
    ShowTask {
        id: u64,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Lists the secrets.
    #[command(alias = "list-secrets")]
    Secrets {
        /// Only those of this owner.
        #[arg(long)]
        owner: Option<String>,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Shows a secret.
    ShowSecret {
        /// Its id or name.
        secret: String,
        /// Its content too.
        #[arg(long)]
        reveal: bool,
        /// All its revisions.
        #[arg(long)]
        revisions: bool,
        /// The revision to reveal, the latest where absent.
        #[arg(long)]
        revision: Option<u32>,
        #[arg(long, default_value = "yaml")]
        format: Format,
    },
    /// Adds a secret for applications to read.
    AddSecret {
        name: String,
        #[command(flatten)]
        content: SecretContent,
    },
    /// Gives a secret other content.
    UpdateSecret {
        secret: String,
        /// Accepted for Juju's sake: revisions that nobody reads are not kept.
        #[arg(long)]
        auto_prune: bool,
        #[command(flatten)]
        content: SecretContent,
    },
    /// Lets applications read a secret.
    GrantSecret {
        secret: String,
        #[arg(value_delimiter = ',')]
        apps: Vec<AppName>,
    },
    /// Lets applications read a secret no longer.
    RevokeSecret {
        secret: String,
        #[arg(value_delimiter = ',')]
        apps: Vec<AppName>,
    },
    /// Removes a secret.
    RemoveSecret { secret: String },
}

impl Juju {
    /// Whether the verb is about models rather than about what is in one.
    pub(crate) fn is_of_models(&self) -> bool {
        matches!(
            self,
            Self::Version { .. }
                | Self::AddModel(_)
                | Self::DestroyModel(_)
                | Self::Models { .. }
                | Self::ShowModel { .. }
                | Self::Switch { .. }
        )
    }
}

#[derive(Debug, Args)]
pub(crate) struct AddModel {
    pub(crate) name: names::ModelName,
    /// Accepted for Juju's sake; there is one cloud.
    pub(crate) cloud: Option<String>,
    /// Go on using the model in use now.
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// `<option>=<value>`
    #[arg(long, value_parser = key_value)]
    pub(crate) config: Vec<(String, String)>,
    /// Accepted for Juju's sake; there is one controller.
    #[arg(short, long)]
    pub(crate) controller: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    pub(crate) credential: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DestroyModel {
    pub(crate) name: String,
    /// Accepted for Juju's sake; nothing is asked.
    #[arg(long, alias = "yes", short_alias = 'y')]
    pub(crate) no_prompt: bool,
    /// Delete the volumes too; needed when there are any.
    #[arg(long)]
    pub(crate) destroy_storage: bool,
    /// Do not wait for the units' last hooks.
    #[arg(long)]
    pub(crate) force: bool,
    /// Accepted for Juju's sake.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long the last hooks may take.
    #[arg(short, long, value_parser = duration, default_value = "60s")]
    pub(crate) timeout: Duration,
}

/// What Juju asks for when something is removed.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    /// Accepted for Juju's sake; nothing is asked.
    #[arg(long)]
    pub(crate) no_prompt: bool,
    /// Accepted for Juju's sake; volumes stay until the model goes.
    #[arg(long)]
    pub(crate) destroy_storage: bool,
    /// Go on even if the last hooks fail.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// `<application>/<number>` or `<application>/leader`
    #[arg(short, long, value_delimiter = ',')]
    pub(crate) unit: Vec<String>,
    /// All units of these applications.
    #[arg(short, long, visible_alias = "app", value_delimiter = ',')]
    pub(crate) application: Vec<AppName>,
    #[arg(long, default_value = "plain")]
    pub(crate) format: Format,
    /// How long to wait for the result.
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) wait: Duration,
    /// The command and its arguments; one word alone is for a shell.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// The container, the charm's where absent.
    #[arg(long)]
    pub(crate) container: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    pub(crate) no_host_key_checks: bool,
    /// `[<user>@]<unit>`; only root is there.
    pub(crate) target: String,
    /// The command; a shell where absent.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Scp {
    /// The container, the charm's where absent.
    #[arg(long)]
    pub(crate) container: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    pub(crate) no_host_key_checks: bool,
    /// A folder with all that is in it.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// `<file>` or `<unit>:<file>`
    pub(crate) source: String,
    /// `<file>` or `<unit>:<file>`
    pub(crate) destination: String,
}

#[derive(Debug, Args)]
pub(crate) struct WaitFor {
    /// `unit` or `application`
    #[arg(value_parser = ["unit", "application"])]
    pub(crate) kind: String,
    /// The name of the unit or application.
    pub(crate) name: String,
    /// Terms `<key>=="<value>"` or `<key>!="<value>"`, joined by `&&`.
    #[arg(long)]
    pub(crate) query: Option<String>,
    /// How long to wait.
    #[arg(long, value_parser = duration, default_value = "10m")]
    pub(crate) timeout: Duration,
    /// Accepted for Juju's sake: nothing is printed but the result.
    #[arg(long)]
    pub(crate) summary: bool,
}

#[derive(Args)]
pub(crate) struct SecretContent {
    /// `<key>=<value>`
    #[arg(value_parser = key_value)]
    pub(crate) values: Vec<(String, String)>,
    /// A YAML file of keys and values.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// A description.
    #[arg(long)]
    pub(crate) info: Option<String>,
}

impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretContent(..)")
    }
}

/// `90`, `90s`, `1.5m` or `1h`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .ok_or_else(|| format!("cannot read {text:?} as a time: write, for instance, 90s or 5m"))
}

/// The unit that text names, if it is a unit's name.
pub(crate) fn unit(text: &str) -> Result<UnitName, String> {
    text.parse().map_err(|error: names::NameError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<f64>) {
        assert_eq!(duration(text).ok().map(|found| found.as_secs_f64()), want, "{text}");
    }

    #[test]
    fn times_are_read_as_juju_writes_them() {
        check("90", Some(90.0));
        check("60.0s", Some(60.0));
        check("1.5m", Some(90.0));
        check("1h", Some(3600.0));
        check("-1s", None);
        check("soon", None);
    }
}
