//! Who owns whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::Kind;
use crate::store::{Key, Object, Store};

/// Who owns whom, read once for a whole deletion.
pub(crate) struct Owners {
    /// By an owner's uid.
    owned: HashMap<String, Vec<Key>>,
    /// How many owners that exist each object has left.
    left: HashMap<Key, usize>,
}

/// The uids of an object's owners, and whether each is of a kind that is kept here.
fn named(object: &Object) -> impl Iterator<Item = (&str, bool)> {
    let owners = object.value()["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().filter_map(|owner| {
        let known = owner["kind"].as_str().and_then(Kind::named).is_some();
        Some((owner["uid"].as_str()?, known))
    })
}

impl Owners {
    pub(crate) fn of(objects: &BTreeMap<Key, Object>) -> Owners {
        let uids: HashSet<&str> = objects.values().filter_map(Object::uid).collect();
        let mut owners = Owners { owned: HashMap::new(), left: HashMap::new() };
        for (key, object) in objects {
            // An owner of a kind that is not served here is taken to exist.
            let living = named(object).filter(|(uid, known)| !known || uids.contains(uid));
            let living: BTreeSet<&str> = living.map(|(uid, _)| uid).collect();
            for uid in &living {
                owners.owned.entry((*uid).to_owned()).or_default().push(key.clone());
            }
            owners.left.insert(key.clone(), living.len());
        }
        owners
    }

    /// Those that name `uid` as an owner.
    pub(crate) fn of_uid(&self, uid: &str) -> &[Key] {
        self.owned.get(uid).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those that name `uid` as an owner, who is to be forgotten.
    pub(crate) fn take(&mut self, uid: &str) -> Vec<Key> {
        self.owned.remove(uid).unwrap_or_default()
    }

    /// The objects of which `uid` was the last owner.
    pub(crate) fn orphaned_by(&mut self, uid: &str) -> Vec<Key> {
        let mut owned = self.take(uid);
        owned.retain(|key| {
            let left = self.left.entry(key.clone()).or_default();
            *left = left.saturating_sub(1);
            *left == 0
        });
        owned
    }
}

impl Store {
    /// Whether an object names owners of which none exists.
    pub(crate) fn is_abandoned(&self, key: &Key, object: &Object) -> bool {
        let owners = object.value()["metadata"]["ownerReferences"].as_array();
        let owners = owners.map(Vec::as_slice).unwrap_or_default();
        let is_gone = |owner: &Value| {
            // An owner of a kind that is not served here is taken to exist.
            let kind = owner["kind"].as_str().and_then(Kind::named);
            kind.is_some_and(|kind| {
                let name = owner["name"].as_str().unwrap_or_default();
                let there = self.objects.get(&Key::new(kind, &key.namespace, name));
                there.and_then(Object::uid) != owner["uid"].as_str()
            })
        };
        !owners.is_empty() && owners.iter().all(is_gone)
    }
}

impl Object {
    /// The uid that the object has.
    pub(crate) fn uid(&self) -> Option<&str> {
        match &self.value()["metadata"]["uid"] {
            Value::String(uid) => Some(uid),
            _ => None,
        }
    }
}
