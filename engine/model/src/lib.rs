//! Juju's rules as one pure state machine.
//!
//! The daemon reports what the world does (addresses, boots, agents), asks each unit's
//! [`Model::next`] hook, runs it against [`Model::tools`] and hands back how it ended.
//! There is no I/O and no clock here: the same calls give the same events.

mod action;
mod application;
mod begin;
mod call;
mod call_misc;
mod call_relation;
mod call_secret;
mod commit;
mod config;
mod endpoints;
mod environment;
mod error;
mod flush;
mod flush_secret;
mod hook;
mod limits;
mod log;
mod meta;
mod operator;
mod parts;
mod relation;
mod removal;
mod resolve;
mod resolve_relation;
mod resolve_secret;
mod schema;
mod secret;
mod seed;
mod session;
mod storage;
pub mod tools;
mod unit;
mod user_secret;
mod views;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use names::{AppName, ModelName, RelationId, SecretId, UnitName};
use serde::{Deserialize, Serialize};

pub use action::{Action, ActionLog, ActionStatus};
pub use application::{Application, Constraints, Life};
pub use call::ToolCall;
pub use error::{FlushError, MetaError, ModelError};
pub use hook::{Hook, HookOutcome, HookRun, Next, RelationEvent};
pub use limits::{DOCUMENT_MAX, KEPT_MAX};
pub use log::LogLine;
pub use meta::{
    ActionMeta, CharmMeta, ContainerMeta, EndpointMeta, OptionKind, OptionMeta, ResourceMeta, Role,
    StorageMeta,
};
pub use operator::Deploy;
pub use parts::{ActionsYaml, ConfigYaml, MetadataYaml};
pub use relation::{Databag, Relation, RelationEnd};
pub use secret::{Grant, Owner, Rotation, Secret, SecretContent, SecretRevision, Tracking};
use seed::Seed;
pub use session::Session;
pub use storage::StorageInstance;
pub use unit::{AgentState, AgentStatus, Trouble, Unit};

/// The version of Juju whose rules these are.
pub const JUJU_VERSION: &str = "3.6.11";

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
    /// Seconds between two `update-status` hooks of one unit.
    update_status_interval: u64,
    /// Whether a failed hook runs again by itself.
    #[serde(default = "yes")]
    retry_hooks: bool,
    /// Shuffles events between which Juju promises no order.
    #[serde(default)]
    shuffle: Option<u64>,
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
    live: BTreeMap<UnitName, unit::Live>,
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
            update_status_interval: UPDATE_STATUS_INTERVAL,
            retry_hooks: true,
            shuffle: None,
            apps: BTreeMap::new(),
            units: BTreeMap::new(),
            relations: BTreeMap::new(),
            next_relation: 0,
            secrets: BTreeMap::new(),
            actions: BTreeMap::new(),
            next_action: 1,
            storage: BTreeMap::new(),
            next_storage: 0,
            live: BTreeMap::new(),
            leases: BTreeMap::new(),
            log: Vec::new(),
            next_exec: 0,
        }
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
                let turn = |thing: &T| resolve::hash(&format!("{seed} {unit} {}", name(thing)));
                [first, second].into_iter().chain(things).min_by_key(turn)
            }
        }
    }

    /// Takes from another state of the same model what is not stored: agents, leases, the log.
    pub fn take_live(&mut self, from: &mut Self) {
        self.live = std::mem::take(&mut from.live);
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
