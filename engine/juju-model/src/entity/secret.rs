//! Secrets: revisions, grants and who tracks what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use juju_names::{AppName, RelationId, SecretId, UnitName};
use serde::{Deserialize, Serialize};

use crate::tool::Bag;

/// Who owns a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// One unit.
    Unit(UnitName),
    /// An application; its leader acts for it.
    App(AppName),
    /// The operator.
    Model,
}

/// The keys and base64 values of one revision. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretContent(pub(crate) Bag);

impl SecretContent {
    /// The values in base64, for `juju show-secret --reveal`.
    pub fn reveal(&self) -> &Bag {
        &self.0
    }
}

impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretContent(..)")
    }
}

/// How often a secret asks to be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the variants are Juju's own terms")]
pub enum Rotation {
    #[default]
    Never,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Quarterly,
    Yearly,
}

impl Rotation {
    /// Reads Juju's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "never" => Self::Never,
            "hourly" => Self::Hourly,
            "daily" => Self::Daily,
            "weekly" => Self::Weekly,
            "monthly" => Self::Monthly,
            "quarterly" => Self::Quarterly,
            "yearly" => Self::Yearly,
            _ => return None,
        })
    }

    /// Juju's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::Yearly => "yearly",
        }
    }

    /// When the next rotation is due; months count 30 days.
    pub(crate) fn after(self, now: Timestamp) -> Option<Timestamp> {
        let hours = match self {
            Self::Never => return None,
            Self::Hourly => 1,
            Self::Daily => 24,
            Self::Weekly => 7 * 24,
            Self::Monthly => 30 * 24,
            Self::Quarterly => 91 * 24,
            Self::Yearly => 365 * 24,
        };
        now.checked_add(SignedDuration::from_hours(hours)).ok()
    }
}

/// One revision of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRevision {
    /// What it holds.
    pub content: SecretContent,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires.
    pub expire: Option<Timestamp>,
    /// `secret-remove` has run for it.
    pub(crate) removal_told: bool,
    /// `secret-expired` is not sent before this time.
    pub(crate) expire_due: Option<Timestamp>,
}

/// A right to read a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// One unit of the application, or all.
    pub unit: Option<UnitName>,
    /// The application.
    pub app: AppName,
    /// The relation it lives and dies with; an operator's grant has none.
    pub relation: Option<RelationId>,
}

/// What one unit knows of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tracking {
    /// The revision that a plain `secret-get` gives.
    pub revision: u32,
    /// The unit's own label for it.
    pub label: Option<String>,
    /// The revision of its last event.
    pub(crate) told: u32,
}

/// A secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Its owner.
    pub owner: Owner,
    /// The owner's label, or an operator's name for it.
    pub label: Option<String>,
    /// Free text.
    pub description: String,
    /// How often it wants rotating.
    pub rotation: Rotation,
    /// When that is next due.
    pub next_rotation: Option<Timestamp>,
    /// The number of the latest revision.
    pub latest: u32,
    /// Revisions that are kept.
    pub revisions: BTreeMap<u32, SecretRevision>,
    /// Who may read it.
    pub grants: Vec<Grant>,
    /// Who has read it.
    pub tracking: BTreeMap<UnitName, Tracking>,
    /// Old revisions go when nobody tracks them any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) auto_prune: bool,
}

impl Secret {
    /// Whether it belongs to the unit or to its application.
    pub(crate) fn belongs_to(&self, unit: &UnitName) -> bool {
        match &self.owner {
            Owner::Unit(owner) => owner == unit,
            Owner::App(app) => app == unit.app(),
            Owner::Model => false,
        }
    }

    /// Whether the unit may read it.
    pub(crate) fn readable_by(&self, unit: &UnitName) -> bool {
        self.belongs_to(unit)
            || self.grants.iter().any(|grant| match &grant.unit {
                Some(granted) => granted == unit,
                None => grant.app == *unit.app(),
            })
    }

    /// Old revisions that no consumer tracks any more.
    pub(crate) fn obsolete(&self) -> BTreeSet<u32> {
        let tracked: BTreeSet<u32> =
            self.tracking.values().map(|tracking| tracking.revision).collect();
        let old = self.revisions.keys().copied().filter(|revision| *revision != self.latest);
        old.filter(|revision| !tracked.contains(revision)).collect()
    }
}
