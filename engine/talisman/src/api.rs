//! What the command line asks of the daemon, as JSON over a unix socket.

use std::collections::BTreeMap;
use std::path::PathBuf;

use juju_names::{AppName, UnitName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request; the answer is a JSON value or a refusal.
// Without Debug: one of them carries a secret's content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Something is looked at.
    Read(Read),
    /// The model changes.
    Change(Change),
    /// The engine does something that takes its time.
    Task(Task),
}

/// Looks at the model, or at what the engine remembers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Read {
    /// Reads an application's options.
    GetConfig { app: AppName },
    /// The model, in the shape of `juju status --format json` with its relations.
    Status,
    /// What names the model.
    ShowModel,
    /// One unit, in the shape of `juju show-unit --format json`.
    ShowUnit { unit: UnitName },
    /// One application, in the shape of `juju show-application --format json`.
    ShowApplication { app: AppName },
    /// The actions that an application's charm declares.
    CharmActions { app: AppName },
    /// The resources of an application.
    Resources { app: AppName },
    /// Statuses that a unit or application had, the oldest first.
    StatusLog { name: String, kind: String },
    /// The constraints of an application, or of the model.
    Constraints { app: Option<AppName> },
    /// The storage, in the shape of `juju storage --format json`.
    Storage,
    /// All actions, the oldest first.
    Actions,
    /// How an action stands.
    Action { id: u64 },
    /// Log lines after a position.
    Log { after: u64, limit: usize },
    /// What the hooks have cost so far.
    Measurements,
    /// All secrets without their content, in the shape of `juju secrets --format json`.
    Secrets,
    /// One secret; with `reveal` the content of a revision, the latest where absent.
    ShowSecret { secret: String, reveal: bool, revision: Option<u32> },
    /// The model's options.
    GetModelConfig,
}

/// Changes the model, in one call of it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// Relates two applications, `app[:endpoint]` each.
    Integrate { a: String, b: String },
    /// Ends a relation; with `force` even if hooks of it fail.
    RemoveRelation { a: String, b: String, force: bool },
    /// Ends a relation by its id.
    RemoveRelationById { id: u32, force: bool },
    /// Removes an application with its units; with `force` even if their hooks fail, without
    /// `wait` with no hook at all.
    RemoveApplication { app: AppName, force: bool, wait: bool },
    /// Sets the number of units.
    Scale { app: AppName, units: u32 },
    /// Changes an application's options.
    SetConfig { app: AppName, set: BTreeMap<String, String>, reset: Vec<String> },
    /// Grants or withdraws access to the Kubernetes API.
    Trust { app: AppName, trusted: bool },
    /// Sets the constraints of an application.
    SetConstraints { app: AppName, constraints: juju_model::Constraints },
    /// Sets the constraints of applications that are deployed from now on.
    SetModelConstraints { words: BTreeMap<String, String> },
    /// Opens an application to the outside, or closes it.
    Expose { app: AppName, exposed: bool },
    /// Queues an action on units; the answer is its operation, with a task or an error for each.
    Run { units: Vec<UnitName>, action: String, params: serde_json::Map<String, Value> },
    /// Calls off an action whose turn has not come.
    CancelTask { id: u64 },
    /// Retries or skips a failed hook.
    Resolve { unit: UnitName, retry: bool },
    /// Retries or skips the failed hooks of all units.
    ResolveAll { retry: bool },
    /// Changes options of the model.
    SetModelConfig { set: BTreeMap<String, String>, reset: Vec<String> },
    /// Changes the number of units by this many; the answer is how many are wanted then.
    ScaleBy { app: AppName, units: i64, force: bool },
    /// Adds a secret of the operator's; the answer is its id.
    AddSecret { secret: String, values: BTreeMap<String, String>, info: Option<String> },
    /// Changes a secret of the operator's; what is absent or empty stays.
    UpdateSecret {
        secret: String,
        values: BTreeMap<String, String>,
        name: Option<String>,
        info: Option<String>,
        auto_prune: bool,
    },
    /// Lets applications read a secret of the operator's, or no longer.
    GrantSecret { secret: String, apps: Vec<AppName>, granted: bool },
    /// Removes a secret of the operator's, or one revision of it.
    RemoveSecret { secret: String, revision: Option<u32> },
}

/// Works with more than the model: files, images, containers, ports.
#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Deploys a charm.
    Deploy(Deploy),
    /// Gives an application another charm.
    Refresh(Refresh),
    /// What a bundle that makes this model again is written from.
    ExportBundle,
    /// Runs a shell command in a hook context of units; the answer is its operation, with a task
    /// or an error for each.
    Exec { units: Vec<UnitName>, command: String },
    /// Makes a service reachable on a loopback port of the host.
    Forward { port: u16, service: String, target: u16 },
    /// Serves the page for people; the answer is its URL. Port 0 is any free one.
    Page { port: u16 },
    /// How a container is entered: words before the options, and one after them.
    EnterContainer { unit: UnitName, container: String },
    /// Stops every pod and the daemon itself, after each unit's `stop` hook.
    Down,
}

impl From<Read> for Request {
    fn from(read: Read) -> Self {
        Self::Read(read)
    }
}

impl From<Change> for Request {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

impl From<Task> for Request {
    fn from(task: Task) -> Self {
        Self::Task(task)
    }
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
    pub(crate) constraints: juju_model::Constraints,
}

/// What `refresh` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refresh {
    /// The application.
    pub(crate) app: AppName,
    /// The charm folder or archive, absolute; none where only resources change.
    pub(crate) charm: Option<PathBuf>,
    /// Files by resource, absolute; others stay.
    pub(crate) resources: BTreeMap<String, PathBuf>,
    /// Units whose hook has failed take it too.
    pub(crate) forced: bool,
    /// Option values as typed, set with the charm.
    pub(crate) config: BTreeMap<String, String>,
    /// Access to the Kubernetes API from now on.
    pub(crate) trust: bool,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It was done.
    Done(Value),
    /// It was refused.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Refusal {
    /// What kind of reason it is, for programs.
    pub(crate) kind: RefusalKind,
    /// The reason in words for people.
    pub(crate) words: String,
}

/// Reasons that a program may act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefusalKind {
    /// What was to be made is there.
    Exists,
    /// Any other reason.
    Other,
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
