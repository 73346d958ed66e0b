//! What one hook has read and later ones need not: remembered in the controller state.
//!
//! Juju commits a hook's writes and its controller state together or not at all, so what this
//! unit read or wrote last is what stands there, but for what [`TABLE`] lists.

use std::collections::BTreeSet;
use std::fmt;

use juju_names::{AppName, RelationId, UnitName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{HookError, Reader};
use crate::{Bag, Event, Own, RelationKind};

/// The controller-state keys of remembered things begin so.
const PREFIX: &str = "cached:";

/// The controller-state key of a unit that is being removed.
const LEAVING_KEY: &str = "leaving";

/// A larger bag is read each time: Juju bounds the state of a unit.
const BAG_BYTES_MAX: usize = 16 << 10;

/// The most that is remembered in all. Juju takes 2 MiB of state, and fails a hook that leaves
/// more; what is not remembered is read.
const MEMORY_BYTES_MAX: usize = 1 << 20;
/// The most that is remembered as one value, of which Juju takes 64 KiB.
const VALUE_BYTES_MAX: usize = 60 << 10;

/// Forgets what is more than Juju takes, databags first.
pub(super) fn bound(state: &mut Bag) {
    let size = |(key, text): &(&String, &String)| key.len() + text.len();
    let fits =
        |(key, text): &(&String, &String)| key.starts_with(PREFIX) && text.len() <= VALUE_BYTES_MAX;
    let mut kept: Vec<_> = state.iter().filter(fits).collect();
    let is_bag = |key: &str| matches!(Key::parse(key), Some(Key::OwnBag(..)));
    kept.sort_by_key(|one| (is_bag(one.0), size(one), one.0.clone()));
    let mut bytes = 0;
    let fits = |one: &(&String, &String)| {
        bytes += size(one);
        bytes <= MEMORY_BYTES_MAX
    };
    let fitting = kept.into_iter().filter(fits).map(|(key, _)| key.clone());
    let fitting: BTreeSet<String> = fitting.collect();
    state.retain(|key, _| !key.starts_with(PREFIX) || fitting.contains(key));
}

/// One thing that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Relations(String),
    RemoteApp(RelationId),
    OwnBag(RelationId, Own),
    PlannedUnits,
}

/// Things of one kind, which the same makes doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relations,
    RemoteApp,
    UnitBag,
    AppBag,
    PlannedUnits,
}

/// What may make a remembered thing untrue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// *upgrade-charm*: another charm ran before.
    UpgradeCharm,
    /// *config-changed*: Juju writes addresses into the unit's databags.
    ConfigChanged,
    /// *update-status*: it is time to look, for what no event reports.
    UpdateStatus,
    /// *leader-elected*: another unit led and wrote the application's databags.
    LeaderElected,
    /// Any event of the endpoint.
    EventOfEndpoint,
    /// The relation is created or broken.
    RelationBeginsOrEnds,
    /// The peer relation begins or ends, a peer departs, or one is there that was not planned.
    PeersMove,
    /// The charm found that another unit led since, although no event reported it yet. It may also
    /// have served relations whose events this unit has not had.
    AnotherLed,
    /// Juju knows no more of a relation that was remembered.
    UnknownRelation,
}

