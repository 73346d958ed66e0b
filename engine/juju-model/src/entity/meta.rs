//! What a charm declares: endpoints, containers, storage, options, actions.

use std::collections::{BTreeMap, BTreeSet};

use juju_names::{ContainerName, EndpointName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The endpoint, and its interface, that every application provides without saying so.
pub(crate) const INFO: &str = "juju-info";

/// A charm's declarations, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CharmMeta {
    /// The charm's name.
    pub name: String,
    /// One line about it.
    #[serde(default)]
    pub summary: String,
    /// Workload containers.
    #[serde(default)]
    pub containers: BTreeMap<ContainerName, ContainerMeta>,
    /// Peer endpoints.
    #[serde(default)]
    pub peers: BTreeMap<EndpointName, EndpointMeta>,
    /// Provider endpoints.
    #[serde(default)]
    pub provides: BTreeMap<EndpointName, EndpointMeta>,
    /// Requirer endpoints; `juju-info` is implied among the providers and left out.
    #[serde(default)]
    pub requires: BTreeMap<EndpointName, EndpointMeta>,
    /// Names usable with `network-get` besides the endpoints.
    #[serde(default)]
    pub extra_bindings: BTreeSet<String>,
    /// Storage.
    #[serde(default)]
    pub storage: BTreeMap<String, StorageMeta>,
    /// Resources.
    #[serde(default)]
    pub resources: BTreeMap<String, ResourceMeta>,
    /// Options.
    #[serde(default)]
    pub config: BTreeMap<String, OptionMeta>,
    /// Actions.
    #[serde(default)]
    pub actions: BTreeMap<String, ActionMeta>,
}

impl CharmMeta {
    /// All endpoints: peers, providers, requirers.
    pub fn endpoints(&self) -> impl Iterator<Item = (&EndpointName, &EndpointMeta)> {
        self.peers.iter().chain(&self.provides).chain(&self.requires)
    }

    /// One endpoint.
    pub fn endpoint(&self, name: &str) -> Option<(&EndpointName, &EndpointMeta)> {
        self.endpoints().find(|(endpoint, _)| endpoint.as_str() == name)
    }
}

/// A workload container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerMeta {
    /// The resource with its image.
    pub resource: Option<String>,
    /// (storage name, path in the container).
    #[serde(default)]
    pub mounts: Vec<(String, String)>,
}

/// The side of a relation an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Units of one application among themselves.
    Peer,
    /// Offers the interface.
    Provider,
    /// Uses the interface.
    Requirer,
}

/// A relation endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointMeta {
    /// The interface's name.
    pub interface: String,
    /// How many relations it takes at most.
    pub limit: Option<u32>,
    /// Whether the charm works without it.
    #[serde(default)]
    pub optional: bool,
    /// The side.
    pub role: Role,
}

/// A storage declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageMeta {
    /// `filesystem` or `block`.
    pub kind: String,
    /// Where the charm container sees it.
    pub location: Option<String>,
    /// Such as `1G`.
    pub minimum_size: Option<String>,
    /// How many instances, such as `0-` or `1`; absent means one.
    pub multiple: Option<String>,
}

/// A resource declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceMeta {
    /// `oci-image` or `file`.
    pub kind: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// The image the charm was built for.
    pub upstream_source: Option<String>,
    /// The file's name, for files.
    pub filename: Option<String>,
}

/// The type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionKind {
    /// Text.
    String,
    /// A 64-bit number.
    Int,
    /// A floating-point number.
    Float,
    /// True or false.
    Boolean,
    /// A secret's URI.
    Secret,
}

impl std::fmt::Display for OptionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Secret => "secret",
        })
    }
}

/// An option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionMeta {
    /// Its type.
    pub kind: OptionKind,
    /// Its default, of that type.
    pub default: Option<Value>,
    /// Free text.
    #[serde(default)]
    pub description: String,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ActionMeta {
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// JSON schemas by parameter.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Parameters that must be given.
    #[serde(default)]
    pub required: Vec<String>,
    /// Whether parameters outside `params` are taken.
    #[serde(default)]
    pub additional_properties: Option<bool>,
}
