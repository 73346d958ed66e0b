//! The unit itself: options, leadership, statuses, ports, network, storage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use juju_names::{AppName, UnitName};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::pairs::Pairs;
use super::{Context, HookError, Reader, malformed};
use crate::Status;

/// The charm's options: what was set, or the default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config(Arc<BTreeMap<String, Value>>);

impl Config {
    /// Options from pairs, for tests of `decide`.
    pub fn new(options: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self(Arc::new(options.into_iter().collect()))
    }

    /// The value as Juju gave it; `None` where there is neither value nor default.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text option (also of type secret); `None` where it is not set. May be empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// An integer option.
    pub fn integer(&self, key: &str) -> Option<i64> {
        let value = self.get(key)?;
        #[expect(clippy::cast_possible_truncation, reason = "an option that is a whole number")]
        value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64))
    }

    /// A float option.
    pub fn float(&self, key: &str) -> Option<f64> {
        self.get(key)?.as_f64()
    }

    /// A boolean option; `false` where it is not set.
    pub fn boolean(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The pairs of a text option that is a list of `name=value`, one a line or with semicolons
    /// between.
    ///
    /// # Errors
    /// When an entry is no such pair, or a name comes twice.
    pub fn pairs(&self, key: &str) -> Result<Vec<(&str, &str)>, PairsError> {
        let text = self.text(key).unwrap_or_default();
        let mut found: Vec<(&str, &str)> = Vec::new();
        for entry in text.split(['\n', ';']).map(str::trim).filter(|entry| !entry.is_empty()) {
            let pair = entry.split_once('=').ok_or_else(|| PairsError::Pair(entry.to_owned()))?;
            let (name, value) = (pair.0.trim(), pair.1.trim());
            if found.iter().any(|(known, _)| *known == name) {
                return Err(PairsError::Twice(name.to_owned()));
            }
            found.push((name, value));
        }
        Ok(found)
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// What a list of `name=value` takes instead of what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairsError {
    /// An entry without `=`.
    #[error("key=value, which {0:?} is not")]
    Pair(String),
    /// A name that was there before.
    #[error("each name once, not {0} twice")]
    Twice(String),
}

/// A port that the unit opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl Port {
    /// A TCP port.
    pub fn tcp(number: u16) -> Self {
        Self { number, protocol: "tcp".to_owned() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/')?;
        Some(Self { number: number.parse().ok()?, protocol: protocol.to_owned() })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// The addresses of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The pod's address.
    pub bind_address: Option<String>,
    /// Where others reach the application: the service's addresses.
    pub ingress_addresses: Vec<String>,
}

/// A storage instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Name and number, for instance `pgdata/0`.
    pub id: String,
    /// Where the charm container sees it.
    pub location: PathBuf,
}

#[derive(Deserialize)]
struct WireStatus {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireAppStatus {
    application_status: WireStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireNetwork {
    #[serde(default)]
    bind_addresses: Vec<WireBind>,
    #[serde(default)]
    ingress_addresses: Vec<String>,
}

#[derive(Deserialize)]
struct WireBind {
    #[serde(default)]
    addresses: Vec<WireAddress>,
}

#[derive(Deserialize)]
struct WireAddress {
    value: String,
}

#[derive(Deserialize)]
struct WireGoal {
    units: BTreeMap<UnitName, WireStatus>,
    #[serde(default)]
    relations: BTreeMap<String, BTreeMap<String, IgnoredAny>>,
}

/// What the controller says that there shall be.
pub(super) struct Goal {
    planned: Vec<UnitName>,
    related: BTreeMap<String, Vec<AppName>>,
}

impl From<WireGoal> for Goal {
    fn from(WireGoal { units, relations }: WireGoal) -> Self {
        let planned = units.into_iter().filter(|(_, unit)| unit.status != "dying");
        // Beside the applications stand their units, and offers of other models.
        let apps = |names: BTreeMap<String, IgnoredAny>| {
            names.into_keys().filter_map(|name| name.parse().ok()).collect()
        };
        Self {
            planned: planned.map(|(name, _)| name).collect(),
            related: relations.into_iter().map(|(endpoint, all)| (endpoint, apps(all))).collect(),
        }
    }
}

#[derive(Deserialize)]
struct WireStorage {
    location: PathBuf,
}

/// The controller-state key that remembers the version last reported.
const VERSION_KEY: &str = "workload-version";

impl Reader {
    /// The charm's options.
    ///
    /// # Errors
    /// When `config-get` fails.
    pub fn config(&mut self) -> Result<Config, HookError> {
        if let Some(known) = &self.config {
            return Ok(known.clone());
        }
        let doing = || "read the options".to_owned();
        let found: Option<Pairs<Value>> = self.read(doing, "config-get", &["--format", "json"])?;
        let config = Config::new(found.unwrap_or_default().0);
        self.config = Some(config.clone());
        Ok(config)
    }

    /// Whether this unit leads its application.
    ///
    /// # Errors
    /// When leadership is unknown.
    pub fn is_leader(&mut self) -> Result<bool, HookError> {
        if let Some(known) = self.leader {
            return Ok(known);
        }
        let doing = || "find out whether this unit leads".to_owned();
        let leader = self.read(doing, "is-leader", &["--format", "json"])?;
        self.leader = Some(leader);
        Ok(leader)
    }

    /// The units that the application is meant to have, this one too, whether they are up yet or
    /// not; dying ones do not count.
    ///
    /// # Errors
    /// When `goal-state` fails.
    pub fn planned_units(&mut self) -> Result<Vec<UnitName>, HookError> {
        Ok(self.goal()?.planned.clone())
    }

    /// The applications of this model that are related by an endpoint, as the controller knows it:
    /// a unit may hear of a new relation some hooks later, and until then no list has it.
    ///
    /// # Errors
    /// When `goal-state` fails.
    pub fn related_apps(&mut self, endpoint: impl AsRef<str>) -> Result<Vec<AppName>, HookError> {
        Ok(self.goal()?.related.get(endpoint.as_ref()).cloned().unwrap_or_default())
    }

    /// The workload's version as last reported to Juju.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn workload_version(&mut self) -> Result<Option<String>, HookError> {
        self.state(VERSION_KEY)
    }

    fn goal(&mut self) -> Result<&Goal, HookError> {
        let doing = || "list the planned units and relations".to_owned();
        let goal = match self.goal.take() {
            Some(known) => known,
            None => self.read::<WireGoal>(doing, "goal-state", &["--format", "json"])?.into(),
        };
        Ok(self.goal.insert(goal))
    }

    /// The ports that this unit opened.
    ///
    /// # Errors
    /// When `opened-ports` fails.
    pub fn opened_ports(&mut self) -> Result<BTreeSet<Port>, HookError> {
        if self.ports.is_none() {
            let doing = || "list the open ports".to_owned();
            let found: Option<Vec<String>> =
                self.read(doing, "opened-ports", &["--format", "json"])?;
            let found = found.unwrap_or_default();
            self.ports = Some(found.iter().filter_map(|text| Port::parse(text)).collect());
        }
        Ok(self.ports.clone().unwrap_or_default())
    }

    /// The addresses of an endpoint.
    ///
    /// # Errors
    /// When Juju knows no such binding.
    pub fn network(&mut self, binding: &str) -> Result<Network, HookError> {
        let doing = || format!("read the addresses of {binding}");
        let wire: WireNetwork =
            self.read(doing, "network-get", &["--format", "json", "--", binding])?;
        let addresses = wire.bind_addresses.into_iter().flat_map(|bind| bind.addresses);
        Ok(Network {
            bind_address: addresses.map(|address| address.value).find(|value| !value.is_empty()),
            ingress_addresses: wire.ingress_addresses,
        })
    }

    /// The instances of a storage.
    ///
    /// # Errors
    /// When a storage tool fails.
    pub fn storage(&mut self, name: &str) -> Result<Vec<Storage>, HookError> {
        let doing = || format!("read the storage {name}");
        let ids: Option<Vec<String>> =
            self.read(doing, "storage-list", &["--format", "json", name])?;
        let mut found = Vec::new();
        for id in ids.unwrap_or_default() {
            let wire: WireStorage =
                self.read(doing, "storage-get", &["-s", &id, "--format", "json"])?;
            found.push(Storage { id, location: wire.location });
        }
        Ok(found)
    }

    /// The path of a resource's file.
    ///
    /// # Errors
    /// When the resource was not given.
    pub fn resource(&mut self, name: &str) -> Result<PathBuf, HookError> {
        let doing = || format!("find the resource {name}");
        let path = self.call(doing, "resource-get", &[name], None)?;
        let path = path.trim();
        if path.is_empty() {
            return Err(malformed(doing(), "resource-get", "it is empty"));
        }
        Ok(PathBuf::from(path))
    }
}

impl Context {
    /// Shows a status for the unit, at once, if it differs.
    ///
    /// # Errors
    /// When a status tool fails.
    pub fn set_status(&mut self, status: &Status) -> Result<(), HookError> {
        if self.status.is_none() {
            let doing = || "read the unit's status".to_owned();
            let wire: WireStatus =
                self.read(doing, "status-get", &["--include-data", "--format", "json"])?;
            self.status = Some(Status::from_word(&wire.status, &wire.message));
        }
        if self.status.as_ref() == Some(&Some(status.clone())) {
            return Ok(());
        }
        let args = ["--", status.word(), status.message()];
        self.call(|| "set the unit's status".to_owned(), "status-set", &args, None)?;
        self.status = Some(Some(status.clone()));
        Ok(())
    }

    /// Shows a status for the application, at once, if it differs. Leader only.
    ///
    /// # Errors
    /// When this unit does not lead.
    pub fn set_app_status(&mut self, status: &Status) -> Result<(), HookError> {
        if self.app_status.is_none() {
            let doing = || "read the application's status".to_owned();
            let args = ["--include-data", "--application", "--format", "json"];
            let wire: WireAppStatus = self.read(doing, "status-get", &args)?;
            let wire = wire.application_status;
            self.app_status = Some(Status::from_word(&wire.status, &wire.message));
        }
        if self.app_status.as_ref() == Some(&Some(status.clone())) {
            return Ok(());
        }
        let args = ["--application", "--", status.word(), status.message()];
        self.call(|| "set the application's status".to_owned(), "status-set", &args, None)?;
        self.app_status = Some(Some(status.clone()));
        Ok(())
    }

    /// Reports the workload's version to Juju, unless it was reported before. Juju cannot be asked
    /// for it, so the controller state remembers.
    ///
    /// # Errors
    /// When the state cannot be read or the version not be set.
    pub fn set_workload_version(&mut self, version: &str) -> Result<(), HookError> {
        if !self.set_state(VERSION_KEY, Some(version.to_owned()))? {
            return Ok(());
        }
        let doing = || "set the workload's version".to_owned();
        self.call(doing, "application-version-set", &["--", version], None).map(drop)
    }

    /// Opens a port, if it is closed.
    ///
    /// # Errors
    /// When a port tool fails.
    pub fn open_port(&mut self, port: &Port) -> Result<(), HookError> {
        if self.ports.as_ref().is_some_and(|open| open.contains(port)) {
            return Ok(());
        }
        // Opening a port that is open changes nothing, so it is not read first.
        let doing = || format!("open the port {port}");
        self.call(doing, "open-port", &[&port.to_string()], None)?;
        if let Some(open) = &mut self.ports {
            open.insert(port.clone());
        }
        Ok(())
    }

    /// Opens these ports and closes all others.
    ///
    /// # Errors
    /// When a port tool fails.
    pub fn set_ports(&mut self, wanted: &[Port]) -> Result<(), HookError> {
        let surplus: Vec<Port> =
            self.opened_ports()?.into_iter().filter(|port| !wanted.contains(port)).collect();
        for port in surplus {
            let doing = || format!("close the port {port}");
            self.call(doing, "close-port", &[&port.to_string()], None)?;
            self.ports.get_or_insert_default().remove(&port);
        }
        wanted.iter().try_for_each(|port| self.open_port(port))
    }
}
