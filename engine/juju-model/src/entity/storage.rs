//! Storage instances: they outlive pods, and units of the same number find them again.

use std::collections::BTreeMap;

use juju_names::{AppName, UnitName};
use serde::{Deserialize, Serialize};

use crate::entity::hook::storage_name;
use crate::tool::StorageInfo;
use crate::{Model, StorageMeta};

/// A storage instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageInstance {
    /// Name and number, such as `pgdata/0`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// Where the charm container sees it.
    pub location: String,
    /// The unit it belongs to, or waits for while detached; none once its application is gone.
    pub owner: Option<UnitName>,
    /// Whether a unit has it now.
    pub attached: bool,
}

impl StorageInstance {
    /// The storage's name: `pgdata`.
    pub fn name(&self) -> &str {
        storage_name(&self.id)
    }

    pub(crate) fn info(&self) -> StorageInfo {
        StorageInfo {
            id: self.id.clone(),
            kind: self.kind.clone(),
            location: self.location.clone(),
        }
    }
}

impl Model {
    /// The instances that the unit has now, by number.
    pub(crate) fn storage_of(&self, unit: &UnitName) -> Vec<String> {
        let own = self.storage.values().filter(|s| s.attached && s.owner.as_ref() == Some(unit));
        own.map(|instance| instance.id.clone()).collect()
    }

    /// Gives a unit the storage its charm declares; instances it had before come back.
    pub(crate) fn provide_storage(&mut self, unit: &UnitName) {
        let Some(app) = self.apps.get(unit.app()) else { return };
        for (name, meta) in app.charm.storage.clone() {
            let mut have = 0;
            for instance in self.storage.values_mut() {
                if instance.name() == name && instance.owner.as_ref() == Some(unit) {
                    instance.attached = true;
                    have += 1;
                }
            }
            for index in have..count(&meta) {
                self.create_storage(unit, &name, &meta, index);
            }
        }
    }

    /// Gives a unit more instances of storages that take several.
    pub(crate) fn add_storage(&mut self, unit: &UnitName, wanted: &BTreeMap<String, u32>) {
        for (name, count) in wanted {
            let Some(app) = self.apps.get(unit.app()) else { return };
            let Some(meta) = app.charm.storage.get(name).cloned() else { continue };
            let own = |instance: &&StorageInstance| {
                instance.name() == name && instance.owner.as_ref() == Some(unit)
            };
            let have = u32::try_from(self.storage.values().filter(own).count()).unwrap_or(u32::MAX);
            for index in have..have.saturating_add(*count) {
                self.create_storage(unit, name, &meta, index);
            }
        }
    }

    fn create_storage(&mut self, unit: &UnitName, name: &str, meta: &StorageMeta, index: u32) {
        let id = format!("{name}/{}", self.next_storage);
        self.next_storage += 1;
        let location = match &meta.location {
            Some(location) if meta.multiple.is_none() => location.clone(),
            Some(location) => format!("{location}/{index}"),
            None => format!("/var/lib/juju/storage/{name}/{index}"),
        };
        let owner = Some(unit.clone());
        let kind = meta.kind.clone();
        let instance = StorageInstance { id: id.clone(), kind, location, owner, attached: true };
        self.storage.insert(id, instance);
    }

    /// Detaches what a unit that is gone had.
    pub(crate) fn detach_storage(&mut self, unit: &UnitName) {
        for instance in self.storage.values_mut() {
            if instance.owner.as_ref() == Some(unit) {
                instance.attached = false;
            }
        }
    }

    /// Storage of a removed application stays, and no later application of that name gets it.
    pub(crate) fn orphan_storage(&mut self, app: &AppName) {
        for instance in self.storage.values_mut() {
            if instance.owner.as_ref().is_some_and(|unit| unit.app() == app) {
                instance.owner = None;
                instance.attached = false;
            }
        }
    }
}

/// The most instances that a unit may have; `None` without a bound.
pub(crate) fn most(meta: &StorageMeta) -> Option<u32> {
    match meta.multiple.as_deref().map(|range| range.rsplit_once('-')) {
        None => Some(1),
        Some(Some((_, most))) => most.parse().ok(),
        Some(None) => meta.multiple.as_deref().and_then(|range| range.parse().ok()),
    }
}

/// How many instances a unit gets: the lower end of the range, or one.
fn count(meta: &StorageMeta) -> u32 {
    let range = meta.multiple.as_deref().unwrap_or("1");
    let digits: String = range.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(1)
}
