//! The charm's view of Juju for one dispatch: reads once, writes what differs.

mod action;
mod log;
mod mirror;
mod pairs;
mod relation;
mod secret;
mod state;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use names::{AppName, ContainerName, RelationId, UnitName};
use serde::de::DeserializeOwned;

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

    /// Whether Juju does not let this unit do that.
    pub fn is_denied(&self) -> bool {
        self.tool().is_some_and(ToolError::is_denied)
    }

    /// Whether only the leader may do that.
    pub fn is_not_leader(&self) -> bool {
        self.tool().is_some_and(ToolError::is_not_leader)
    }
}

/// Everything a charm may ask of Juju in one dispatch, and tell it.
///
/// Reads are cached for the dispatch. Writes to bags, controller state, action results
/// and the log are collected and leave at the end of the hook, one call each, which is
/// when Juju commits them anyway; own reads see own writes. Statuses, versions, ports
/// and secrets are written at once.
pub struct Hook {
    environment: Environment,
    tools: Box<dyn Tools>,
    config: Option<Config>,
    leader: Option<bool>,
    planned: Option<Vec<UnitName>>,
    relations: BTreeMap<String, Vec<RelationId>>,
    members: BTreeMap<RelationId, Vec<UnitName>>,
    apps: BTreeMap<RelationId, AppName>,
    bags: BTreeMap<(RelationId, Party), Bag>,
    bag_changes: BTreeMap<(RelationId, Own), Changes>,
    mirrored: BTreeSet<(RelationId, Own)>,
    doubtful: BTreeSet<String>,
    contents: BTreeMap<String, (Revision, Option<SecretContent>)>,
    infos: BTreeMap<String, Option<SecretInfo>>,
    state: Option<Bag>,
    state_changes: BTreeMap<String, Option<String>>,
    status: Option<Option<Status>>,
    app_status: Option<Option<Status>>,
    ports: Option<BTreeSet<Port>>,
    logs: BTreeMap<Level, Vec<String>>,
    results: BTreeMap<String, String>,
}

impl Hook {
    /// A hook in which nothing has been read or written.
    pub fn new(environment: Environment, tools: Box<dyn Tools>) -> Self {
        Self {
            environment,
            tools,
            config: None,
            leader: None,
            planned: None,
            relations: BTreeMap::new(),
            members: BTreeMap::new(),
            apps: BTreeMap::new(),
            bags: BTreeMap::new(),
            bag_changes: BTreeMap::new(),
            mirrored: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            contents: BTreeMap::new(),
            infos: BTreeMap::new(),
            state: None,
            state_changes: BTreeMap::new(),
            status: None,
            app_status: None,
            ports: None,
            logs: BTreeMap::new(),
            results: BTreeMap::new(),
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
    /// see [`pebble::Error::is_unreachable`].
    pub fn pebble(&self, container: &ContainerName) -> pebble::Client {
        self.tools.pebble(&self.environment.socket(container))
    }

    /// Writes everything that is still collected; [`crate::dispatch`] does it at the end.
    ///
    /// # Errors
    /// When Juju refuses a write.
    pub fn flush(&mut self) -> Result<(), HookError> {
        self.flush_bags()?;
        self.mirror_bags()?;
        self.flush_state()?;
        self.flush_results()
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
