//! What the command line asks of the daemon, as JSON over a unix socket.

use std::collections::BTreeMap;
use std::path::PathBuf;

use names::{AppName, UnitName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request; the answer is a JSON value or a [`Refusal`].
// Without Debug: one of them carries a secret's content.
#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Deploys a charm.
    Deploy(Deploy),
    /// Gives an application another charm.
    Refresh(Refresh),
    /// Relates two applications, `app[:endpoint]` each.
    Integrate { a: String, b: String },
    /// Ends a relation.
    RemoveRelation { a: String, b: String },
    /// Removes an application with its units; with `force` even if their hooks fail.
    RemoveApplication { app: AppName, force: bool },
    /// Sets the number of units.
    Scale { app: AppName, units: u32 },
    /// Reads an application's options.
    GetConfig { app: AppName },
    /// Changes an application's options.
    SetConfig { app: AppName, set: BTreeMap<String, String>, reset: Vec<String> },
    /// Grants or withdraws access to the Kubernetes API.
    Trust { app: AppName, trusted: bool },
    /// The model, in the shape of `juju status --format json`.
    Status,
    /// One unit, in the shape of `juju show-unit --format json`.
    ShowUnit { unit: UnitName },
    /// Queues an action; the answer is its id.
    Run { unit: UnitName, action: String, params: serde_json::Map<String, Value> },
    /// All actions, the oldest first.
    Actions,
    /// How an action stands.
    Action { id: u64 },
    /// Runs a shell command in a hook context of a unit; the answer is its code and output.
    Exec { unit: UnitName, command: String },
    /// Log lines after a position.
    Log { after: u64, limit: usize },
    /// Retries or skips a failed hook.
    Resolve { unit: UnitName, retry: bool },
    /// Changes options of the model.
    SetModelConfig { set: BTreeMap<String, String> },
    /// Makes a service reachable on a loopback port of the host.
    Forward { port: u16, service: String, target: u16 },
    /// Serves the page for people; the answer is its URL. Port 0 is any free one.
    Page { port: u16 },
    /// What the hooks have cost so far.
    Measurements,
    /// Changes the number of units by this many.
    ScaleBy { app: AppName, units: i64, force: bool },
    /// How a container is entered: words before the options, and one after them.
    EnterContainer { unit: UnitName, container: String },
    /// All secrets without their content, in the shape of `juju secrets --format json`.
    Secrets,
    /// One secret; with `reveal` the content of a revision, the latest where absent.
    ShowSecret { secret: String, reveal: bool, revision: Option<u32> },
    /// Adds or changes a secret of the operator's; the answer is its id.
    PutSecret { name: String, values: BTreeMap<String, String>, info: Option<String>, update: bool },
    /// Lets applications read a secret of the operator's, or no longer.
    GrantSecret { secret: String, apps: Vec<AppName>, granted: bool },
    /// Removes a secret of the operator's.
    RemoveSecret { secret: String },
    /// The model's options.
    GetModelConfig,
    /// Replaces a unit's pod by a new one, as when Kubernetes moves it.
    DeletePod { unit: UnitName },
    /// Stops every pod and the daemon itself, after each unit's `stop` hook.
    Down,
}

/// What `deploy` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deploy {
    /// The charm folder or archive, absolute.
    pub(crate) charm: PathBuf,
    /// The application's name, the charm's where absent.
    pub(crate) app: Option<AppName>,
    /// Units to start with.
    pub(crate) units: u32,
    /// Option values as typed.
    pub(crate) config: BTreeMap<String, String>,
    /// Image definition files by resource, absolute.
    pub(crate) resources: BTreeMap<String, PathBuf>,
    /// Access to the Kubernetes API.
    pub(crate) trust: bool,
    /// The most that each workload container may use.
    pub(crate) constraints: model::Constraints,
}

/// What `refresh` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refresh {
    /// The application.
    pub(crate) app: AppName,
    /// The charm folder or archive, absolute.
    pub(crate) charm: PathBuf,
    /// Files by resource, absolute; others stay.
    pub(crate) resources: BTreeMap<String, PathBuf>,
    /// Units whose hook has failed take it too.
    pub(crate) forced: bool,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It was done.
    Done(Value),
    /// It was refused, with the reason in words for people.
    Refused(String),
}

/// One line of the model's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// Its position; `Log { after }` counts in these.
    pub(crate) position: u64,
    /// When.
    pub(crate) at: jiff::Timestamp,
    /// `unit-<app>-<n>` or `controller`.
    pub(crate) entity: String,
    /// `INFO` and so on.
    pub(crate) level: String,
    /// `juju-log`, `<hook>` and so on.
    pub(crate) module: String,
    /// The words.
    pub(crate) message: String,
}
