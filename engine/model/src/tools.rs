//! What a hook tool may ask of Juju, as a trait: `hooktools` turns argv into these calls.
//!
//! Buffered calls take effect when the hook commits; the others at once.
//! Sections of Juju's contract: 1.4 (atomicity) and 3 (hook tools).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use names::{AppName, EndpointName, RelationId, SecretId, UnitName};
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
    /// `never`, `hourly`, … `yearly`.
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
}

/// A port that a unit opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Port {
    /// The number; 0 for icmp.
    pub number: u16,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
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

/// The far side of every hook tool, for one hook of one unit.
///
/// An unknown relation is `Usage("invalid value \"x\" for option -r: relation not found")`.
pub trait Context {
    /// The unit whose hook runs.
    fn unit(&self) -> UnitName;
    /// Relation, remote unit and remote application of the hook.
    fn hook_relation(&self) -> HookRelation;
    /// The storage instance of a storage hook.
    fn hook_storage(&self) -> Option<String>;
    /// The time, as the engine says it.
    fn now(&self) -> jiff::Timestamp;

    /// Live relations of an endpoint, sorted by id; an unknown endpoint has none.
    fn relation_ids(&mut self, endpoint: &str) -> Answer<Vec<RelationId>>;
    /// The endpoint's name of a relation of this unit, for printing `name:id`.
    fn relation_endpoint(&mut self, id: RelationId) -> Answer<EndpointName>;
    /// Remote units joined so far from this unit's point of view, sorted.
    fn relation_list(&mut self, id: RelationId) -> Answer<Vec<UnitName>>;
    /// The remote application; the own one for peers.
    fn relation_remote_app(&mut self, id: RelationId) -> Answer<AppName>;
    /// The UUID of the model that the relation's other side is in.
    fn relation_model(&mut self, id: RelationId) -> Answer<String>;
    /// A databag, with own buffered writes laid over it.
    fn relation_get(&mut self, id: RelationId, of: &Party) -> Answer<Arc<Bag>>;
    /// Buffered. An empty value deletes the key.
    fn relation_set(&mut self, id: RelationId, app: bool, changes: Bag) -> Answer<()>;

    /// Whether this unit leads its application.
    fn is_leader(&mut self) -> Answer<bool>;
    /// The unit's own workload status.
    fn unit_status(&mut self) -> Answer<Status>;
    /// The application's status and its units' (leader only).
    fn app_status(&mut self) -> Answer<(Status, BTreeMap<String, Status>)>;
    /// Immediate.
    fn set_status(&mut self, application: bool, status: &str, message: &str) -> Answer<()>;
    /// Immediate.
    fn set_application_version(&mut self, version: &str) -> Answer<()>;
    /// Immediate: one line of the model's log.
    fn log(&mut self, level: &str, message: &str);

    /// All options: the value, the default, or `None` where there is neither.
    fn config(&mut self) -> Answer<Arc<Options>>;
    /// Planned units and relations.
    fn goal_state(&mut self) -> Answer<GoalState>;
    /// Addresses of an endpoint or extra binding.
    fn network(&mut self, binding: &str, relation: Option<RelationId>) -> Answer<NetworkInfo>;
    /// Buffered.
    fn open_port(&mut self, port: Port) -> Answer<()>;
    /// Buffered.
    fn close_port(&mut self, port: Port) -> Answer<()>;
    /// Ports with own buffered changes laid over them, sorted.
    fn opened_ports(&mut self) -> Answer<Vec<Port>>;

    /// The whole controller-side state of the unit, own buffered writes laid over it.
    fn state(&mut self) -> Answer<Bag>;
    /// Buffered; `None` deletes.
    fn state_change(&mut self, changes: BTreeMap<String, Option<String>>) -> Answer<()>;

    /// Buffered, but the id is minted at once. Values are raw bytes in base64.
    fn secret_add(&mut self, content: Bag, metadata: SecretMetadata) -> Answer<SecretId>;
    /// Buffered. `None` content changes metadata only.
    fn secret_set(
        &mut self,
        id: &SecretId,
        content: Option<Bag>,
        metadata: SecretMetadata,
    ) -> Answer<()>;
    /// Content in base64. `label` with an id binds it, without one looks it up.
    fn secret_get(
        &mut self,
        id: Option<&SecretId>,
        label: Option<&str>,
        revision: Revision,
    ) -> Answer<Bag>;
    /// Metadata of an owned secret.
    fn secret_info(&mut self, id: Option<&SecretId>, label: Option<&str>) -> Answer<SecretInfo>;
    /// Owned secrets.
    fn secret_ids(&mut self) -> Answer<Vec<SecretId>>;
    /// Buffered; an unknown secret is refused at once.
    fn secret_grant(
        &mut self,
        id: &SecretId,
        relation: RelationId,
        unit: Option<&UnitName>,
    ) -> Answer<()>;
    /// Buffered.
    fn secret_revoke(
        &mut self,
        id: &SecretId,
        relation: Option<RelationId>,
        of: Option<&Party>,
    ) -> Answer<()>;
    /// Buffered. `None` removes the whole secret.
    fn secret_remove(&mut self, id: &SecretId, revision: Option<u32>) -> Answer<()>;

    /// The action's parameters; refused outside an action.
    fn action_params(&mut self) -> Answer<Value>;
    /// Results, merged into what was set before; keys are dotted paths.
    fn action_set(&mut self, results: Vec<(String, String)>) -> Answer<()>;
    /// Marks the action failed; the process goes on.
    fn action_fail(&mut self, message: &str) -> Answer<()>;
    /// Immediate: one line of the action's log.
    fn action_log(&mut self, message: &str) -> Answer<()>;

    /// Buffered: more instances of a storage.
    fn storage_add(&mut self, name: &str, count: u32) -> Answer<()>;
    /// Storage instances of the unit, all or of one name.
    fn storage_list(&mut self, name: Option<&str>) -> Answer<Vec<String>>;
    /// One storage instance.
    fn storage_get(&mut self, id: &str) -> Answer<StorageInfo>;
    /// The path of a resource's file in the charm container.
    fn resource_get(&mut self, name: &str) -> Answer<String>;
}
