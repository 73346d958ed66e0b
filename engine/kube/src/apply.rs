//! Server-side apply: who applied what, and what that costs.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cause::Cause;
use crate::store::{Applied, Key, Object, Store};
use crate::write::conditional;
use crate::{ApiError, Kind, Scope, merge, schema, validate};

/// The most managers that an object remembers.
const MANAGERS_MAX: usize = 32;

/// The longest object that a client may store, in bytes: what etcd takes in one request.
const OBJECT_BYTES_MAX: usize = 3 << 19;

/// The most that all objects may have for a client to store more, in bytes. The whole store is
/// written at each change.
const STORE_BYTES_MAX: usize = 8 << 20;

/// The fields of `metadata` that no manager owns.
const NOBODYS: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "managedFields",
];

impl Store {
    /// Creates an object or merges `body` into it on behalf of `manager`; what the manager
    /// applied before and no longer mentions is taken back. `true`: the object is new.
    ///
    /// # Errors
    /// `Conflict`, `BadRequest`, `Invalid` and `TooLarge`.
    #[expect(clippy::too_many_arguments, reason = "a path, a manager, a body and the time")]
    pub fn apply(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        manager: &str,
        body: &Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(Object, bool), ApiError> {
        let key = Key::new(kind, namespace, name);
        let old = match self.objects.get(&key) {
            Some(_) => Some(self.unchanged_since(&key, body)?.value().clone()),
            // A condition or a status can only be about an object that is there.
            None if scope == Scope::Status
                || conditional(&body["metadata"]["resourceVersion"]).is_some() =>
            {
                return Err(key.not_found());
            }
            None => validate::identity(&key, body).map(|()| None)?,
        };
        let created = old.is_none();
        let mut value = old.unwrap_or_else(|| json!({}));
        let before = self.applied.get(&key).cloned().unwrap_or_default();
        let mut managers = before.clone();
        if let Some(applied) = managers.remove(manager) {
            merge::merge(&mut value, &merge::withdrawn(applied.value(), body));
        }
        merge::merge(&mut value, body);
        // Whoever applies nothing is a manager no more.
        if let Some(own) = owned(kind, body)? {
            managers.insert(manager.to_owned(), Object::new(own));
        }
        if scope != Scope::Whole && managers.len() > MANAGERS_MAX.max(before.len()) {
            let found = managers.len();
            let causes = vec![Cause::too_many("metadata.managedFields", found, MANAGERS_MAX)];
            return Err(ApiError::Invalid { kind, name: name.to_owned(), causes });
        }
        let bytes = self.bytes_of(&key);
        self.remember_applied(&key, managers);
        let room = match scope {
            Scope::Whole => Ok(()),
            _ => self.room_for(&key, bytes, self.bytes_of(&key)),
        };
        let written = room.and_then(|()| self.write(key.clone(), value, scope, now));
        if written.is_err() {
            self.remember_applied(&key, before);
        }
        written.map(|object| (object, created))
    }

    fn remember_applied(&mut self, key: &Key, managers: Applied) {
        if managers.is_empty() {
            self.applied.remove(key);
        } else {
            self.applied.insert(key.clone(), managers);
        }
    }

    /// Refuses what is larger than etcd would take, and what has no room beside everything else.
    /// What does not grow always has: one client's objects never stand in another's way.
    pub(crate) fn room_for(&self, key: &Key, before: usize, after: usize) -> Result<(), ApiError> {
        if after > OBJECT_BYTES_MAX {
            return Err(ApiError::TooLarge(OBJECT_BYTES_MAX));
        }
        let objects: usize = self.objects.values().map(|object| object.json().len()).sum();
        let all = objects + self.applied.values().map(applied_bytes).sum::<usize>();
        if after > before && all - self.bytes_of(key) + after > STORE_BYTES_MAX {
            return Err(ApiError::Internal("etcdserver: mvcc: database space exceeded".to_owned()));
        }
        Ok(())
    }

    /// What an object takes, with what was applied to it: Kubernetes keeps that inside.
    pub(crate) fn bytes_of(&self, key: &Key) -> usize {
        let object = self.objects.get(key).map_or(0, |object| object.json().len());
        object + self.applied.get(key).map_or(0, applied_bytes)
    }
}

fn applied_bytes(managers: &Applied) -> usize {
    managers.iter().map(|(manager, body)| manager.len() + body.json().len()).sum()
}

/// The fields that the manager of `body` owns, as its kind has them; none: it owns nothing.
fn owned(kind: Kind, body: &Value) -> Result<Option<Value>, ApiError> {
    validate::shape(body)?;
    let mut own = body.clone();
    merge::prune(&mut own);
    schema::decode(kind, &mut own)?;
    let Some(fields) = own.as_object_mut() else { return Ok(None) };
    fields.remove("apiVersion");
    fields.remove("kind");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !NOBODYS.contains(&field.as_str()));
    }
    fields.retain(|_, field| field.as_object().is_none_or(|inner| !inner.is_empty()));
    Ok((!fields.is_empty()).then_some(own))
}
