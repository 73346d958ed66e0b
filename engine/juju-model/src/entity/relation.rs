//! Relations and their databags.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use juju_names::{AppName, EndpointName, RelationId, UnitName};
use serde::{Deserialize, Serialize};

use crate::tool::Bag;
use crate::{Life, RelationEvent, Role, Rules};

/// One side of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationEnd {
    /// The application.
    pub app: AppName,
    /// Its endpoint.
    pub endpoint: EndpointName,
    /// The endpoint's side.
    pub role: Role,
    /// The interface.
    pub interface: String,
}

/// A databag and how often it changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Databag {
    /// Its content; hooks that read it share it.
    pub values: Arc<Bag>,
    pub(crate) version: u64,
    /// Differs where the content does.
    #[serde(default)]
    pub(crate) digest: u64,
}

impl Databag {
    /// Applies changes; an empty value deletes. Reports whether anything differs.
    pub(crate) fn apply(&mut self, changes: &Bag) -> bool {
        let differs = |(key, value): (&String, &String)| match self.values.get(key) {
            Some(now) => now != value,
            None => !value.is_empty(),
        };
        let changed = changes.iter().any(differs);
        if changed {
            overlay(Arc::make_mut(&mut self.values), changes);
            self.changed();
        }
        changed
    }

    /// Counts a change of the values.
    pub(crate) fn changed(&mut self) {
        self.version += 1;
        self.digest = if self.values.is_empty() { 0 } else { crate::hash::hashed(&self.values) };
    }

    /// What distinguishes it from an earlier one of the same number.
    pub(crate) fn mark(&self, rules: &Rules) -> u64 {
        if rules.bags_by_content { self.digest } else { self.version }
    }
}

/// Lays changes over a bag; an empty value deletes.
pub(crate) fn overlay(bag: &mut Bag, changes: &Bag) {
    for (key, value) in changes {
        if value.is_empty() {
            bag.remove(key);
        } else {
            bag.insert(key.clone(), value.clone());
        }
    }
}

/// A relation between two applications, or among the units of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Relation {
    /// Its id.
    pub id: RelationId,
    /// One end for peers, provider and requirer otherwise.
    pub ends: Vec<RelationEnd>,
    /// Alive or dying.
    pub life: Life,
    /// Databags of applications.
    pub app_bags: BTreeMap<AppName, Databag>,
    /// Databags of units, those that left included.
    pub unit_bags: BTreeMap<UnitName, Databag>,
    /// Units that take part now.
    pub scope: BTreeSet<UnitName>,
    /// When it was made; unknown for those from an older store.
    #[serde(default)]
    pub since: Option<jiff::Timestamp>,
    /// Units leave it even if their hooks fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forced: bool,
}

impl Relation {
    /// Whether it is a peer relation.
    pub fn is_peer(&self) -> bool {
        self.ends.len() == 1
    }

    /// The end of an application. Of an application related to itself, the provider's.
    pub fn end(&self, app: &AppName) -> Option<&RelationEnd> {
        self.ends.iter().find(|end| end.app == *app)
    }

    /// The application on the other side; the own one for peers.
    pub fn remote(&self, app: &AppName) -> Option<&RelationEnd> {
        self.end(app)?;
        self.ends.iter().find(|end| end.app != *app).or(self.ends.first())
    }

    /// The relation as a unit's hooks name it.
    pub(crate) fn event(&self, app: &AppName) -> Option<RelationEvent> {
        Some(RelationEvent {
            id: self.id,
            endpoint: self.end(app)?.endpoint.clone(),
            remote_app: self.remote(app)?.app.clone(),
        })
    }

    /// Juju's own name of it: the requirer first.
    pub(crate) fn key(&self) -> String {
        let mut ends: Vec<_> = self.ends.iter().collect();
        ends.sort_by_key(|end| end.role != Role::Requirer);
        let ends: Vec<_> = ends.iter().map(|end| format!("{}:{}", end.app, end.endpoint)).collect();
        ends.join(" ")
    }

    /// `pgb:db pg:database`, for messages.
    pub fn describe(&self) -> String {
        let ends: Vec<_> =
            self.ends.iter().map(|end| format!("{}:{}", end.app, end.endpoint)).collect();
        ends.join(" ")
    }
}
