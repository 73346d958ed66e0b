//! Units, and the state of their agents.

use std::collections::BTreeSet;

use jiff::Timestamp;
use juju_names::UnitName;
use serde::{Deserialize, Serialize};

use crate::Life;
use crate::entity::uniter::{Lifecycle, UniterState};
use crate::tool::{Bag, Port, Status};

/// What a unit's agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// The pod is not there yet.
    Allocating,
    /// A hook or an action runs.
    Executing,
    /// Nothing is due.
    Idle,
    /// A hook failed and waits for its next attempt.
    Error,
    /// The agent was there and is not now.
    Lost,
}

impl std::fmt::Display for AgentStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Allocating => "allocating",
            Self::Executing => "executing",
            Self::Idle => "idle",
            Self::Error => "error",
            Self::Lost => "lost",
        })
    }
}

/// The status of a unit's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// What it does.
    pub status: AgentStatus,
    /// The words beside it, such as `running install hook`.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: UnitName,
    /// Alive or dying.
    pub life: Life,
    /// The workload status as set; [`Unit::status`] is what people see.
    pub workload: Status,
    /// What its agent does.
    pub agent: AgentState,
    /// The pod's address.
    pub address: Option<String>,
    /// Open ports.
    pub ports: BTreeSet<Port>,
    /// The revision of the application's charm that its pod has.
    pub charm_revision: u32,
    /// The charm's state (`state-set`).
    pub state: Bag,
    #[serde(rename = "machine")]
    pub(crate) uniter: UniterState,
    /// What is wrong with its pod, as long as the engine sees it.
    #[serde(skip)]
    pub problem: Option<PodProblem>,
}

/// What is wrong with a unit's pod, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodProblem {
    /// It does not start.
    Start(String),
    /// It runs, and something that it needs is short.
    Shortage(String),
}

impl Unit {
    /// Whether a hook has failed and waits for its next attempt.
    pub fn has_failed(&self) -> bool {
        self.uniter.failed.is_some()
    }

    /// Whether it has no hook left to run, so that its pod is to go.
    pub fn is_done(&self) -> bool {
        let lifecycle = self.uniter.lifecycle;
        let never_installed = self.life == Life::Dying && lifecycle == Lifecycle::New;
        lifecycle == Lifecycle::Removed || never_installed || self.is_rushed()
    }

    /// Whether it leaves without another hook, and one that runs is of no use any more.
    pub fn is_rushed(&self) -> bool {
        self.life == Life::Dying && self.uniter.rushed
    }

    /// The workload status that people see: `error` while a hook has failed or the pod does not
    /// start.
    pub fn status(&self) -> Status {
        match &self.uniter.failed {
            Some(failed) => Status {
                status: "error".into(),
                message: format!("hook failed: {:?}", failed.hook.name()),
                since: failed.since,
            },
            None => match &self.problem {
                Some(PodProblem::Start(words)) => Status {
                    status: "error".into(),
                    message: words.clone(),
                    since: self.agent.since,
                },
                _ => self.workload.clone(),
            },
        }
    }

    /// What people read beside the agent's status.
    pub fn agent_message(&self) -> &str {
        match &self.problem {
            Some(PodProblem::Shortage(words)) if self.agent.message.is_empty() => words,
            _ => &self.agent.message,
        }
    }
}
