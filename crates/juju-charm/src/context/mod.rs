//! The charm's view of Juju for one dispatch: reads once, writes what differs.

mod action;
mod cache;
mod log;
mod pairs;
mod relation;
mod secret;
mod state;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use juju_names::{AppName, ContainerName, RelationId, UnitName};
use serde::de::DeserializeOwned;

pub use cache::Cause;
pub use log::Level;
pub use unit::{Config, Network, PairsError, Port, Storage};

use crate::{Bag, Changes, Environment, Own, Party, Revision, SecretContent, SecretInfo};
use crate::{Status, ToolError, Tools};

/// What stops a read or a write.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Juju refused the call, or it could not be made.
    #[error("cannot {doing}: {source}")]
    Call {
        /// What the charm wanted.
        doing: String,
        /// Why not.
        source: ToolError,
    },
    /// A tool printed something else than it should.
    #[error("cannot {doing}: the answer of {tool} is malformed")]
    Answer {
        /// What the charm wanted.
        doing: String,
        /// The tool.
        tool: &'static str,
        /// What is wrong with the answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl HookError {
    fn tool(&self) -> Option<&ToolError> {
        match self {
            Self::Call { source, .. } => Some(source),
            Self::Answer { .. } => None,
        }
    }

    /// Whether Juju knows no such relation or secret.
    pub fn is_not_found(&self) -> bool {
        self.tool().is_some_and(ToolError::is_not_found)
    }

    /// Whether the controller has removed a relation that the agent still lists.
    pub fn is_relation_gone(&self) -> bool {
        self.tool().is_some_and(ToolError::is_relation_gone)
    }

    /// Whether Juju does not let this unit do that.
    pub fn is_denied(&self) -> bool {
        self.tool().is_some_and(ToolError::is_denied)
    }

    /// Whether only the leader may do that.
    pub fn is_not_leader(&self) -> bool {
        self.tool().is_some_and(ToolError::is_not_leader)
    }
}

/// Everything a charm may ask of Juju in one dispatch.
///
/// Reads are cached for the dispatch. What `cached_…` reads is remembered in the controller
/// state besides, until something makes it doubtful; the framework writes that down at the end
/// of the hook. A reader writes nothing else but lines of the log.
pub struct Reader {
    environment: Environment,
    tools: Box<dyn Tools>,
    config: Option<Config>,
    leader: Option<bool>,
    goal: Option<unit::Goal>,
    relations: BTreeMap<String, Vec<RelationId>>,
    /// The relation that is broken in this hook.
    ending: Option<RelationId>,
    /// Relations that are listed, and that the controller has removed.
    gone: BTreeSet<RelationId>,
    members: BTreeMap<RelationId, Vec<UnitName>>,
    apps: BTreeMap<RelationId, AppName>,
    bags: BTreeMap<(RelationId, Party), Bag>,
    cached_bags: BTreeSet<(RelationId, Own)>,
    contents: BTreeMap<String, (Revision, Option<SecretContent>)>,
    infos: BTreeMap<String, Option<SecretInfo>>,
    state: Option<state::State>,
    ports: Option<BTreeSet<Port>>,
    logs: BTreeMap<Level, Vec<String>>,
}

/// A [`Reader`] that may also write.
///
/// Writes to bags, controller state, action results and the log are collected and leave at the
/// end of the hook, one call each, which is when Juju commits them anyway; own reads see own
/// writes. Statuses, versions, ports and secrets are written at once.
pub struct Context {
    reader: Reader,
    bag_changes: BTreeMap<(RelationId, Own), Changes>,
    status: Option<Option<Status>>,
    app_status: Option<Option<Status>>,
    results: BTreeMap<String, String>,
}

impl Deref for Context {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl DerefMut for Context {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl Context {
    /// A hook in which nothing has been read or written.
    pub fn new(environment: Environment, tools: Box<dyn Tools>) -> Self {
        Self {
            reader: Reader::new(environment, tools),
            bag_changes: BTreeMap::new(),
            status: None,
            app_status: None,
            results: BTreeMap::new(),
        }
    }

    /// Writes everything that is still collected; [`crate::dispatch`] does it at the end.
    ///
    /// # Errors
    /// When Juju refuses a write.
    pub fn flush(&mut self) -> Result<(), HookError> {
        self.flush_bags()?;
        self.keep_cached_bags()?;
        self.flush_state()?;
        self.flush_results()
    }
}

impl Reader {
    fn new(environment: Environment, tools: Box<dyn Tools>) -> Self {
        Self {
            environment,
            tools,
            config: None,
            leader: None,
            goal: None,
            relations: BTreeMap::new(),
            ending: None,
            gone: BTreeSet::new(),
            members: BTreeMap::new(),
            apps: BTreeMap::new(),
            bags: BTreeMap::new(),
            cached_bags: BTreeSet::new(),
            contents: BTreeMap::new(),
            infos: BTreeMap::new(),
            state: None,
            ports: None,
            logs: BTreeMap::new(),
        }
    }

    /// The unit, its model and its folders.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The unit whose hook runs.
    pub fn unit(&self) -> &UnitName {
        &self.environment.unit
    }

    /// The application whose unit it is.
    pub fn app(&self) -> &AppName {
        self.environment.unit.app()
    }

    /// A client of a workload container's Pebble. It may not answer yet:
    /// see [`pebble_client::Error::is_unreachable`].
    pub fn pebble(&self, container: &ContainerName) -> pebble_client::Client {
        self.tools.pebble(&self.environment.socket(container))
    }

    fn call(
        &mut self,
        doing: impl FnOnce() -> String,
        tool: &'static str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, HookError> {
        self.tools
            .call(tool, args, stdin)
            .map_err(|source| HookError::Call { doing: doing(), source })
    }

    fn call_with_file(
        &mut self,
        doing: impl FnOnce() -> String,
        tool: &'static str,
        args: &[&str],
        content: &str,
    ) -> Result<String, HookError> {
        self.tools
            .call_with_file(tool, args, content)
            .map_err(|source| HookError::Call { doing: doing(), source })
    }

    /// Calls a tool that prints JSON.
    fn read<T: DeserializeOwned>(
        &mut self,
        doing: impl Fn() -> String,
        tool: &'static str,
        args: &[&str],
    ) -> Result<T, HookError> {
        let answer = self.call(&doing, tool, args, None)?;
        let text = if answer.trim().is_empty() { "null" } else { &answer };
        serde_json::from_str(text).map_err(|source| malformed(doing(), tool, source))
    }
}

/// An answer that is not what the tool should print. Secret values stay out of it.
fn malformed(
    doing: String,
    tool: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> HookError {
    HookError::Answer { doing, tool, source: source.into() }
}
