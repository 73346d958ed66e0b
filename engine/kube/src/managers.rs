//! Who owns which fields of an object: the managers that applied them, and those that changed them
//! last.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cause::Cause;
use crate::fields::{self, Fields, Path};
use crate::format::instant;
use crate::{ApiError, Kind};

/// The most managers that updated an object and are kept apart.
const UPDATES_MAX: usize = 10;

/// The name of all that updated it before those.
const ANCIENT: &str = "ancient-changes";

/// Fields that no manager owns.
const GIVEN: [&str; 6] = [
    ".clusterIP",
    ".clusterIPs",
    ".ipFamilies",
    ".ipFamilyPolicy",
    ".nodePort",
    ".healthCheckNodePort",
];

/// One who owns fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// Whether it applies, rather than updates: two managers, if it does both.
    pub(crate) applies: bool,
    /// Whether it writes the status.
    pub(crate) status: bool,
}

/// What one manager owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Managed {
    pub(crate) fields: Fields,
    /// When it came to own other fields than before.
    time: String,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managers(pub(crate) BTreeMap<Manager, Managed>);

impl Managers {
    /// About what they take.
    pub(crate) fn bytes(&self) -> usize {
        let path = |path: &Path| path.iter().map(String::len).sum::<usize>();
        let managed = |(manager, managed): (&Manager, &Managed)| {
            manager.name.len() + managed.fields.iter().map(path).sum::<usize>()
        };
        self.0.iter().map(managed).sum()
    }

    /// How many apply.
    pub(crate) fn appliers(&self) -> usize {
        self.0.keys().filter(|manager| manager.applies).count()
    }

    /// Whether another than `manager` owns a field, or one inside it.
    fn is_others(&self, manager: &Manager, path: &[String]) -> bool {
        let mut others = self.0.iter().filter(|(other, _)| *other != manager);
        others.any(|(_, managed)| {
            managed.fields.range(path.to_vec()..).next().is_some_and(|own| own.starts_with(path))
        })
    }

    /// Notes that `manager` changed an object other than by applying: what it changed is its own.
    pub(crate) fn updated(
        &mut self,
        kind: Kind,
        manager: Manager,
        old: Option<&Value>,
        new: &Value,
        now: Timestamp,
    ) {
        let before = old.map(|old| fields::all(kind, old)).unwrap_or_default();
        let after = fields::all(kind, new);
        let given = |path: &Path| path.last().is_some_and(|step| GIVEN.contains(&step.as_str()));
        let changed = after.iter().filter(|(path, value)| before.get(*path) != Some(value));
        let changed: Fields =
            changed.map(|(path, _)| path.clone()).filter(|path| !given(path)).collect();
        let gone: Fields = before.into_keys().filter(|path| !after.contains_key(path)).collect();
        for managed in self.0.values_mut() {
            managed.fields.retain(|path| !changed.contains(path) && !gone.contains(path));
        }
        if !changed.is_empty() {
            let own = self.0.entry(manager).or_default();
            own.time = instant(now);
            own.fields.extend(changed);
        }
        self.tidy();
    }

    /// What `manager` owned, and no longer applies, and no other manager owns.
    pub(crate) fn withdrawn(&self, manager: &Manager, own: &Fields) -> Vec<Path> {
        let before = self.0.get(manager).map(|managed| &managed.fields);
        let withdrawn = before.into_iter().flatten().filter(|path| !own.contains(*path));
        withdrawn.filter(|path| !self.is_others(manager, path)).cloned().collect()
    }

    /// Refuses to change fields that others own.
    pub(crate) fn conflicts(
        &self,
        kind: Kind,
        manager: &Manager,
        changed: &Fields,
    ) -> Result<(), ApiError> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (other, managed) in self.0.iter().filter(|(other, _)| *other != manager) {
            let shown = other.shown(kind);
            let both = managed.fields.intersection(changed);
            found.extend(both.map(|path| (shown.clone(), path.concat())));
        }
        if found.is_empty() {
            return Ok(());
        }
        let causes = found.iter().map(|(other, field)| Cause::manager(other, field)).collect();
        Err(ApiError::ApplyConflict { words: words(&found), causes })
    }

    /// Notes what `manager` applies now; what it changed is no longer others'.
    pub(crate) fn applied(
        &mut self,
        manager: Manager,
        own: Fields,
        changed: &Fields,
        now: Timestamp,
    ) {
        for managed in self.0.values_mut() {
            managed.fields.retain(|path| !changed.contains(path));
        }
        let managed = self.0.entry(manager).or_default();
        if managed.fields != own {
            managed.time = instant(now);
        }
        managed.fields = own;
        self.tidy();
    }

    /// Forgets who owns nothing, and puts the oldest updates together.
    fn tidy(&mut self) {
        self.0.retain(|_, managed| !managed.fields.is_empty());
        loop {
            let updates = self.0.iter().filter(|(one, _)| !one.applies && one.name != ANCIENT);
            if updates.clone().count() <= UPDATES_MAX {
                return;
            }
            let oldest = updates.min_by(|(_, a), (_, b)| a.time.cmp(&b.time));
            let Some(oldest) = oldest.map(|(one, _)| one.clone()) else { return };
            let Some(managed) = self.0.remove(&oldest) else { return };
            let all = Manager { name: ANCIENT.to_owned(), ..oldest };
            let all = self.0.entry(all).or_default();
            all.time = managed.time;
            all.fields.extend(managed.fields);
        }
    }
}

impl Manager {
    /// How a manager is named in a refusal.
    fn shown(&self, kind: Kind) -> String {
        let mut shown = format!("{:?}", self.name);
        if self.status {
            shown.push_str(" with subresource \"status\"");
        }
        if !self.applies {
            shown.push_str(" using ");
            shown.push_str(kind.api_version());
        }
        shown
    }
}

/// All conflicts in one text.
fn words(found: &[(String, String)]) -> String {
    if let [(other, field)] = found {
        return format!("Apply failed with 1 conflict: conflict with {other}: {field}");
    }
    let mut lines = Vec::new();
    let mut last = "";
    for (other, field) in found {
        if other != last {
            lines.push(format!("conflicts with {other}:"));
            last = other;
        }
        lines.push(format!("- {field}"));
    }
    format!("Apply failed with {} conflicts: {}", found.len(), lines.join("\n"))
}
