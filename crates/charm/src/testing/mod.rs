//! Runs a charm in memory, against Juju's rules.
//!
//! A [`World`] is everything Juju knows about one unit. [`World::run`] sends one event
//! to a charm and gives back the world as the charm left it. A world that Juju would
//! never produce, such as an event of a relation that is not there, is refused.
//!
//! ```
//! # use charm::{Applied, Charm, Decision, Event, Hook, HookError, Status};
//! use charm::testing::World;
//! # struct Small;
//! # impl Charm for Small {
//! #     type Facts = ();
//! #     type Effect = ();
//! #     type Error = HookError;
//! #     async fn gather(&mut self, _: &mut Hook, _: &Event) -> Result<(), HookError> { Ok(()) }
//! #     fn decide(_: &Event, (): &()) -> Decision<()> { Decision::new().status(Status::active()) }
//! #     async fn apply(&mut self, _: &mut Hook, (): ()) -> Result<Applied, HookError> {
//! #         Ok(Applied::Done)
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let world = World::new("name: small", "small/0")?.leader();
//! let ran = world.run(Small, &Event::Start)?;
//! assert_eq!(ran.result, Ok(()));
//! assert_eq!(ran.world.status(), Some(Status::active()));
//! assert_eq!(ran.calls("status-set"), 1);
//! # Ok(())
//! # }
//! ```

mod args;
mod manifest;
mod possible;
mod relation;
mod secrets;
mod tools;
mod unit;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use names::{ContainerName, NameError, RelationId, SecretId, UnitName};
use serde_json::{Map, Value};

use crate::{Bag, Charm, Deferrals, Environment, Event, SecretOwner, Status};
use manifest::Manifest;
pub use relation::Relation;
use secrets::Secret;
use tools::Memory;

/// A world or an event that Juju would never produce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot run the charm in an impossible world: {}", .0.join("; "))]
pub struct Impossible(
    /// Every reason, each a sentence.
    pub Vec<String>,
);

/// Everything Juju knows about one unit.
#[derive(Clone)]
pub struct World {
    wrong: Vec<String>,
    manifest: Manifest,
    pub(crate) unit: UnitName,
    leader: bool,
    planned: usize,
    config: BTreeMap<String, Value>,
    relations: BTreeMap<RelationId, Relation>,
    secrets: BTreeMap<SecretId, Secret>,
    containers: BTreeMap<ContainerName, PathBuf>,
    storage: BTreeMap<String, PathBuf>,
    resources: BTreeMap<String, PathBuf>,
    state: Bag,
    status: Option<Status>,
    app_status: Option<Status>,
    version: Option<String>,
    ports: BTreeSet<String>,
    minted: u8,
}

/// What one run did.
pub struct Ran {
    /// Whether the hook succeeded; otherwise what went wrong, and Juju has dropped every
    /// buffered write.
    pub result: Result<(), String>,
    /// The world afterwards.
    pub world: World,
    /// The names of the hook tools called, in order.
    pub tools: Vec<String>,
    /// The lines logged: level and text.
    pub logs: Vec<(String, String)>,
    /// The action's results, by dotted key.
    pub results: Bag,
    /// The message of the action's failure.
    pub failure: Option<String>,
}

impl Ran {
    /// How often a tool was called.
    pub fn calls(&self, tool: &str) -> usize {
        self.tools.iter().filter(|name| *name == tool).count()
    }
}

/// A secret id for tests, one for each number.
pub fn secret_id(number: u8) -> SecretId {
    SecretId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, number])
}

fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl World {
    /// A unit of a charm, given the text of its `metadata.yaml`. It does not lead, and
    /// every declared container exists but does not answer.
    ///
    /// # Errors
    /// When the text is no metadata or the name is no unit's.
    pub fn new(metadata: &str, unit: &str) -> Result<Self, Impossible> {
        let manifest = Manifest::parse(metadata)
            .map_err(|why| Impossible(vec![format!("metadata.yaml: {why}")]))?;
        let unit = unit.parse().map_err(|error: NameError| Impossible(vec![error.to_string()]))?;
        let containers = manifest
            .containers
            .keys()
            .map(|name| (name.clone(), PathBuf::from(format!("/nowhere/{name}/pebble.socket"))))
            .collect();
        Ok(Self {
            wrong: Vec::new(),
            manifest,
            unit,
            leader: false,
            planned: 1,
            config: BTreeMap::new(),
            relations: BTreeMap::new(),
            secrets: BTreeMap::new(),
            containers,
            storage: BTreeMap::new(),
            resources: BTreeMap::new(),
            state: Bag::new(),
            status: None,
            app_status: None,
            version: None,
            ports: BTreeSet::new(),
            minted: 0,
        })
    }

    /// Declares the options of this `config.yaml`; defaults apply.
    #[must_use]
    pub fn config_yaml(mut self, text: &str) -> Self {
        if let Err(why) = self.manifest.read_config(text) {
            self.wrong.push(format!("config.yaml: {why}"));
        }
        self
    }

    /// Declares the actions of this `actions.yaml`; defaults apply.
    #[must_use]
    pub fn actions_yaml(mut self, text: &str) -> Self {
        if let Err(why) = self.manifest.read_actions(text) {
            self.wrong.push(format!("actions.yaml: {why}"));
        }
        self
    }

    /// Makes the unit lead its application.
    #[must_use]
    pub fn leader(mut self) -> Self {
        self.leader = true;
        self
    }

    /// Makes another unit lead.
    #[must_use]
    pub fn follower(mut self) -> Self {
        self.leader = false;
        self
    }

    /// Sets how many units the application is meant to have; 1 at first.
    #[must_use]
    pub fn planned_units(mut self, units: usize) -> Self {
        self.planned = units;
        self
    }

    /// Sets an option.
    #[must_use]
    pub fn config(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a relation, or puts it in the place of the one with its id.
    #[must_use]
    pub fn relation(mut self, relation: Relation) -> Self {
        self.wrong.extend(relation.wrong.iter().cloned());
        self.relations.insert(relation.id, relation);
        self
    }

    /// Removes a relation.
    #[must_use]
    pub fn without_relation(mut self, id: u32) -> Self {
        self.relations.remove(&RelationId(id));
        self
    }

    /// Adds a secret that this unit or its application owns.
    #[must_use]
    pub fn own_secret(mut self, label: &str, owner: SecretOwner, content: &[(&str, &str)]) -> Self {
        let id = self.mint();
        self.secrets.insert(id, Secret::own(label, owner, bag(content)));
        self
    }

    /// Adds a secret of somebody else that this unit may read, or gives it a new revision.
    #[must_use]
    pub fn remote_secret(mut self, id: &SecretId, content: &[(&str, &str)]) -> Self {
        let secret = self.secrets.entry(id.clone()).or_insert_with(Secret::remote);
        secret.revisions.push(bag(content));
        secret.denied = false;
        self
    }

    /// Makes a secret one that this unit may not read (any more).
    #[must_use]
    pub fn denied_secret(mut self, id: &SecretId) -> Self {
        self.secrets.entry(id.clone()).or_insert_with(Secret::remote).denied = true;
        self
    }

    /// Says where a container's Pebble listens.
    #[must_use]
    pub fn container(mut self, name: &str, socket: impl Into<PathBuf>) -> Self {
        match name.parse() {
            Ok(name) => drop(self.containers.insert(name, socket.into())),
            Err(error) => self.wrong.push(NameError::to_string(&error)),
        }
        self
    }

    /// Adds a storage instance, for instance `pgdata/0`.
    #[must_use]
    pub fn storage(mut self, id: &str, location: &str) -> Self {
        self.storage.insert(id.to_owned(), PathBuf::from(location));
        self
    }

    /// Adds a resource's file.
    #[must_use]
    pub fn resource(mut self, name: &str, path: &str) -> Self {
        self.resources.insert(name.to_owned(), PathBuf::from(path));
        self
    }

    /// Puts something in the controller state.
    #[must_use]
    pub fn state(mut self, key: &str, value: &str) -> Self {
        self.state.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sends one event to the charm.
    ///
    /// # Errors
    /// When Juju would never produce this world or send this event in it. That the hook
    /// fails is no error: see [`Ran::result`].
    pub fn run<C: Charm>(self, charm: C, event: &Event) -> Result<Ran, Impossible> {
        self.run_with(charm, event, Map::new())
    }

    /// Runs an action with parameters; defaults come from `actions.yaml`.
    ///
    /// # Errors
    /// As [`World::run`].
    pub fn run_action<C: Charm>(
        self,
        charm: C,
        name: &str,
        params: &[(&str, Value)],
    ) -> Result<Ran, Impossible> {
        let params = params.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let event = Event::Action { name: name.to_owned(), id: "1".to_owned() };
        self.run_with(charm, &event, params)
    }

    fn run_with<C: Charm>(
        self,
        charm: C,
        event: &Event,
        params: Map<String, Value>,
    ) -> Result<Ran, Impossible> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Impossible(vec![error.to_string()]))?;
        runtime.block_on(self.run_async(charm, event, params))
    }

    /// As [`World::run`], inside a runtime that is there already.
    ///
    /// # Errors
    /// As [`World::run`].
    pub async fn run_async<C: Charm>(
        self,
        mut charm: C,
        event: &Event,
        params: Map<String, Value>,
    ) -> Result<Ran, Impossible> {
        possible::check(&self, event)?;
        let environment = self.environment(event);
        let before = self.clone();
        let memory = Rc::new(RefCell::new(Memory::new(self, event.clone(), params)));
        let tools = Box::new(Rc::clone(&memory));
        let result = crate::dispatch(&mut charm, environment, &event.to_vars(), tools).await;
        let Memory { mut world, calls: tools, logs, results, failure, .. } =
            memory.borrow().clone();
        if result.is_err() {
            world.drop_buffered(before);
        }
        let result = result.map_err(|error| error.to_string());
        Ok(Ran { result, world, tools, logs, results, failure })
    }

    /// What a failed hook leaves of the world: statuses and version only.
    fn drop_buffered(&mut self, before: Self) {
        let now = std::mem::replace(self, before);
        self.status = now.status;
        self.app_status = now.app_status;
        self.version = now.version;
    }

    fn environment(&self, event: &Event) -> Environment {
        let relation = match event {
            Event::Relation(relation) => relation.remote_app.clone().map(|app| (relation.id, app)),
            _ => None,
        };
        Environment {
            unit: self.unit.clone(),
            model: "testing".to_owned(),
            model_uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            juju_version: "3.6.11".to_owned(),
            charm_dir: PathBuf::from("/charm-dir"),
            relation,
            sockets: Some(self.containers.clone()),
        }
    }

    fn mint(&mut self) -> SecretId {
        self.minted += 1;
        SecretId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, self.minted])
    }
}

