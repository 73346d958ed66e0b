//! The verbs that change the store.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::store::{Key, Object, Store};
use crate::{ApiError, Filter, Kind, address, endpoints, merge, schema, validate};

/// The longest beginning of a generated name that is used.
const GENERATED_PREFIX_MAX: usize = 58;

/// How the body of a patch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// Lists with a merge key merge by it.
    Strategic,
}

/// Which part of an object a writer may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything but `status`: a client at the object's path.
    Main,
    /// Only `status`: a client at the `/status` path.
    Status,
    /// Everything: the engine.
    Whole,
}

/// What must hold for a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The uid the object must have.
    pub uid: Option<String>,
    /// The version the object must have.
    pub resource_version: Option<String>,
}

impl Store {
    /// Creates an object; `body` need not say what the path says.
    ///
    /// # Errors
    /// `AlreadyExists`, `BadRequest` and `Invalid`.
    pub fn create(
        &mut self,
        kind: Kind,
        namespace: &str,
        body: &Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        let name = self.chosen_name(body)?;
        let key = Key::new(kind, namespace, &name);
        validate::identity(&key, body)?;
        if self.objects.contains_key(&key) {
            return Err(ApiError::AlreadyExists { kind, name });
        }
        if conditional(&body["metadata"]["resourceVersion"]).is_some() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        self.write(key, body.clone(), scope, now)
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `BadRequest` and `Invalid`.
    pub fn replace(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        body: &Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        let key = Key::new(kind, namespace, name);
        self.unchanged_since(&key, body)?;
        self.write(key, body.clone(), scope, now)
    }

    /// Changes an object.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `BadRequest` and `Invalid`.
    #[expect(clippy::too_many_arguments, reason = "a path, a typed body, a scope and the time")]
    pub fn patch(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch_type: PatchType,
        body: &Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        let key = Key::new(kind, namespace, name);
        if !body.is_object() {
            return Err(ApiError::BadRequest("the patch is not a JSON object".to_owned()));
        }
        let mut value = self.unchanged_since(&key, body)?.value().clone();
        match patch_type {
            PatchType::Merge => merge::merge(&mut value, body),
            PatchType::Strategic => merge::strategic(&mut value, body),
        }
        self.write(key, value, scope, now)
    }

    /// Deletes an object and what it alone owned; the answer is the object as it was.
    ///
    /// # Errors
    /// `NotFound` and `Conflict`.
    pub fn delete(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        preconditions: &Preconditions,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        let key = Key::new(kind, namespace, name);
        let wanted = json!({ "metadata": {
            "uid": preconditions.uid, "resourceVersion": preconditions.resource_version,
        }});
        let object = self.unchanged_since(&key, &wanted)?.clone();
        self.delete_with_owned(vec![key], now);
        Ok(object)
    }

    /// Deletes the objects that `filter` wants; the answer is the objects as they were.
    pub fn delete_collection(&mut self, filter: &Filter, now: Timestamp) -> Vec<Object> {
        let items = self.list(filter).items;
        let keys = items.iter().map(|object| {
            let metadata = &object.value()["metadata"];
            let namespace = metadata["namespace"].as_str().unwrap_or_default();
            Key::new(filter.kind, namespace, metadata["name"].as_str().unwrap_or_default())
        });
        self.delete_with_owned(keys.rev().collect(), now);
        items
    }

    /// Stores a new state, and what controllers make of it.
    pub(crate) fn write(
        &mut self,
        key: Key,
        value: Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        let old = self.objects.get(&key).cloned();
        let Some(object) = self.store(key.clone(), value, scope, now)? else {
            return old.ok_or_else(|| key.not_found());
        };
        self.endpoints_after_write(&key, old.as_ref(), &object, now);
        // The controller may have corrected the very object that was written.
        Ok(self.objects.get(&key).cloned().unwrap_or(object))
    }

    /// Brings a new state into its stored form and stores it; `None` if nothing changed.
    pub(crate) fn store(
        &mut self,
        key: Key,
        value: Value,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Option<Object>, ApiError> {
        validate::shape(&value)?;
        let old = self.objects.get(&key).cloned();
        let before = old.as_ref().map(Object::value);
        let mut value = within_scope(value, before, scope);
        merge::prune(&mut value);
        schema::decode(key.kind, &mut value)?;
        self.own_metadata(&key, &mut value, before, scope, now);
        match key.kind {
            Kind::Service => address::defaults(&mut value, before),
            Kind::Endpoints => endpoints::defaults(&mut value),
            _ => {}
        }
        validate::object(&key, &value, before, scope != Scope::Whole)?;
        if key.kind == Kind::Service {
            address::allocate(self, &key, &mut value, before)?;
        }
        drop_empty(&mut value);
        if before.is_some_and(|old| same(old, &value)) {
            return Ok(None);
        }
        if scope != Scope::Whole {
            let before = self.bytes_of(&key);
            let grown = value.to_string().len() + before - old.map_or(0, |old| old.json().len());
            self.room_for(&key, before, grown)?;
        }
        Ok(Some(self.commit(key, value)))
    }

    /// A number below `most` that differs from version to version.
    pub(crate) fn scattered(&self, most: u64) -> u64 {
        mixed(self.options.seed ^ mixed(self.version)) % most
    }

    /// Sets the fields that no writer may choose.
    fn own_metadata(
        &self,
        key: &Key,
        value: &mut Value,
        old: Option<&Value>,
        scope: Scope,
        now: Timestamp,
    ) {
        let (uid, created) = match old.map(|old| &old["metadata"]) {
            Some(metadata) => (metadata["uid"].clone(), metadata["creationTimestamp"].clone()),
            None => (json!(uid(self.options.seed, self.version + 1)), json!(instant(now))),
        };
        value["apiVersion"] = json!(key.kind.api_version());
        value["kind"] = json!(key.kind.name());
        let metadata = &mut value["metadata"];
        metadata["name"] = json!(key.name);
        if key.kind.namespaced() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = uid;
        metadata["creationTimestamp"] = created;
        if let Some(fields) = metadata.as_object_mut() {
            fields.remove("resourceVersion");
            fields.remove("managedFields");
            fields.remove("selfLink");
            // Deletion is begun by deleting, not by saying so.
            let deletion = ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"];
            for name in deletion.into_iter().filter(|_| scope != Scope::Whole) {
                match old.and_then(|old| old["metadata"].get(name)) {
                    Some(before) => fields.insert(name.to_owned(), before.clone()),
                    None => fields.remove(name),
                };
            }
        }
    }

    /// The stored object, if it is still the one that `body` is about.
    pub(crate) fn unchanged_since(&self, key: &Key, body: &Value) -> Result<&Object, ApiError> {
        let object = self.objects.get(key).ok_or_else(|| key.not_found())?;
        validate::identity(key, body)?;
        let (stored, wanted) = (&object.value()["metadata"], &body["metadata"]);
        let conflict =
            |why: String| Err(ApiError::Conflict { kind: key.kind, name: key.name.clone(), why });
        if let Some(uid) = wanted["uid"].as_str().filter(|uid| stored["uid"] != **uid) {
            let found = stored["uid"].as_str().unwrap_or_default();
            return conflict(format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            ));
        }
        match conditional(&wanted["resourceVersion"]) {
            Some(version) if stored["resourceVersion"] != version => {
                conflict("the object has been modified".to_owned())
            }
            _ => Ok(object),
        }
    }

    fn chosen_name(&self, body: &Value) -> Result<String, ApiError> {
        let metadata = &body["metadata"];
        match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
            (Some(name), _) if !name.is_empty() => Ok(name.to_owned()),
            (_, Some(prefix)) if !prefix.is_empty() => {
                let uid = uid(self.options.seed, self.version + 1);
                let prefix: String = prefix.chars().take(GENERATED_PREFIX_MAX).collect();
                Ok(format!("{prefix}{}", &uid[..5]))
            }
            _ => Err(ApiError::BadRequest("name or generateName is required".to_owned())),
        }
    }
}

