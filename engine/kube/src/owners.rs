//! Deletion, and what goes with what was deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use crate::store::{Key, Object, Store};

/// Who owns whom, read once for a whole deletion.
struct Owners {
    /// By an owner's uid.
    owned: HashMap<String, Vec<Key>>,
    /// How many owners that exist each object has left.
    left: HashMap<Key, usize>,
}

impl Owners {
    fn of(objects: &BTreeMap<Key, Object>) -> Owners {
        let uids: HashSet<&str> = objects.values().filter_map(uid).collect();
        let mut owners = Owners { owned: HashMap::new(), left: HashMap::new() };
        for (key, object) in objects {
            let named = object.value()["metadata"]["ownerReferences"].as_array();
            let named = named.into_iter().flatten().filter_map(|owner| owner["uid"].as_str());
            let living: BTreeSet<&str> = named.filter(|uid| uids.contains(uid)).collect();
            for uid in &living {
                owners.owned.entry((*uid).to_owned()).or_default().push(key.clone());
            }
            owners.left.insert(key.clone(), living.len());
        }
        owners
    }

    /// The objects of which `uid` was the last owner.
    fn orphaned_by(&mut self, uid: &str) -> Vec<Key> {
        let mut owned = self.owned.remove(uid).unwrap_or_default();
        owned.retain(|key| {
            let left = self.left.entry(key.clone()).or_default();
            *left = left.saturating_sub(1);
            *left == 0
        });
        owned
    }
}

fn uid(object: &Object) -> Option<&str> {
    object.value()["metadata"]["uid"].as_str()
}

impl Store {
    /// Deletes objects, and those that name one of them as an owner and no owner that still
    /// exists, however long the chain.
    pub(crate) fn delete_with_owned(&mut self, keys: Vec<Key>, now: Timestamp) {
        let mut owners = Owners::of(&self.objects);
        let (mut due, mut deleted) = (keys, Vec::new());
        while let Some(key) = due.pop() {
            let Some(object) = self.remove(&key) else { continue };
            if let Some(uid) = uid(&object) {
                due.extend(owners.orphaned_by(uid));
            }
            deleted.push((key, object));
        }
        self.endpoints_after_deletions(&deleted, now);
    }
}
