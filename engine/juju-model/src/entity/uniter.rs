//! What Juju keeps of a unit's agent between hooks: the uniter's state.
//!
//! States are enums here and flags in the store, whose form is older.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use juju_names::{RelationId, UnitName};
use serde::{Deserialize, Serialize};

use crate::Hook;

/// The uniter's state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct UniterState {
    #[serde(flatten)]
    pub(crate) lifecycle: Lifecycle,
    #[serde(flatten)]
    pub(crate) pending: Pending,
    #[serde(flatten)]
    pub(crate) config: ConfigSeen,
    /// `leader-elected` has run since the unit became the leader.
    pub(crate) leader_told: bool,
    /// The charm has set a status of its own.
    pub(crate) status_set: bool,
    pub(crate) failed: Option<Failed>,
    /// The unit leaves even if its hooks fail.
    #[serde(default)]
    pub(crate) forced: bool,
    /// The unit leaves without a hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rushed: bool,
    pub(crate) last_update_status: Option<Timestamp>,
    pub(crate) relations: BTreeMap<RelationId, Membership>,
    /// Storage instances whose `storage-attached` has run.
    pub(crate) attached: BTreeSet<String>,
}

impl UniterState {
    /// The failed hook that holds the unit; one of a workload holds nothing.
    pub(crate) fn holding(&self) -> Option<&Failed> {
        self.failed.as_ref().filter(|failed| !failed.hook.is_workload())
    }

    pub(crate) fn has_failed_to_stop(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.hook == Hook::Stop)
    }
}

/// Which of its first and last hooks a unit has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "StoredLifecycle", into = "StoredLifecycle")]
pub(crate) enum Lifecycle {
    /// None.
    #[default]
    New,
    /// `install`; also when its pod is a new one, until `start` has run there.
    Installed,
    /// `start`.
    Started,
    /// `stop`.
    Stopped,
    /// `remove`.
    Removed,
}

#[derive(Serialize, Deserialize)]
struct StoredLifecycle {
    installed: bool,
    started: bool,
    stopped: bool,
    removed: bool,
}

impl From<StoredLifecycle> for Lifecycle {
    fn from(stored: StoredLifecycle) -> Self {
        match stored {
            StoredLifecycle { removed: true, .. } => Self::Removed,
            StoredLifecycle { stopped: true, .. } => Self::Stopped,
            StoredLifecycle { started: true, .. } => Self::Started,
            StoredLifecycle { installed: true, .. } => Self::Installed,
            StoredLifecycle { installed: false, .. } => Self::New,
        }
    }
}

impl From<Lifecycle> for StoredLifecycle {
    fn from(lifecycle: Lifecycle) -> Self {
        Self {
            installed: lifecycle >= Lifecycle::Installed,
            started: lifecycle >= Lifecycle::Started,
            stopped: lifecycle >= Lifecycle::Stopped,
            removed: lifecycle >= Lifecycle::Removed,
        }
    }
}

/// What must run before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredPending", into = "StoredPending")]
pub(crate) enum Pending {
    /// Nothing.
    #[default]
    None,
    /// The hook that follows the one before.
    Queued(Hook),
    /// `upgrade-charm`: a new pod has the charm.
    Upgrade,
}

