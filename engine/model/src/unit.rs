//! Units, and the state of their agents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use names::{ContainerName, RelationId, UnitName};
use serde::{Deserialize, Serialize};

use crate::tools::{Bag, Port, Status};
use crate::{Hook, HookRun, Life};

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
    pub(crate) machine: Machine,
    /// What is wrong with its pod, as long as the engine sees it.
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

/// What is wrong with a unit's pod, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not start.
    Start(String),
    /// It runs, and something that it needs is short.
    Shortage(String),
}

impl Unit {
    /// Whether a hook has failed and waits for its next attempt.
    pub fn has_failed(&self) -> bool {
        self.machine.failed.is_some()
    }

    /// The workload status that people see: `error` while a hook has failed or the pod does not
    /// start.
    pub fn status(&self) -> Status {
        match &self.machine.failed {
            Some(failed) => Status {
                status: "error".into(),
                message: format!("hook failed: {:?}", failed.hook.name()),
                since: failed.since,
            },
            None => match &self.trouble {
                Some(Trouble::Start(words)) => Status {
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
        match &self.trouble {
            Some(Trouble::Shortage(words)) if self.agent.message.is_empty() => words,
            _ => &self.agent.message,
        }
    }
}

/// What the unit agent must remember between hooks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) installed: bool,
    pub(crate) started: bool,
    pub(crate) stopped: bool,
    pub(crate) removed: bool,
    /// `leader-elected` has run since the unit became the leader.
    pub(crate) leader_told: bool,
    /// A new pod has the charm; `upgrade-charm` has not run there yet.
    pub(crate) upgrade_due: bool,
    /// The charm has set a status of its own.
    pub(crate) status_set: bool,
    /// Must run before anything else.
    pub(crate) queued: Option<Hook>,
    pub(crate) failed: Option<Failed>,
    /// The unit leaves even if its hooks fail.
    #[serde(default)]
    pub(crate) forced: bool,
    /// The fingerprint of options, trust and addresses that `config-changed` last saw.
    pub(crate) config_seen: Option<u64>,
    pub(crate) last_update_status: Option<Timestamp>,
    pub(crate) relations: BTreeMap<RelationId, Membership>,
    /// Storage instances whose `storage-attached` has run.
    pub(crate) attached: BTreeSet<String>,
}

impl Machine {
    /// The failed hook that holds the unit; one of a workload holds nothing.
    pub(crate) fn holding(&self) -> Option<&Failed> {
        self.failed.as_ref().filter(|failed| !failed.hook.is_workload())
    }
}

/// A hook that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) hook: Hook,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Timestamp,
    pub(crate) since: Timestamp,
}

/// One relation as one unit has seen it so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) created: bool,
    /// Remote units that joined, with the bag version they were last seen at.
    pub(crate) members: BTreeMap<UnitName, u64>,
    /// The version of the remote application's bag that was last seen.
    pub(crate) app_seen: u64,
    /// Joined just now; `changed` must follow.
    pub(crate) changed_due: Option<UnitName>,
    /// The unit has left for good.
    pub(crate) left: bool,
}

/// What a unit's agent keeps in memory only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// The agent runs.
    pub(crate) up: bool,
    /// The agent has just started and owes a `start`.
    pub(crate) restarted: bool,
    /// The hook of a notice failed; the agent must start again.
    pub(crate) ended: bool,
    /// The pod is about to go; `stop` is owed.
    pub(crate) stopping: bool,
    pub(crate) running: Option<HookRun>,
    pub(crate) boots: BTreeMap<ContainerName, Boot>,
    /// Notices and checks in order of arrival.
    pub(crate) workload: VecDeque<Hook>,
    /// Pending `juju-exec` commands.
    pub(crate) commands: VecDeque<(u64, String)>,
}

impl Live {
    /// A failed `pebble-ready` is offered again at a time; a failed notice ends the agent.
    pub(crate) fn fail_workload(&mut self, hook: &Hook, again: Timestamp) {
        if let Hook::PebbleReady { container } = hook
            && let Some(boot) = self.boots.get_mut(container)
        {
            boot.again = Some(again);
        }
        self.ended |= hook.is_notice();
    }

    /// The next workload hook: containers that answer, then notices in order of arrival.
    pub(crate) fn next_workload(&self, now: Timestamp) -> Option<Hook> {
        let due = |boot: &Boot| boot.number > boot.told && boot.again.is_none_or(|at| at <= now);
        let ready = self.boots.iter().find(|(_, boot)| due(boot));
        let ready = ready.map(|(container, _)| Hook::PebbleReady { container: container.clone() });
        ready.or_else(|| self.workload.front().cloned())
    }

    /// When a `pebble-ready` that failed is offered again.
    pub(crate) fn workload_due(&self) -> Option<Timestamp> {
        self.boots.values().filter_map(|boot| boot.again).min()
    }
}

/// The boot of one workload container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Boot {
    pub(crate) id: String,
    /// Grows with each new boot id.
    pub(crate) number: u64,
    /// The number that `pebble-ready` last ran for.
    pub(crate) told: u64,
    /// When a `pebble-ready` that failed is offered again.
    pub(crate) again: Option<Timestamp>,
}
