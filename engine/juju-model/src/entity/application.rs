//! Applications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use juju_names::{AppName, UnitName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CharmMeta;
use crate::tool::Status;

/// Whether an application, unit or relation is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// It stays.
    Alive,
    /// Its removal was asked for and its hooks are running.
    Dying,
}

/// An application.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: AppName,
    /// What its charm declares.
    pub charm: CharmMeta,
    /// Where the charm came from, as the operator said it.
    pub charm_ref: String,
    /// Grows with each refresh.
    pub charm_revision: u32,
    /// Options that the operator set, typed.
    pub config: BTreeMap<String, Value>,
    /// Whether it may use the Kubernetes API freely.
    pub trust: bool,
    /// Alive or dying.
    pub life: Life,
    /// What the leader set with `status-set --application`.
    pub own_status: Option<Status>,
    /// What a unit set with `application-version-set`.
    pub version: String,
    /// How many units the operator wants.
    pub scale: u32,
    /// What `leader-set` has set.
    #[serde(default)]
    pub leader_settings: crate::tool::Bag,
    /// The unit that leads.
    pub leader: Option<UnitName>,
    /// The address of its service.
    pub address: Option<String>,
    /// When it was deployed.
    pub since: jiff::Timestamp,
    /// The most that each workload container may use.
    #[serde(default)]
    pub constraints: Constraints,
    /// The latest refresh does not wait for units whose hook has failed.
    #[serde(default)]
    pub refresh_forced: bool,
    /// Resources that came with a deploy or a refresh; absent where none was given.
    #[serde(default)]
    pub resources: Option<BTreeSet<String>>,
    /// Whether the operator opened it to the outside.
    #[serde(default)]
    pub exposed: bool,
    /// The fingerprint of what `config-changed` is about, until the application is written to.
    #[serde(skip)]
    pub(crate) fingerprint: OnceLock<u64>,
}

/// What the operator limits each workload container of an application to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraints {
    /// `mem`, in MiB.
    pub memory: Option<u64>,
    /// `cpu-power`, in thousandths of a processor.
    pub cpu: Option<u32>,
}

impl Application {
    /// The value of each option: set, default, or `None`.
    pub fn effective_config(&self) -> BTreeMap<String, Option<Value>> {
        self.options().map(|(name, value)| (name.clone(), value.cloned())).collect()
    }

    /// The value of one option: set, default, or `None`.
    pub fn effective(&self, name: &str) -> Option<&Value> {
        self.config.get(name).or_else(|| self.charm.config.get(name)?.default.as_ref())
    }

    /// As [`Self::effective_config`], without copies.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&String, Option<&Value>)> {
        let options = self.charm.config.iter();
        options.map(|(name, option)| (name, self.config.get(name).or(option.default.as_ref())))
    }
}
