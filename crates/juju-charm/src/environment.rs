//! What Juju says about this dispatch in environment variables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use juju_names::{AppName, ContainerName, NameError, RelationId, UnitName};

/// Environment variables by name.
pub type Vars = BTreeMap<Cow<'static, str>, String>;

/// Where Juju mounts the workload containers' Pebble sockets.
const CONTAINERS: &str = "/charm/containers";

/// The unit, its model and its folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The unit whose hook runs.
    pub unit: UnitName,
    /// The model's name, which is the Kubernetes namespace.
    pub model: String,
    /// The model's UUID.
    pub model_uuid: String,
    /// Juju's version, for instance `3.6.11`.
    pub juju_version: String,
    /// The charm's folder, where its metadata lies.
    pub charm_dir: PathBuf,
    /// The hook's relation and the application at its other end.
    pub relation: Option<(RelationId, AppName)>,
    /// Pebble sockets by container, in tests; `None` means Juju's usual paths.
    pub sockets: Option<BTreeMap<ContainerName, PathBuf>>,
}

/// Variables that Juju would not have set so.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is missing.
    #[error("cannot run outside a hook: {0} is not set; run the charm by way of Juju")]
    Missing(&'static str),
    /// A variable holds no valid name.
    #[error("cannot read the environment variable {name}")]
    Name {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
}

impl Environment {
    /// Reads what Juju set.
    ///
    /// # Errors
    /// When the unit's name is missing or malformed, or the relation is malformed.
    pub fn parse(vars: &Vars) -> Result<Self, EnvironmentError> {
        let text = |name: &str| vars.get(name).cloned().unwrap_or_default();
        Ok(Self {
            unit: required(vars, "JUJU_UNIT_NAME")?,
            model: text("JUJU_MODEL_NAME"),
            model_uuid: text("JUJU_MODEL_UUID"),
            juju_version: text("JUJU_VERSION"),
            charm_dir: PathBuf::from(text("JUJU_CHARM_DIR")),
            relation: optional(vars, "JUJU_RELATION_ID")?.zip(optional(vars, "JUJU_REMOTE_APP")?),
            sockets: None,
        })
    }

    /// Whether Juju takes a secret with an empty value: 4.1 and later do not, nor is it known of one
    /// that does not say which it is.
    pub fn takes_empty_secrets(&self) -> bool {
        let mut parts = self.juju_version.split('.').map(|part| part.parse::<u32>().ok());
        let version = parts.next().flatten().zip(parts.next().flatten());
        version.is_some_and(|version| version < (4, 1))
    }

    /// The path of a container's Pebble socket.
    pub fn socket(&self, container: &ContainerName) -> PathBuf {
        let known = self.sockets.as_ref().and_then(|sockets| sockets.get(container));
        known.cloned().unwrap_or_else(|| {
            PathBuf::from(format!("{CONTAINERS}/{}/pebble.socket", container.as_str()))
        })
    }

    /// Whether the pod has this container at all, started or not.
    pub fn has_container(&self, container: &ContainerName) -> bool {
        match &self.sockets {
            Some(sockets) => sockets.contains_key(container),
            None => self.socket(container).parent().is_some_and(std::path::Path::exists),
        }
    }
}

/// A variable's value; Juju sets some variables to nothing when they do not apply.
pub(crate) fn value<'a>(vars: &'a Vars, name: &str) -> Option<&'a str> {
    vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// A variable parsed as a name, or `None` where it is missing or empty.
pub(crate) fn optional<T: std::str::FromStr<Err = NameError>>(
    vars: &Vars,
    name: &'static str,
) -> Result<Option<T>, EnvironmentError> {
    value(vars, name).map(|text| named(name, text)).transpose()
}

/// A text parsed as the name that a variable has, or should have.
pub(crate) fn named<T: std::str::FromStr<Err = NameError>>(
    name: &'static str,
    text: &str,
) -> Result<T, EnvironmentError> {
    text.parse().map_err(|source| EnvironmentError::Name { name, source })
}

/// A variable parsed as a name.
pub(crate) fn required<T: std::str::FromStr<Err = NameError>>(
    vars: &Vars,
    name: &'static str,
) -> Result<T, EnvironmentError> {
    optional(vars, name)?.ok_or(EnvironmentError::Missing(name))
}
