//! The whole store as one value, for the engine's own store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u64,
    seed: u64,
    objects: Vec<Value>,
    applied: Vec<Applied>,
}

#[derive(Serialize, Deserialize)]
struct Applied {
    kind: String,
    namespace: String,
    name: String,
    managers: BTreeMap<String, Value>,
}

impl Store {
    /// Everything but the history.
    pub fn snapshot(&self) -> Value {
        let applied = self.applied.iter().map(|(key, managers)| {
            let managers: BTreeMap<&String, &Value> =
                managers.iter().map(|(manager, body)| (manager, body.value())).collect();
            serde_json::json!({
                "kind": key.kind.name(),
                "namespace": key.namespace,
                "name": key.name,
                "managers": managers,
            })
        });
        serde_json::json!({
            "version": self.version,
            "seed": self.options.seed,
            "objects": self.objects.values().map(Object::value).collect::<Vec<_>>(),
            "applied": applied.collect::<Vec<_>>(),
        })
    }

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
        for entry in snapshot.applied {
            let kind = Kind::named(&entry.kind).ok_or(SnapshotError::Object(entry.kind))?;
            let key = Key::new(kind, &entry.namespace, &entry.name);
            let managers = entry.managers.into_iter();
            let managers = managers.map(|(manager, body)| (manager, Object::new(body)));
            store.applied.insert(key, managers.collect());
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
