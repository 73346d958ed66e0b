//! What a charm declares: endpoints, containers, storage, options, actions.

use std::collections::BTreeMap;

use names::ContainerName;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The declarations that Juju's rules depend on.
#[derive(Clone, Default)]
pub(super) struct Manifest {
    pub(super) endpoints: BTreeMap<String, Role>,
    pub(super) containers: BTreeMap<ContainerName, ()>,
    pub(super) storage: Vec<String>,
    pub(super) options: BTreeMap<String, Value>,
    pub(super) actions: BTreeMap<String, Map<String, Value>>,
}

/// The end of a relation that an endpoint is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Peer,
    Provider,
    Requirer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    peers: BTreeMap<String, IgnoredAny>,
    provides: BTreeMap<String, IgnoredAny>,
    requires: BTreeMap<String, IgnoredAny>,
    containers: BTreeMap<ContainerName, IgnoredAny>,
    storage: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfigFile {
    options: BTreeMap<String, Property>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Action {
    params: BTreeMap<String, Property>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Property {
    default: Value,
}

impl Manifest {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let metadata: Metadata = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let role = |names: BTreeMap<String, IgnoredAny>, role: Role| {
            names.into_keys().map(move |name| (name, role))
        };
        let endpoints = role(metadata.peers, Role::Peer)
            .chain(role(metadata.provides, Role::Provider))
            .chain(role(metadata.requires, Role::Requirer))
            .collect();
        Ok(Self {
            endpoints,
            containers: metadata.containers.into_keys().map(|name| (name, ())).collect(),
            storage: metadata.storage.into_keys().collect(),
            ..Self::default()
        })
    }

    pub(super) fn read_config(&mut self, text: &str) -> Result<(), String> {
        let file: ConfigFile = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        self.options.extend(file.options.into_iter().map(|(name, found)| (name, found.default)));
        Ok(())
    }

    pub(super) fn read_actions(&mut self, text: &str) -> Result<(), String> {
        let file: BTreeMap<String, Action> =
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        for (name, action) in file {
            let defaults = action.params.into_iter().map(|(key, found)| (key, found.default));
            let defaults = defaults.filter(|(_, value)| !value.is_null()).collect();
            self.actions.insert(name, defaults);
        }
        Ok(())
    }
}
