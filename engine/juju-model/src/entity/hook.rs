//! Hooks: which there are, and one run of one of them.

use juju_names::{AppName, ContainerName, EndpointName, RelationId, SecretId, UnitName};
use serde::{Deserialize, Serialize};

/// The relation of a relation hook, as the unit sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationEvent {
    /// The relation.
    pub id: RelationId,
    /// The unit's own endpoint.
    pub endpoint: EndpointName,
    /// The other application; the own one for peers.
    pub remote_app: AppName,
}

/// Everything that a unit agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the variants and fields are Juju's own terms")]
pub enum Hook {
    Install,
    Start,
    ConfigChanged,
    UpdateStatus,
    LeaderElected,
    LeaderSettingsChanged,
    UpgradeCharm,
    Stop,
    Remove,
    RelationCreated {
        relation: RelationEvent,
    },
    RelationJoined {
        relation: RelationEvent,
        unit: UnitName,
    },
    /// Without a unit: the application's databag changed.
    RelationChanged {
        relation: RelationEvent,
        unit: Option<UnitName>,
    },
    RelationDeparted {
        relation: RelationEvent,
        unit: UnitName,
        departing: UnitName,
    },
    /// `nameless`: the agent has started since it entered the relation, and does not say whose it
    /// is.
    RelationBroken {
        relation: RelationEvent,
        #[serde(default)]
        nameless: bool,
    },
    PebbleReady {
        container: ContainerName,
    },
    PebbleCustomNotice {
        container: ContainerName,
        id: String,
        key: String,
    },
    PebbleCheckFailed {
        container: ContainerName,
        check: String,
    },
    PebbleCheckRecovered {
        container: ContainerName,
        check: String,
    },
    SecretChanged {
        id: SecretId,
        label: String,
    },
    SecretRotate {
        id: SecretId,
        label: String,
    },
    SecretExpired {
        id: SecretId,
        label: String,
        revision: u32,
    },
    SecretRemove {
        id: SecretId,
        label: String,
        revision: u32,
    },
    /// `storage` is `pgdata/0`.
    StorageAttached {
        storage: String,
    },
    StorageDetaching {
        storage: String,
    },
    Action {
        id: u64,
        action: String,
    },
    /// `juju-exec`: a shell command in a hook context.
    Exec {
        id: u64,
        command: String,
    },
}

impl Hook {
    /// The hook's name, such as `db-relation-joined`; for an action, the action's name.
    pub fn name(&self) -> String {
        match self {
            Self::Install => "install".into(),
            Self::Start => "start".into(),
            Self::ConfigChanged => "config-changed".into(),
            Self::UpdateStatus => "update-status".into(),
            Self::LeaderElected => "leader-elected".into(),
            Self::LeaderSettingsChanged => "leader-settings-changed".into(),
            Self::UpgradeCharm => "upgrade-charm".into(),
            Self::Stop => "stop".into(),
            Self::Remove => "remove".into(),
            Self::RelationCreated { relation } => format!("{}-relation-created", relation.endpoint),
            Self::RelationJoined { relation, .. } => {
                format!("{}-relation-joined", relation.endpoint)
            }
            Self::RelationChanged { relation, .. } => {
                format!("{}-relation-changed", relation.endpoint)
            }
            Self::RelationDeparted { relation, .. } => {
                format!("{}-relation-departed", relation.endpoint)
            }
            Self::RelationBroken { relation, .. } => {
                format!("{}-relation-broken", relation.endpoint)
            }
            Self::PebbleReady { container } => format!("{container}-pebble-ready"),
            Self::PebbleCustomNotice { container, .. } => {
                format!("{container}-pebble-custom-notice")
            }
            Self::PebbleCheckFailed { container, .. } => format!("{container}-pebble-check-failed"),
            Self::PebbleCheckRecovered { container, .. } => {
                format!("{container}-pebble-check-recovered")
            }
            Self::SecretChanged { .. } => "secret-changed".into(),
            Self::SecretRotate { .. } => "secret-rotate".into(),
            Self::SecretExpired { .. } => "secret-expired".into(),
            Self::SecretRemove { .. } => "secret-remove".into(),
            Self::StorageAttached { storage } => {
                format!("{}-storage-attached", storage_name(storage))
            }
            Self::StorageDetaching { storage } => {
                format!("{}-storage-detaching", storage_name(storage))
            }
            Self::Action { action, .. } => action.clone(),
            Self::Exec { .. } => "run-commands".into(),
        }
    }

    /// `JUJU_DISPATCH_PATH`; empty for `juju-exec`.
    pub fn dispatch_path(&self) -> String {
        match self {
            Self::Action { action, .. } => format!("actions/{action}"),
            Self::Exec { .. } => String::new(),
            _ => format!("hooks/{}", self.name()),
        }
    }

    /// The relation of a relation hook.
    pub fn relation(&self) -> Option<&RelationEvent> {
        match self {
            Self::RelationCreated { relation }
            | Self::RelationJoined { relation, .. }
            | Self::RelationChanged { relation, .. }
            | Self::RelationDeparted { relation, .. }
            | Self::RelationBroken { relation, .. } => Some(relation),
            _ => None,
        }
    }

    /// The remote unit of a relation hook.
    pub fn remote_unit(&self) -> Option<&UnitName> {
        match self {
            Self::RelationJoined { unit, .. } | Self::RelationDeparted { unit, .. } => Some(unit),
            Self::RelationChanged { unit, .. } => unit.as_ref(),
            _ => None,
        }
    }

    /// Whether it is of a relation, and does not name the other application.
    pub fn is_nameless(&self) -> bool {
        matches!(self, Self::RelationBroken { nameless: true, .. })
    }

    /// Whether something in a workload container caused it. Such a hook that failed holds nothing
    /// else back.
    pub fn is_workload(&self) -> bool {
        matches!(self, Self::PebbleReady { .. }) || self.is_notice()
    }

    /// Whether a Pebble notice caused it.
    pub(crate) fn is_notice(&self) -> bool {
        matches!(
            self,
            Self::PebbleCustomNotice { .. }
                | Self::PebbleCheckFailed { .. }
                | Self::PebbleCheckRecovered { .. }
        )
    }

    /// Whether it is an action or `juju-exec`, which leave the unit's own state alone.
    pub fn is_operation(&self) -> bool {
        matches!(self, Self::Action { .. } | Self::Exec { .. })
    }
}

/// The name of a storage instance: `pgdata` of `pgdata/0`.
pub(crate) fn storage_name(id: &str) -> &str {
    id.split_once('/').map_or(id, |(name, _)| name)
}

/// One run of one hook, from [`crate::Model::next`] to [`crate::Model::finish`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRun {
    /// The unit that runs it.
    pub unit: UnitName,
    /// What to run.
    pub hook: Hook,
    /// `JUJU_CONTEXT_ID`: only who knows it may call hook tools.
    pub context_id: String,
    /// The version of what caused the hook, recorded when it commits.
    pub(crate) cause_version: u64,
}

/// What a unit agent does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run this.
    Hook(HookRun),
    /// Nothing is due; something may be at this time even if nothing changes.
    Idle {
        /// When to ask again.
        until: Option<jiff::Timestamp>,
    },
    /// The hook of a notice failed, and the agent ended with it: after a pause call
    /// [`crate::Model::agent_started`] and report the containers' notices from the first on.
    Restart,
    /// The unit has run its last hook: delete its pod, then call [`crate::Model::unit_gone`].
    Gone,
}

/// How a hook's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutcome {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Killed,
    /// The charm has neither `dispatch` nor a file for this hook: committed, unless an action.
    NotImplemented,
}
