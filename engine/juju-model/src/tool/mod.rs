//! What a hook tool may ask of Juju: the methods of [`crate::ToolCall`], one for each tool and
//! under its name. The crate `juju-hooktools` turns argv into these calls.
//!
//! Buffered calls take effect when the hook commits; the others at once.
//! Sections of Juju's contract: 1.4 (atomicity) and 3 (hook tools).

mod action;
pub(crate) mod call;
mod network;
mod ports;
mod reboot;
mod relation;
pub(crate) mod secret;
pub(crate) mod session;
mod state;
mod status;
mod storage;

use std::collections::{BTreeMap, BTreeSet};

use juju_names::{AppName, EndpointName, RelationId, SecretId, UnitName};
use serde_json::Value;

/// A databag, or any other map of text to text.
pub type Bag = BTreeMap<String, String>;

/// The value of each option: set, default, or `None`.
pub type Options = BTreeMap<String, Option<Value>>;

/// Why a tool fails. `Display` is exactly what follows `ERROR ` on stderr.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// A flag or an argument is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The call was understood and refused: exit code 1.
    #[error("{0}")]
    Refused(String),
}

/// Whose databag or secret owner is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// One unit.
    Unit(UnitName),
    /// A whole application.
    App(AppName),
}

/// The hook's own relation, remote and so on, for defaults of `-r` and the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookRelation {
    /// The relation of the hook, where it has one.
    pub relation: Option<(RelationId, EndpointName)>,
    /// The remote unit of the hook, where it has one.
    pub remote_unit: Option<UnitName>,
    /// The remote application of the hook, where it has one.
    pub remote_app: Option<AppName>,
}

/// A workload status as the charm set it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// `active`, `blocked`, `maintenance`, `waiting`, `unknown`, `error` or `terminated`.
    pub status: String,
    /// The words beside it; may be empty.
    pub message: String,
    /// When it was set.
    pub since: jiff::Timestamp,
}

impl Status {
    pub(crate) fn new(since: jiff::Timestamp, status: &str, message: &str) -> Self {
        Self { status: status.to_owned(), message: message.to_owned(), since }
    }
}

/// What `secret-add` and `secret-set` may say besides the content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretMetadata {
    /// The owner's label.
    pub label: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `never`, `hourly`, … `yearly`.
    pub rotate: Option<String>,
    /// When the revision expires.
    pub expire: Option<jiff::Timestamp>,
    /// `Some(true)`: owned by the unit; otherwise by the application.
    pub owner_is_unit: Option<bool>,
}

/// Which revision `secret-get` wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// The tracked one; the latest on the first read.
    Tracked,
    /// The latest, without tracking it.
    Peek,
    /// The latest, and track it from now on.
    Refresh,
}

/// One entry of `secret-info-get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// The secret.
    pub id: SecretId,
    /// Its latest revision.
    pub revision: u32,
    /// The owner's label, or empty.
    pub label: String,
    /// `application` or `unit`.
    pub owner: String,
    /// Free text, or empty.
    pub description: String,
    /// `never`, `hourly`, … `yearly`; empty where none is set.
    pub rotation: String,
    /// When it is rotated next.
    pub rotates: Option<jiff::Timestamp>,
    /// When the latest revision expires.
    pub expiry: Option<jiff::Timestamp>,
    /// Grants: (target, scope, role), for instance `("app-x", "relation-x.db#y.db", "view")`.
    pub access: Vec<(String, String, String)>,
}

/// `goal-state`: status and since, by unit, and by endpoint and remote name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoalState {
    /// Units of the own application, with `dying` as a status where it applies.
    pub units: BTreeMap<String, (String, jiff::Timestamp)>,
    /// By endpoint: the remote application and its units.
    pub relations: BTreeMap<String, BTreeMap<String, (String, jiff::Timestamp)>>,
}

/// The addresses of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// The pod's address.
    pub bind_address: String,
    /// The service's address.
    pub ingress_address: String,
    /// The interface's name, where it has one.
    pub interface: String,
    /// The host's name, where it has one.
    pub hostname: String,
    /// The network that the pod's address is in, where it is known.
    pub cidr: String,
}

/// A port that a unit opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Port {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The number; 0 for icmp.
    pub number: u16,
    /// The endpoint it is open for; empty for all.
    #[serde(default)]
    pub endpoint: String,
}

impl Port {
    /// Whether both are the same port, whatever the endpoint.
    fn is(&self, other: &Self) -> bool {
        self.number == other.number && self.protocol == other.protocol
    }

    /// Opens or closes the port among others; `endpoints` are all that the charm has.
    pub(crate) fn apply(self, open: bool, ports: &mut BTreeSet<Self>, endpoints: &[String]) {
        let all = Self { endpoint: String::new(), ..self.clone() };
        let whole = ports.contains(&all);
        match (open, self.endpoint.is_empty()) {
            (true, false) if whole => {}
            (true, false) => drop(ports.insert(self)),
            (_, true) => {
                ports.retain(|port| !port.is(&self));
                if open {
                    ports.insert(self);
                }
            }
            (false, false) if whole => {
                ports.remove(&all);
                let others = endpoints.iter().filter(|endpoint| **endpoint != self.endpoint);
                ports.extend(others.map(|name| Self { endpoint: name.clone(), ..self.clone() }));
            }
            (false, false) => drop(ports.remove(&self)),
        }
    }
}

/// A storage instance as the charm sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StorageInfo {
    /// Name and number, for instance `pgdata/0`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// The path in the charm container.
    pub location: String,
}

/// The result of one call.
pub type Answer<T> = Result<T, ToolError>;