/// What makes what doubtful. What a row does not name, it outlasts; a relation's bags and
/// application are also forgotten when a charm says which relations are left.
const TABLE: [(Kind, &[Cause]); 5] = [
    (
        Kind::Relations,
        &[Cause::EventOfEndpoint, Cause::UpgradeCharm, Cause::AnotherLed, Cause::UnknownRelation],
    ),
    // A number is never given to another relation.
    (Kind::RemoteApp, &[Cause::RelationBeginsOrEnds]),
    (Kind::UnitBag, &[Cause::RelationBeginsOrEnds, Cause::ConfigChanged, Cause::UpgradeCharm]),
    (
        Kind::AppBag,
        &[
            Cause::RelationBeginsOrEnds,
            Cause::LeaderElected,
            Cause::AnotherLed,
            Cause::UpgradeCharm,
        ],
    ),
    // No event reports a unit that goes before it was up, and Juju 4.0 leaves out others.
    (Kind::PlannedUnits, &[Cause::PeersMove, Cause::UpdateStatus, Cause::UpgradeCharm]),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relations(endpoint) => write!(f, "{PREFIX}relations:{endpoint}"),
            Self::RemoteApp(id) => write!(f, "{PREFIX}app:{id}"),
            Self::OwnBag(id, Own::Unit) => write!(f, "{PREFIX}unit-bag:{id}"),
            Self::OwnBag(id, Own::App) => write!(f, "{PREFIX}app-bag:{id}"),
            Self::PlannedUnits => write!(f, "{PREFIX}planned-units"),
        }
    }
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX)?;
        let (kind, of) = text.split_once(':').unwrap_or((text, ""));
        Some(match kind {
            "relations" => Self::Relations(of.to_owned()),
            "app" => Self::RemoteApp(of.parse().ok()?),
            "unit-bag" => Self::OwnBag(of.parse().ok()?, Own::Unit),
            "app-bag" => Self::OwnBag(of.parse().ok()?, Own::App),
            "planned-units" => Self::PlannedUnits,
            _ => return None,
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Relations(_) => Kind::Relations,
            Self::RemoteApp(_) => Kind::RemoteApp,
            Self::OwnBag(_, Own::Unit) => Kind::UnitBag,
            Self::OwnBag(_, Own::App) => Kind::AppBag,
            Self::PlannedUnits => Kind::PlannedUnits,
        }
    }

    /// The relation that it is about.
    fn relation(&self) -> Option<RelationId> {
        match self {
            Self::RemoteApp(id) | Self::OwnBag(id, _) => Some(*id),
            Self::Relations(_) | Self::PlannedUnits => None,
        }
    }

    /// Whether one of these causes makes it doubtful.
    fn is_doubted(&self, causes: &[Cause]) -> bool {
        let rows = TABLE.iter().filter(|(kind, _)| *kind == self.kind());
        rows.flat_map(|(_, row)| row.iter()).any(|cause| causes.contains(cause))
    }

    /// What the event is to this thing.
    fn causes(&self, event: &Event, own: &AppName, planned: &[UnitName]) -> Vec<Cause> {
        let relation = match event {
            Event::UpgradeCharm => return vec![Cause::UpgradeCharm],
            Event::ConfigChanged => return vec![Cause::ConfigChanged],
            Event::UpdateStatus => return vec![Cause::UpdateStatus],
            Event::LeaderElected => return vec![Cause::LeaderElected],
            Event::Relation(relation) => relation,
            Event::Install
            | Event::Start
            | Event::Stop
            | Event::Remove
            | Event::PebbleReady { .. }
            | Event::PebbleCustomNotice { .. }
            | Event::PebbleCheckFailed { .. }
            | Event::PebbleCheckRecovered { .. }
            | Event::SecretChanged { .. }
            | Event::SecretRemove { .. }
            | Event::SecretRotate { .. }
            | Event::SecretExpired { .. }
            | Event::StorageAttached { .. }
            | Event::StorageDetaching { .. }
            | Event::Action { .. }
            | Event::Custom(_) => return Vec::new(),
        };
        let mut causes = Vec::new();
        if *self == Self::Relations(relation.endpoint.to_string()) {
            causes.push(Cause::EventOfEndpoint);
        }
        let ends = matches!(relation.kind, RelationKind::Created | RelationKind::Broken);
        if ends && self.relation() == Some(relation.id) {
            causes.push(Cause::RelationBeginsOrEnds);
        }
        let of_peers = relation.remote_app.as_ref().is_none_or(|app| app == own);
        let comes = matches!(relation.kind, RelationKind::Joined | RelationKind::Changed);
        let known = relation.remote_unit.as_ref().is_none_or(|unit| planned.contains(unit));
        if of_peers && !(comes && known) {
            causes.push(Cause::PeersMove);
        }
        causes
    }
}

impl Reader {
    /// The live relations of an endpoint, without a call once they are remembered.
    ///
    /// # Errors
    /// As [`Reader::relations`].
    pub fn cached_relations(
        &mut self,
        endpoint: impl AsRef<str>,
    ) -> Result<Vec<RelationId>, HookError> {
        let key = Key::Relations(endpoint.as_ref().to_owned());
        self.cached(&key, |reader| reader.live_relations(endpoint))
    }

    /// The application at the other end, without a call once it is remembered.
    ///
    /// # Errors
    /// As [`Reader::remote_app`].
    pub fn cached_remote_app(&mut self, id: RelationId) -> Result<AppName, HookError> {
        self.cached(&Key::RemoteApp(id), |reader| reader.remote_app(id))
    }

    /// The planned units, without a call once they are remembered.
    ///
    /// # Errors
    /// As [`Reader::planned_units`].
    pub fn cached_planned_units(&mut self) -> Result<Vec<UnitName>, HookError> {
        self.cached(&Key::PlannedUnits, Self::planned_units)
    }

