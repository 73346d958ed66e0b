//! What a unit's agent keeps in memory only: it is gone with the engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use juju_names::{ContainerName, RelationId, UnitName};

use crate::tool::Bag;
use crate::{Hook, HookRun};

/// How a unit's agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Agent {
    /// It is not there.
    #[default]
    Absent,
    /// It runs.
    Up,
    /// It runs again, and owes a `start`.
    Restarted,
    /// The hook of a notice failed, and it ended with that; it must start again.
    Ended,
    /// Its pod is about to go: `stop` is the last that it runs.
    Stopping,
}

/// How a unit's pod reaches the Kubernetes API.
#[derive(Clone, PartialEq, Eq)]
pub struct InClusterConfig {
    /// The cloud's name.
    pub cloud: String,
    /// The API's address, such as `https://10.0.0.1:443`.
    pub host: String,
    /// The token of the pod's service account.
    pub bearer_token: String,
    /// The certificate of the CA that the API's is signed by, in PEM.
    pub ca_certificate: String,
}

impl std::fmt::Debug for InClusterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InClusterConfig({})", self.host)
    }
}

/// What a unit's agent keeps in memory only.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentMemory {
    pub(crate) agent: Agent,
    pub(crate) running: Option<HookRun>,
    /// The fingerprint of the leader's settings that `leader-settings-changed` saw last.
    pub(crate) leader_settings: Option<u64>,
    pub(crate) in_cluster: Option<InClusterConfig>,
    pub(crate) boots: BTreeMap<ContainerName, Boot>,
    /// Notices and checks in order of arrival.
    pub(crate) workload: VecDeque<Hook>,
    /// Pending `juju-exec` commands.
    pub(crate) commands: VecDeque<(u64, String)>,
    /// Members' databags as hooks have read them last.
    pub(crate) bags: BTreeMap<(RelationId, UnitName), Arc<Bag>>,
}

impl AgentMemory {
    /// A failed `pebble-ready` is offered again at a time; a failed notice ends the agent.
    pub(crate) fn fail_workload(&mut self, hook: &Hook, retry_at: Timestamp) {
        if let Hook::PebbleReady { container } = hook
            && let Some(boot) = self.boots.get_mut(container)
        {
            boot.retry_at = Some(retry_at);
        }
        if hook.is_notice() && matches!(self.agent, Agent::Up | Agent::Restarted) {
            self.agent = Agent::Ended;
        }
    }

    /// The next workload hook: containers that answer and notices in order of arrival, in one
    /// order or the other.
    pub(crate) fn next_workload(&self, now: Timestamp, notices_first: bool) -> Option<Hook> {
        let due = |boot: &Boot| {
            boot.number > boot.ready_ran_for && boot.retry_at.is_none_or(|at| at <= now)
        };
        let ready = self.boots.iter().find(|(_, boot)| due(boot));
        let ready = ready.map(|(container, _)| Hook::PebbleReady { container: container.clone() });
        let notice = self.workload.front().cloned();
        if notices_first { notice.or(ready) } else { ready.or(notice) }
    }

    /// When a `pebble-ready` that failed is offered again.
    pub(crate) fn workload_due(&self) -> Option<Timestamp> {
        self.boots.values().filter_map(|boot| boot.retry_at).min()
    }
}

/// The boot of one workload container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Boot {
    pub(crate) id: String,
    /// Grows with each new boot id.
    pub(crate) number: u64,
    /// The number that `pebble-ready` last ran for.
    pub(crate) ready_ran_for: u64,
    /// When a `pebble-ready` that failed is offered again.
    pub(crate) retry_at: Option<Timestamp>,
}
