//! Juju's rules as one pure state machine.
//!
//! The daemon reports what the world does (addresses, boots, agents), asks each unit's
//! [`Model::next`] hook, runs it against [`Model::tools`] and hands back how it ended.
//! There is no I/O and no clock here: the same calls give the same events.

mod agent;
mod command;
mod entity;
mod error;
mod given;
mod hash;
mod juju;
mod limits;
mod log;
mod report;
mod seed;
mod size;
pub mod tool;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use juju_names::{AppName, ModelName, RelationId, SecretId, UnitName};
use serde::{Deserialize, Serialize};

pub use agent::memory::InClusterConfig;
pub use command::deploy::Deploy;
pub use command::secrets::SecretUpdate;
pub use entity::action::{Action, ActionLog, ActionStatus};
pub use entity::application::{Application, Constraints, Life};
pub use entity::charm_yaml::{ActionsYaml, ConfigYaml, MetadataYaml};
pub use entity::hook::{Hook, HookOutcome, HookRun, Next, RelationEvent};
pub use entity::meta::{
    ActionMeta, CharmMeta, ContainerMeta, EndpointMeta, OptionKind, OptionMeta, ResourceMeta, Role,
    StorageMeta,
};
pub use entity::relation::{Databag, Relation, RelationEnd};
pub use entity::secret::{Grant, Owner, Rotation, Secret, SecretContent, SecretRevision, Tracking};
pub use entity::storage::StorageInstance;
pub use entity::unit::{AgentState, AgentStatus, PodProblem, Unit};
pub use error::{FlushError, MetaError, ModelError};
pub use juju::{Juju, Rules, UnknownJuju};
pub use limits::{DOCUMENT_MAX, KEPT_MAX};
pub use log::LogLine;
use seed::Seed;
pub use tool as tools;
pub use tool::call::ToolCall;
pub use tool::session::Session;

/// The default of `update-status-hook-interval`, in seconds.
pub const UPDATE_STATUS_INTERVAL: u64 = 300;

fn yes() -> bool {
    true
}

/// One Juju model: everything that its controller would keep, and what its agents keep in memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Model {
    name: ModelName,
    uuid: String,
    seed: Seed,
    /// Whose rules these are.
    #[serde(default)]
    juju: Juju,
    /// When it was made; unknown for one from an older store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<jiff::Timestamp>,
    /// Seconds between two `update-status` hooks of one unit.
    update_status_interval: u64,
    /// Whether a failed hook runs again by itself.
    #[serde(default = "yes")]
    retry_hooks: bool,
    /// Shuffles events between which Juju promises no order.
    #[serde(default)]
    shuffle: Option<u64>,
    /// Options of the model that only the operator reads back.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// The constraints of applications that say nothing themselves.
    #[serde(default)]
    constraints: BTreeMap<String, String>,
    apps: BTreeMap<AppName, Application>,
    units: BTreeMap<UnitName, Unit>,
    relations: BTreeMap<RelationId, Relation>,
    next_relation: u32,
    secrets: BTreeMap<SecretId, Secret>,
    actions: BTreeMap<u64, Action>,
    next_action: u64,
    storage: BTreeMap<String, StorageInstance>,
    next_storage: u32,
    /// What dies with the engine: agents, boots and queued commands.
    #[serde(skip)]
    memory: BTreeMap<UnitName, agent::memory::AgentMemory>,
    /// When each leader's lease ends; renewed while its agent is up.
    #[serde(skip)]
    leases: BTreeMap<AppName, jiff::Timestamp>,
    #[serde(skip)]
    log: Vec<LogLine>,
    #[serde(skip)]
    next_exec: u64,
}

impl Model {
    /// An empty model. `seed` feeds secret ids and hook context ids, nothing else.
    pub fn new(name: ModelName, uuid: String, seed: u64) -> Self {
        Self {
            name,
            uuid,
            seed: Seed::new(seed),
            juju: Juju::default(),
            since: None,
            update_status_interval: UPDATE_STATUS_INTERVAL,
            retry_hooks: true,
            shuffle: None,
            options: BTreeMap::new(),
            constraints: BTreeMap::new(),
            apps: BTreeMap::new(),
            units: BTreeMap::new(),
            relations: BTreeMap::new(),
            next_relation: 0,
            secrets: BTreeMap::new(),
            actions: BTreeMap::new(),
            next_action: 1,
            storage: BTreeMap::new(),
            next_storage: 0,
            memory: BTreeMap::new(),
            leases: BTreeMap::new(),
            log: Vec::new(),
            next_exec: 0,
        }
    }

    /// The same model under the rules of another Juju; for one that has nothing yet.
    #[must_use]
    pub fn under(mut self, juju: Juju) -> Self {
        self.juju = juju;
        self
    }

    /// The same model, with the time at which it was made.
    #[must_use]
    pub fn made_at(mut self, at: jiff::Timestamp) -> Self {
        self.since = Some(at);
        self
    }

    /// When it was made, where that is known.
    pub fn since(&self) -> Option<jiff::Timestamp> {
        self.since
    }

    /// The Juju whose rules these are.
    pub fn juju(&self) -> Juju {
        self.juju
    }

    pub(crate) fn rules(&self) -> &'static Rules {
        self.juju.rules()
    }

    /// Shuffles, from now on, the order of events of different relations, storages and secrets,
    /// which Juju leaves open; the same seed gives the same order. `None` gives the plain order.
    pub fn shuffle(&mut self, seed: Option<u64>) {
        self.shuffle = seed;
    }

    /// Of things that come to a unit in no promised order, the one that comes first.
    fn first_in_turn<T>(
        &self,
        unit: &UnitName,
        mut things: impl Iterator<Item = T>,
        name: impl Fn(&T) -> String,
    ) -> Option<T> {
        match self.shuffle {
            None => things.next(),
            Some(seed) => {
                let (first, second) = (things.next()?, things.next());
                // One thing needs no turn.
                let Some(second) = second else { return Some(first) };
                let turn = |thing: &T| hash::hash(&format!("{seed} {unit} {}", name(thing)));
                [first, second].into_iter().chain(things).min_by_key(turn)
            }
        }
    }

    /// Takes from another state of the same model what is not stored: agents, leases, the log.
    pub fn take_live(&mut self, from: &mut Self) {
        self.memory = std::mem::take(&mut from.memory);
        self.leases = std::mem::take(&mut from.leases);
        self.log = std::mem::take(&mut from.log);
        self.next_exec = from.next_exec;
        // Ids that running hooks were given are not given again.
        self.seed = from.seed.clone();
    }

    /// The model's name.
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// The model's UUID.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Whether the unit leads its application.
    pub fn is_leader(&self, unit: &UnitName) -> bool {
        self.apps.get(unit.app()).is_some_and(|app| app.leader.as_ref() == Some(unit))
    }

    /// Numbers of the application's units, dying ones included.
    fn units_of(&self, app: &AppName) -> BTreeSet<UnitName> {
        self.units.keys().filter(|unit| unit.app() == app).cloned().collect()
    }
}
