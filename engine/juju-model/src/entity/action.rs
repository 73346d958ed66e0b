//! Actions.

use jiff::Timestamp;
use juju_names::UnitName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionStatus {
    /// It waits for its turn.
    Pending,
    /// It runs.
    Running,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// It was called off before its turn.
    Cancelled,
}

impl std::fmt::Display for ActionStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// One line of an action's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionLog {
    /// When it was written.
    pub at: Timestamp,
    /// The line.
    pub message: String,
}

/// An action on one unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Action {
    /// Its number.
    pub id: u64,
    /// The operation that it is a task of; none where it was asked for alone.
    #[serde(default)]
    pub operation: Option<u64>,
    /// The unit it runs on.
    pub unit: UnitName,
    /// Its name.
    pub name: String,
    /// Its parameters, defaults included.
    pub params: Value,
    /// How far it is.
    pub status: ActionStatus,
    /// Why it failed.
    pub message: String,
    /// Nested results, with `return-code`, `stdout` and `stderr`.
    pub results: Value,
    /// What it logged.
    pub log: Vec<ActionLog>,
    /// When it was asked for.
    pub enqueued: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}
