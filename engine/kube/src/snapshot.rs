//! The whole store as one value, for the engine's own store.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::managers::{Managed, Manager, Managers};
use crate::store::{Key, Object};
use crate::{Kind, Store, StoreOptions};

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The value is not a snapshot.
    #[error("cannot restore the Kubernetes objects: the snapshot is damaged, remove it")]
    Decode(#[source] serde_json::Error),
    /// An object without a known kind or a name.
    #[error("cannot restore the Kubernetes object {0}: the snapshot is damaged, remove it")]
    Object(String),
}

/// Versions that were given out after the last snapshot must never be given out again.
const VERSIONS_SKIPPED: u64 = 100_000;

#[derive(Deserialize)]
struct Snapshot {
    version: u64,
    seed: u64,
    objects: Vec<Value>,
    #[serde(default)]
    managed: Vec<Owned>,
}

/// Who owns the fields of one object.
#[derive(Deserialize)]
struct Owned {
    kind: String,
    namespace: String,
    name: String,
    managers: Vec<(Manager, Managed)>,
}

/// A [`Snapshot`] of what lies in the store: it is written at each change, so nothing is copied.
#[derive(Serialize)]
struct Kept<'a> {
    version: u64,
    seed: u64,
    objects: Vec<&'a Value>,
    managed: Vec<KeptOwned<'a>>,
}

#[derive(Serialize)]
struct KeptOwned<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    managers: Vec<(&'a Manager, &'a Managed)>,
}

/// Everything but the history.
impl Serialize for Store {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let managed = self.managers.iter().map(|(key, managers)| KeptOwned {
            kind: key.kind.name(),
            namespace: &key.namespace,
            name: &key.name,
            managers: managers.0.iter().collect(),
        });
        let kept = Kept {
            version: self.version,
            seed: self.options.seed,
            objects: self.objects.values().map(Object::value).collect(),
            managed: managed.collect(),
        };
        kept.serialize(serializer)
    }
}

impl Store {
    /// The store that `snapshot` was taken of; watches from before are answered `410`.
    ///
    /// # Errors
    /// [`SnapshotError`] when the value is not a snapshot.
    pub fn restore(options: StoreOptions, snapshot: Value) -> Result<Store, SnapshotError> {
        let snapshot: Snapshot = serde_json::from_value(snapshot).map_err(SnapshotError::Decode)?;
        let options = StoreOptions { seed: snapshot.seed, ..options };
        let mut store = Store::at(options, snapshot.version + VERSIONS_SKIPPED);
        for value in snapshot.objects {
            let key = key_of(&value).ok_or_else(|| SnapshotError::Object(value.to_string()))?;
            store.objects.insert(key, Object::new(value));
        }
        for entry in snapshot.managed {
            let kind = Kind::named(&entry.kind).ok_or(SnapshotError::Object(entry.kind))?;
            let key = Key::new(kind, &entry.namespace, &entry.name);
            store.remember_managers(&key, Managers(entry.managers.into_iter().collect()));
        }
        Ok(store)
    }
}

fn key_of(value: &Value) -> Option<Key> {
    let metadata = &value["metadata"];
    let kind = Kind::named(value["kind"].as_str()?)?;
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    Some(Key::new(kind, namespace, metadata["name"].as_str()?))
}