impl Pending {
    /// A hook, where it follows.
    pub(crate) fn queued(hook: Hook, follows: bool) -> Self {
        if follows { Self::Queued(hook) } else { Self::None }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredPending {
    queued: Option<Hook>,
    upgrade_due: bool,
}

impl From<StoredPending> for Pending {
    fn from(stored: StoredPending) -> Self {
        match (stored.queued, stored.upgrade_due) {
            (_, true) => Self::Upgrade,
            (Some(hook), false) => Self::Queued(hook),
            (None, false) => Self::None,
        }
    }
}

impl From<Pending> for StoredPending {
    fn from(pending: Pending) -> Self {
        let upgrade_due = pending == Pending::Upgrade;
        let queued = match pending {
            Pending::Queued(hook) => Some(hook),
            Pending::None | Pending::Upgrade => None,
        };
        Self { queued, upgrade_due }
    }
}

/// The fingerprint of options, trust and addresses that `config-changed` has seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredConfigSeen", into = "StoredConfigSeen")]
pub(crate) enum ConfigSeen {
    /// It has not run.
    #[default]
    Never,
    /// It has run for this one, and runs for it once more.
    Once(u64),
    /// It has run for this one.
    Seen(u64),
}

impl ConfigSeen {
    pub(crate) fn fingerprint(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Once(fingerprint) | Self::Seen(fingerprint) => Some(fingerprint),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredConfigSeen {
    config_seen: Option<u64>,
    #[serde(default)]
    config_again: bool,
}

impl From<StoredConfigSeen> for ConfigSeen {
    fn from(stored: StoredConfigSeen) -> Self {
        match (stored.config_seen, stored.config_again) {
            (None, _) => Self::Never,
            (Some(fingerprint), true) => Self::Once(fingerprint),
            (Some(fingerprint), false) => Self::Seen(fingerprint),
        }
    }
}

impl From<ConfigSeen> for StoredConfigSeen {
    fn from(seen: ConfigSeen) -> Self {
        let config_again = matches!(seen, ConfigSeen::Once(_));
        Self { config_seen: seen.fingerprint(), config_again }
    }
}

/// A hook that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) hook: Hook,
    pub(crate) attempts: u32,
    #[serde(rename = "retry_at")]
    pub(crate) retry: Retry,
    pub(crate) since: Timestamp,
}

/// When a failed hook runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Timestamp", into = "Timestamp")]
pub(crate) enum Retry {
    /// At once, even where failed hooks wait for a person.
    Now,
    /// After a pause.
    At(Timestamp),
}

impl From<Timestamp> for Retry {
    fn from(stored: Timestamp) -> Self {
        if stored == Timestamp::UNIX_EPOCH { Self::Now } else { Self::At(stored) }
    }
}

impl From<Retry> for Timestamp {
    fn from(retry: Retry) -> Self {
        match retry {
            Retry::Now => Self::UNIX_EPOCH,
            Retry::At(at) => at,
        }
    }
}

/// One relation as one unit has seen it so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Membership {
    #[serde(flatten)]
    pub(crate) stage: Stage,
    /// Remote units that joined, with the bag version they were last seen at.
    pub(crate) members: BTreeMap<UnitName, u64>,
    /// The version of the remote application's bag that was last seen.
    pub(crate) app_seen: u64,
    /// Joined just now; `changed` must follow.
    pub(crate) changed_due: Option<UnitName>,
    /// Members that have gone without a word.
    #[serde(default)]
    pub(crate) ghosts: BTreeSet<UnitName>,
}

/// How far a unit is in a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredStage", into = "StoredStage")]
pub(crate) enum Stage {
    /// `relation-created` has not run.
    #[default]
    New,
    /// It takes part.
    Created,
    /// It takes part, and its agent has started since: that knows neither whose the relation is
    /// nor that its peers are peers.
    Reloaded,
    /// It has left for good.
    Left,
}

#[derive(Serialize, Deserialize)]
struct StoredStage {
    created: bool,
    left: bool,
    #[serde(default)]
    forgotten: bool,
}

impl From<StoredStage> for Stage {
    fn from(stored: StoredStage) -> Self {
        match stored {
            StoredStage { left: true, .. } => Self::Left,
            StoredStage { created: false, .. } => Self::New,
            StoredStage { forgotten: true, .. } => Self::Reloaded,
            StoredStage { forgotten: false, .. } => Self::Created,
        }
    }
}

impl From<Stage> for StoredStage {
    fn from(stage: Stage) -> Self {
        Self {
            created: stage != Stage::New,
            left: stage == Stage::Left,
            forgotten: stage == Stage::Reloaded,
        }
    }
}
