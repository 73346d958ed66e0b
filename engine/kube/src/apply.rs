//! Server-side apply, and how much an object may take.

use serde_json::{Value, json};

use crate::cause::Cause;
use crate::fields::{self, Fields};
use crate::managers::{Manager, Managers};
use crate::store::{Key, Object, Store};
use crate::write::{Writer, conditional};
use crate::{ApiError, Scope, merge, schema, validate};

/// The most managers that may apply an object.
const MANAGERS_MAX: usize = 32;

/// The longest object that a client may store, in bytes: what etcd takes in one request.
const OBJECT_BYTES_MAX: usize = 3 << 19;

/// The most that all objects may have for a client to store more, in bytes. The whole store is
/// written at each change.
const STORE_BYTES_MAX: usize = 8 << 20;

impl Store {
    /// Creates an object or merges `body` into it on behalf of the writer's manager; what it
    /// applied before, no longer mentions and shares with no other manager is removed. What others
    /// own changes only by `force`. `true`: the object is new.
    ///
    /// # Errors
    /// `ApplyConflict`, `Conflict`, `BadRequest`, `Invalid`, `Undeclared` and `TooLarge`.
    pub fn apply(
        &mut self,
        key: &Key,
        body: &Value,
        force: bool,
        writer: Writer<'_>,
    ) -> Result<(Object, bool), ApiError> {
        let kind = key.kind;
        let status = writer.scope == Scope::Status;
        let old = match self.objects.get(key) {
            Some(_) => Some(self.unchanged_since(key, body)?.clone()),
            // A condition or a status can only be about an object that is there.
            None if status || conditional(&body["metadata"]["resourceVersion"]).is_some() => {
                return Err(key.not_found());
            }
            None => validate::identity(key, body).map(|()| None)?,
        };
        let applied = typed(key, body, writer.scope)?;
        let said = fields::all(kind, &applied);
        let mut value = old.as_ref().map_or_else(|| json!({}), |old| old.value().clone());
        let there = fields::all(kind, &value);
        let changed = said.iter().filter(|(path, value)| there.get(*path) != Some(value));
        let changed: Fields = changed.map(|(path, _)| path.clone()).collect();
        let own: Fields = said.into_keys().collect();
        let manager = Manager { name: writer.manager.to_owned(), applies: true, status };
        let before = self.managers_of(key);
        if !force {
            before.conflicts(kind, &manager, &changed)?;
        }
        fields::merge(kind, "", &mut value, &applied);
        for path in before.withdrawn(&manager, &own) {
            fields::remove(kind, &mut value, &path);
        }
        let mut managers = before.clone();
        managers.applied(manager, own, &changed, writer.now);
        if writer.scope != Scope::Whole {
            if managers.appliers() > MANAGERS_MAX.max(before.appliers()) {
                let found = managers.appliers();
                let causes = vec![Cause::too_many("metadata.managedFields", found, MANAGERS_MAX)];
                return Err(ApiError::Invalid { kind, name: key.name.clone(), causes });
            }
            let bytes = self.bytes_of(key);
            self.room_for(key, bytes, bytes + managers.bytes() - before.bytes())?;
        }
        let stored = self.store(key.clone(), value, writer)?;
        let object = match (stored, &old) {
            (Some(object), _) => object,
            // Who owns what is part of an object.
            (None, Some(old)) if managers != before => {
                self.commit(key.clone(), old.value().clone())
            }
            (None, Some(old)) => old.clone(),
            (None, None) => return Err(key.not_found()),
        };
        self.remember_managers(key, managers);
        Ok((self.after_write(key, old.as_ref(), object, writer.now), old.is_none()))
    }

    /// Who owns the fields of an object.
    pub(crate) fn managers_of(&self, key: &Key) -> Managers {
        self.managers.get(key).map(|managers| managers.as_ref().clone()).unwrap_or_default()
    }

    pub(crate) fn remember_managers(&mut self, key: &Key, managers: Managers) {
        if managers.0.is_empty() {
            self.managers.remove(key);
        } else {
            self.managers.insert(key.clone(), managers.into());
        }
    }

    /// Refuses what is larger than etcd would take, and what has no room beside everything else.
    /// What does not grow always has: one client's objects never stand in another's way.
    pub(crate) fn room_for(&self, key: &Key, before: usize, after: usize) -> Result<(), ApiError> {
        if after > OBJECT_BYTES_MAX {
            return Err(ApiError::TooLarge(OBJECT_BYTES_MAX));
        }
        let objects: usize = self.objects.values().map(|object| object.json().len()).sum();
        let all = objects + self.managers.values().map(|one| one.bytes()).sum::<usize>();
        if after > before && all - self.bytes_of(key) + after > STORE_BYTES_MAX {
            return Err(ApiError::Internal("etcdserver: mvcc: database space exceeded".to_owned()));
        }
        Ok(())
    }

    /// What an object takes, with who owns its fields: Kubernetes keeps that inside.
    pub(crate) fn bytes_of(&self, key: &Key) -> usize {
        let object = self.objects.get(key).map_or(0, |object| object.json().len());
        object + self.managers.get(key).map_or(0, |managers| managers.bytes())
    }
}

/// What is applied, as the object's kind has it; only the part that the writer may change.
fn typed(key: &Key, body: &Value, scope: Scope) -> Result<Value, ApiError> {
    validate::shape(body)?;
    let mut applied = body.clone();
    merge::empty_texts(&mut applied);
    merge::prune(&mut applied);
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApiError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let unknown = schema::decode(key.kind, &mut applied)?;
    if scope != Scope::Whole && !unknown.is_empty() {
        let (kind, name) = (key.kind, key.name.clone());
        let namespace = body["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        return Err(ApiError::Undeclared { kind, namespace, name, unknown });
    }
    if let Some(parts) = applied.as_object_mut() {
        match scope {
            Scope::Main => drop(parts.remove("status")),
            Scope::Status => parts.retain(|name, _| name != "spec"),
            Scope::Whole => {}
        }
    }
    Ok(applied)
}