/// What a test looks at.
impl World {
    /// The unit's status, if the charm set one.
    pub fn status(&self) -> Option<Status> {
        self.status.clone()
    }

    /// The application's status, if the charm set one.
    pub fn app_status(&self) -> Option<Status> {
        self.app_status.clone()
    }

    /// The workload's version, if the charm told one.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The own unit's databag; empty where there is no such relation.
    pub fn unit_bag(&self, id: u32) -> Bag {
        self.relations.get(&RelationId(id)).map(|found| found.own_unit.clone()).unwrap_or_default()
    }

    /// The own application's databag; empty where there is no such relation.
    pub fn app_bag(&self, id: u32) -> Bag {
        self.relations.get(&RelationId(id)).map(|found| found.own_app.clone()).unwrap_or_default()
    }

    /// The latest content of an own secret with this label.
    pub fn secret(&self, label: &str) -> Option<&Bag> {
        self.own(label)?.1.revisions.last()
    }

    /// The id of an own secret with this label.
    pub fn secret_id(&self, label: &str) -> Option<&SecretId> {
        Some(self.own(label)?.0)
    }

    /// How many revisions an own secret with this label has had.
    pub fn secret_revisions(&self, label: &str) -> usize {
        self.own(label).map_or(0, |(_, secret)| secret.revisions.len())
    }

    /// The relations that an own secret with this label is granted to.
    pub fn secret_grants(&self, label: &str) -> Vec<RelationId> {
        self.own(label).map(|(_, s)| s.grants.iter().copied().collect()).unwrap_or_default()
    }

    /// The deferred events and their reasons.
    pub fn deferred(&self) -> Deferrals {
        self.state.get("deferred").map(|text| Deferrals::parse(text)).unwrap_or_default()
    }

    /// The value of a key of the controller state.
    pub fn state_value(&self, key: &str) -> Option<&str> {
        self.state.get(key).map(String::as_str)
    }

    /// The open ports, for instance `5432/tcp`.
    pub fn ports(&self) -> Vec<&str> {
        self.ports.iter().map(String::as_str).collect()
    }

    fn own(&self, label: &str) -> Option<(&SecretId, &Secret)> {
        self.secrets.iter().find(|(_, s)| s.owner.is_some() && s.label.as_deref() == Some(label))
    }
}
