//! The verbs that change the store.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cause::Cause;
use crate::format::instant;
use crate::managers::Manager;
use crate::selector::Labels;
use crate::store::{Key, Object, Store};
use crate::{
    ApiError, DeleteOptions, Kind, address, delete, json_patch, merge, schema, validate, values,
};

/// The longest beginning of a generated name that is used.
const GENERATED_PREFIX_MAX: usize = 58;

/// The message for a write with an older version.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest \
    version and try again";

/// How the body of a patch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// Lists with a merge key merge by it.
    Strategic,
    /// RFC 6902.
    Json,
}

/// Who writes, what of an object, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// What of the object.
    pub scope: Scope,
    /// When.
    pub now: Timestamp,
    /// The labels that what it writes gets.
    pub labels: Option<&'a Labels>,
}

/// Who Juju's webhook lets say otherwise.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Gives an object its writer's labels, as Juju's webhook does.
fn stamp(value: &mut Value, labels: &Labels) {
    for (key, label) in labels {
        let there = &mut value["metadata"]["labels"][key.as_str()];
        if there.is_null() || key != MANAGED_BY {
            *there = json!(label);
        }
    }
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
        writer: Writer<'_>,
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
        let mut body = body.clone();
        merge::empty_texts(&mut body);
        self.write(key, body, writer)
    }

    /// Replaces an object, or makes it where its kind allows that.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `BadRequest` and `Invalid`.
    pub fn replace(
        &mut self,
        key: &Key,
        body: &Value,
        writer: Writer<'_>,
    ) -> Result<Object, ApiError> {
        if !self.objects.contains_key(key) && key.kind.is_made_by_replacing() {
            return self.create(key.kind, &key.namespace, body, writer);
        }
        self.unchanged_since(key, body)?;
        let mut body = body.clone();
        merge::empty_texts(&mut body);
        self.write(key.clone(), body, writer)
    }

    /// Changes an object.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `BadRequest` and `Invalid`.
    pub fn patch(
        &mut self,
        key: &Key,
        patch_type: PatchType,
        body: &Value,
        writer: Writer<'_>,
    ) -> Result<Object, ApiError> {
        let mut value = match patch_type {
            // Where it names a version, it tests it.
            PatchType::Json => self.get(key)?,
            PatchType::Merge | PatchType::Strategic if body.is_object() => {
                self.unchanged_since(key, body)?
            }
            PatchType::Merge | PatchType::Strategic => {
                return Err(ApiError::BadRequest("the patch is not a JSON object".to_owned()));
            }
        }
        .value()
        .clone();
        match patch_type {
            PatchType::Merge => merge::merge(&mut value, body),
            PatchType::Strategic => merge::strategic(&mut value, body),
            PatchType::Json => {
                json_patch::apply(&mut value, body)?;
                self.unchanged_since(key, &value)?;
            }
        }
        schema::decode(key.kind, &mut value.clone()).map_err(|error| {
            let rule = error.to_string();
            ApiError::Unfit { causes: vec![Cause::invalid("patch", value.to_string(), &rule)] }
        })?;
        self.write(key.clone(), value, writer)
    }

    /// Stores a new state, and what controllers make of it.
    pub(crate) fn write(
        &mut self,
        key: Key,
        value: Value,
        writer: Writer<'_>,
    ) -> Result<Object, ApiError> {
        let old = self.objects.get(&key).cloned();
        let Some(object) = self.store(key.clone(), value, writer)? else {
            return old.ok_or_else(|| key.not_found());
        };
        let (name, status) = (writer.manager.to_owned(), writer.scope == Scope::Status);
        let manager = Manager { name, applies: false, status };
        let mut managers = self.managers_of(&key);
        let before = old.as_ref().map(Object::value);
        managers.updated(key.kind, manager, before, object.value(), writer.now);
        self.remember_managers(&key, managers);
        Ok(self.after_write(&key, old.as_ref(), object, writer.now))
    }

    /// What controllers make of a new state; the answer is the object as it is then.
    pub(crate) fn after_write(
        &mut self,
        key: &Key,
        old: Option<&Object>,
        object: Object,
        now: Timestamp,
    ) -> Object {
        self.endpoints_after_write(key, old, &object, now);
        if delete::is_released(object.value()) || self.is_abandoned(key, &object) {
            self.delete_all(vec![key.clone()], &DeleteOptions::default(), now);
        }
        // The controller may have corrected the very object that was written.
        self.objects.get(key).cloned().unwrap_or(object)
    }

    /// Brings a new state into its stored form and stores it; `None` if nothing changed.
    pub(crate) fn store(
        &mut self,
        key: Key,
        value: Value,
        writer: Writer<'_>,
    ) -> Result<Option<Object>, ApiError> {
        validate::shape(&value)?;
        let Writer { scope, now, .. } = writer;
        let old = self.objects.get(&key).cloned();
        let before = old.as_ref().map(Object::value);
        // A node is made with its status, as kubelet makes it; other kinds get theirs later.
        let is_whole = key.kind == Kind::Node && before.is_none();
        let mut value = if is_whole { value } else { within_scope(value, before, scope) };
        merge::prune(&mut value);
        schema::decode(key.kind, &mut value)?;
        if let Some(labels) = writer.labels.filter(|_| scope == Scope::Main && key.kind.is_marked())
        {
            stamp(&mut value, labels);
        }
        self.own_metadata(&key, &mut value, before, scope, now);
        match key.kind {
            Kind::Service => address::defaults(&mut value, before),
            _ => values::defaults(&key, &mut value, before),
        }
        validate::object(&key, &value, before, scope != Scope::Whole)?;
        if key.kind == Kind::Service {
            address::allocate(self, &key, &mut value, before)?;
        }
        merge::drop_empty(&mut value);
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
            Some(version) if stored["resourceVersion"] != version => conflict(MODIFIED.to_owned()),
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
            if let Some(parts) = value.as_object_mut() {
                parts.retain(|name, _| ["metadata", "status"].contains(&name.as_str()));
            }
            let kept = old.as_object().into_iter().flatten();
            for (name, part) in
                kept.filter(|(name, _)| !["metadata", "status"].contains(&name.as_str()))
            {
                value[name.as_str()] = part.clone();
            }
            value["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"].clone();
        }
        (Scope::Main, _) => value["status"] = old_status,
        _ => {}
    }
    value
}

/// Equal but for the version.
fn same(old: &Value, new: &Value) -> bool {
    let mut new = new.clone();
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    *old == new
}

/// A uid that no other version of this store gives.
pub(crate) fn uid(seed: u64, version: u64) -> String {
    const NODE: u64 = 0xffff_ffff_ffff;
    let high = mixed(seed ^ mixed(version));
    let low = (mixed(seed.wrapping_add(version)) & !NODE) | (version & NODE);
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Splitmix64's finaliser.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