/// The version that a body makes a condition; "" and "0" make none.
pub(crate) fn conditional(version: &Value) -> Option<&str> {
    version.as_str().filter(|version| !version.is_empty() && *version != "0")
}

fn within_scope(mut value: Value, old: Option<&Value>, scope: Scope) -> Value {
    let old_status = old.map(|old| old["status"].clone()).unwrap_or_default();
    match (scope, old) {
        (Scope::Status, Some(old)) => {
            let status = value["status"].take();
            value = old.clone();
            value["status"] = status;
        }
        (Scope::Main, _) => value["status"] = old_status,
        _ => {}
    }
    value
}

/// Fields that Kubernetes omits when they are empty.
fn drop_empty(value: &mut Value) {
    let is_empty = |field: Option<&Value>| match field {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    };
    let drop = |value: &mut Value, names: &[&str]| {
        let Some(fields) = value.as_object_mut() else { return };
        for name in names {
            if is_empty(fields.get(*name)) {
                fields.remove(*name);
            }
        }
    };
    drop(&mut value["metadata"], &["labels", "annotations", "ownerReferences", "finalizers"]);
    drop(value, &["subsets", "status", "spec"]);
}

/// Equal but for the version.
fn same(old: &Value, new: &Value) -> bool {
    let mut new = new.clone();
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    *old == new
}

/// A uid that no other version of this store gives.
fn uid(seed: u64, version: u64) -> String {
    let (high, low) = (mixed(seed ^ mixed(version)), mixed(seed.wrapping_add(version)));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        version & 0xffff_ffff_ffff
    )
}

/// Splitmix64's finaliser.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A time as Kubernetes writes it: UTC, whole seconds.
pub(crate) fn instant(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