    /// Whether a unit is among the planned ones as they are remembered; nothing is read.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn is_remembered_as_planned(&mut self, unit: &UnitName) -> Result<bool, HookError> {
        let planned: Option<Vec<UnitName>> = self.recall(&Key::PlannedUnits)?;
        Ok(planned.is_some_and(|planned| planned.contains(unit)))
    }

    /// An own databag as [`Reader::own_bag`] gives it, without a call once it is remembered. A
    /// bag with a password in it is never remembered: the memory is text in the controller.
    ///
    /// The application's bag is remembered by the leader; a charm says [`Cause::AnotherLed`] when
    /// another unit may have led since.
    ///
    /// # Errors
    /// As [`Reader::bag`].
    pub fn cached_bag(&mut self, id: RelationId, own: Own) -> Result<Bag, HookError> {
        let party = self.own(own);
        self.cached_bags.insert((id, own));
        if !self.bags.contains_key(&(id, party.clone()))
            && let Some(bag) = self.recall(&Key::OwnBag(id, own))?
        {
            self.bags.insert((id, party.clone()), bag);
        }
        self.bag(id, &party)
    }

    /// Makes the next `cached_…` read what this cause makes doubtful.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn invalidate(&mut self, cause: Cause) -> Result<(), HookError> {
        self.forget(|key| key.is_doubted(&[cause]))
    }

    /// Forgets what is about other relations than these: no event reports the end of one that had
    /// not begun for this unit, although it was listed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn forget_relations_besides(
        &mut self,
        live: &BTreeSet<RelationId>,
    ) -> Result<(), HookError> {
        self.cached_bags.retain(|(id, _)| live.contains(id));
        self.forget(|key| key.relation().is_some_and(|id| !live.contains(&id)))
    }

    /// Whether Juju has said that this unit is being removed. It says so with each remote unit that
    /// departs from it, but not when a relation is broken, and their order is not promised; so it
    /// is remembered.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn is_leaving(&mut self) -> Result<bool, HookError> {
        Ok(self.state(LEAVING_KEY)?.is_some())
    }

    /// Begins to handle an event, deferred or not.
    pub(crate) fn enter(&mut self, event: &Event) -> Result<(), HookError> {
        let relation = event.any_relation();
        let broken = relation.filter(|relation| relation.kind == RelationKind::Broken);
        self.ending = broken.map(|relation| relation.id);
        let departs = relation.and_then(|relation| relation.departing_unit.as_ref());
        if departs == Some(self.unit()) {
            self.whole_state()?.insert(LEAVING_KEY.to_owned(), "true".to_owned());
        }
        Ok(())
    }

    /// Forgets what a new event makes doubtful.
    pub(crate) fn invalidate_for(&mut self, event: &Event) -> Result<(), HookError> {
        let own = self.app().clone();
        let planned: Vec<UnitName> = self.recall(&Key::PlannedUnits)?.unwrap_or_default();
        self.forget(|key| key.is_doubted(&key.causes(event, &own, &planned)))
    }

    /// Remembers the bags as they stand after this hook.
    pub(super) fn keep_cached_bags(&mut self) -> Result<(), HookError> {
        for (id, own) in std::mem::take(&mut self.cached_bags) {
            let Some(bag) = self.bags.get(&(id, self.own(own))) else { continue };
            let text = serde_json::json!(bag).to_string();
            // A bag from before there were secrets may hold a password.
            let plain = bag.keys().any(|key| key.contains("password"));
            let (key, state) = (Key::OwnBag(id, own).to_string(), self.whole_state()?);
            if text.len() <= BAG_BYTES_MAX && !plain {
                state.insert(key, text);
            } else {
                state.remove(&key);
            }
        }
        Ok(())
    }

    fn cached<T: Serialize + DeserializeOwned>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&mut Self) -> Result<T, HookError>,
    ) -> Result<T, HookError> {
        if let Some(known) = self.recall(key)? {
            return Ok(known);
        }
        let found = read(self)?;
        let text = serde_json::json!(found).to_string();
        self.whole_state()?.insert(key.to_string(), text);
        Ok(found)
    }

    /// What is remembered; nonsense counts as nothing, and is read anew.
    fn recall<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, HookError> {
        let text = self.state(&key.to_string())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn forget(&mut self, doubtful: impl Fn(&Key) -> bool) -> Result<(), HookError> {
        self.whole_state()?.retain(|text, _| !Key::parse(text).is_some_and(|key| doubtful(&key)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
