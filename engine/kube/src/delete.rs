//! Deletion: at once, after a time of grace, or when the last finalizer is gone.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::format::instant;
use crate::merge::drop_empty;
use crate::owners::Owners;
use crate::store::{Key, Object, Store};
use crate::{ApiError, Filter, Kind};

/// Holds an owner until those that block its deletion are gone.
const FOREGROUND: &str = "foregroundDeletion";

/// Holds an owner until no object names it any more.
const ORPHAN: &str = "orphan";

/// The namespaces of the cluster itself.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// What becomes of those that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go after their owner.
    Background,
    /// They go before their owner.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// What must hold for a deletion, and how it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// The uid the object must have.
    pub uid: Option<String>,
    /// The version the object must have.
    pub resource_version: Option<String>,
    /// The seconds that a pod's processes have to end; nothing: as many as the pod says.
    pub grace: Option<i64>,
    /// What becomes of those that it owns; nothing: what the object's finalizers say.
    pub propagation: Option<Propagation>,
}

impl DeleteOptions {
    /// A deletion that waits for no process.
    pub fn now() -> DeleteOptions {
        DeleteOptions { grace: Some(0), ..DeleteOptions::default() }
    }

    /// Refuses an object that is not the one that is meant.
    fn check(&self, key: &Key, metadata: &Value) -> Result<(), ApiError> {
        let rows = [
            ("UID", "uid", &self.uid, "deleted and then recreated"),
            ("ResourceVersion", "resourceVersion", &self.resource_version, "modified"),
        ];
        for (shown, field, wanted, happened) in rows {
            let found = metadata[field].as_str().unwrap_or_default();
            let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) else {
                continue;
            };
            return Err(ApiError::Conflict {
                kind: key.kind,
                name: key.name.clone(),
                why: format!(
                    "the {shown} in the precondition ({wanted}) does not match the {shown} in \
                     record ({found}). The object might have been {happened}"
                ),
            });
        }
        Ok(())
    }
}

/// The end of a deletion.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The object as it was last.
    pub object: Object,
    /// Whether it is gone; else it is marked and waits for its finalizers.
    pub gone: bool,
}

/// The finalizers of an object.
fn finalizers(value: &Value) -> Vec<&str> {
    let list = value["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether the object's deletion has been requested.
pub(crate) fn is_marked(value: &Value) -> bool {
    value["metadata"]["deletionTimestamp"].is_string()
}

/// Whether nothing holds a deleted object any more.
pub(crate) fn is_released(value: &Value) -> bool {
    let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    is_marked(value) && grace == 0 && finalizers(value).is_empty()
}

/// The seconds that an object stays after its deletion: a pod whose processes a node has to end.
fn grace_of(kind: Kind, value: &Value, asked: Option<i64>) -> i64 {
    let over = matches!(value["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    let placed = value["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if kind != Kind::Pod || over || !placed {
        return 0;
    }
    let own = value["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(0);
    match asked.unwrap_or(own) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

/// How long an object stays from its deletion on; nothing if it goes already, and no later than
/// is asked now.
fn new_grace(kind: Kind, old: &Value, options: &DeleteOptions) -> Option<i64> {
    let before = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    match (is_marked(old), before) {
        (false, _) => Some(grace_of(kind, old, options.grace)),
        (true, 1..) => {
            let asked = options.grace.map(|asked| if asked < 0 { 1 } else { asked });
            asked.filter(|asked| *asked < before)
        }
        (true, _) => Some(0),
    }
}

/// The object once it is to be deleted; nothing if that changes nothing.
fn marked(kind: Kind, old: &Value, options: &DeleteOptions, now: Timestamp) -> Option<Value> {
    let mut value = old.clone();
    let grace = new_grace(kind, old, options)?;
    let metadata = &mut value["metadata"];
    let before = metadata["deletionGracePeriodSeconds"].as_i64();
    if !is_marked(old) || before.is_some_and(|before| before != grace) {
        let end = metadata["deletionTimestamp"].as_str().and_then(|at| at.parse().ok());
        let begun = end.map(|end: Timestamp| end - SignedDuration::from_secs(before.unwrap_or(0)));
        let end = begun.unwrap_or(now).checked_add(SignedDuration::from_secs(grace));
        metadata["deletionTimestamp"] = json!(instant(end.unwrap_or(Timestamp::MAX).max(now)));
        metadata["deletionGracePeriodSeconds"] = json!(grace);
    }
    if let Some(propagation) = options.propagation {
        let mut held: Vec<&str> = finalizers(old);
        held.retain(|name| ![FOREGROUND, ORPHAN].contains(name));
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => held.push(FOREGROUND),
            Propagation::Orphan => held.push(ORPHAN),
        }
        metadata["finalizers"] = json!(held);
        drop_empty(&mut value);
    }
    (value != *old).then_some(value)
}

impl Store {
    /// Deletes an object, and what it alone owned.
    ///
    /// # Errors
    /// `NotFound` and `Conflict`.
    pub fn delete(
        &mut self,
        key: &Key,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Result<Deleted, ApiError> {
        let object = self.get(key)?.clone();
        self.may_go(key)?;
        options.check(key, &object.value()["metadata"])?;
        let deleted = self.delete_all(vec![key.clone()], options, now);
        let left = self.objects.get(key).cloned();
        let gone = left.is_none();
        let last = deleted.into_iter().find(|(one, _)| one == key).map(|(_, object)| object);
        Ok(Deleted { object: left.or(last).unwrap_or(object), gone })
    }

    /// Refuses to delete a namespace that the cluster itself, or something that runs, is in.
    fn may_go(&self, key: &Key) -> Result<(), ApiError> {
        let runs = || self.keys_of(Kind::Pod, Some(&key.name)).next().is_some();
        if key.kind != Kind::Namespace || !(IMMORTAL.contains(&key.name.as_str()) || runs()) {
            return Ok(());
        }
        let words =
            format!("namespaces \"{}\" is forbidden: this namespace may not be deleted", key.name);
        Err(ApiError::Forbidden { kind: Some(key.kind), name: key.name.clone(), words })
    }

    /// Deletes the objects that `filter` wants; the answer is the objects as they were.
    pub fn delete_collection(
        &mut self,
        filter: &Filter,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Vec<Object> {
        let items = self.list(filter).items;
        let keys = items.iter().map(|object| {
            let metadata = &object.value()["metadata"];
            let namespace = metadata["namespace"].as_str().unwrap_or_default();
            Key::new(filter.kind, namespace, metadata["name"].as_str().unwrap_or_default())
        });
        let keys = keys.rev().filter(|key| self.may_go(key).is_ok());
        self.delete_all(keys.collect(), options, now);
        items
    }

    /// Deletes objects, and those that name one of them as an owner and no owner that still
    /// exists, however long the chain; the answer is what is gone, each as it was last.
    pub(crate) fn delete_all(
        &mut self,
        keys: Vec<Key>,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Vec<(Key, Object)> {
        let mut owners = Owners::of(&self.objects);
        let mut deleted = Vec::new();
        let mut due: Vec<(Key, DeleteOptions)> =
            keys.into_iter().map(|key| (key, options.clone())).collect();
        let usual = DeleteOptions::default();
        loop {
            while let Some((key, options)) = due.pop() {
                let Some(object) = self.begin(&key, &options, now) else { continue };
                if key.kind == Kind::Namespace {
                    let inside = self.objects.keys().filter(|one| one.namespace == key.name);
                    due.extend(inside.map(|one| (one.clone(), usual.clone())));
                }
                if key.kind == Kind::Service {
                    // The controller asks neither who wrote them nor whose lock they are.
                    let endpoints = key.of_kind(Kind::Endpoints);
                    due.push((endpoints, usual.clone()));
                }
                if let Some(uid) = object.uid() {
                    due.extend(owners.orphaned_by(uid).into_iter().map(|one| (one, usual.clone())));
                }
                deleted.push((key, object));
            }
            due.extend(self.collect(&mut owners, now).into_iter().map(|one| (one, usual.clone())));
            if due.is_empty() {
                break;
            }
        }
        self.endpoints_after_deletions(&deleted, now);
        deleted
    }

    /// Marks an object as deleted, and takes it away when nothing holds it; the answer is what
    /// was taken away.
    fn begin(&mut self, key: &Key, options: &DeleteOptions, now: Timestamp) -> Option<Object> {
        let old = self.objects.get(key)?.clone();
        if is_released(old.value()) {
            return self.remove(key);
        }
        let value = marked(key.kind, old.value(), options, now)?;
        let released = is_released(&value);
        // Kubernetes writes the mark of each pod, whatever its time of grace.
        if released && key.kind != Kind::Pod {
            return self.remove(key);
        }
        let object = self.commit(key.clone(), value);
        self.endpoints_after_write(key, Some(&old), &object, now);
        if released { self.remove(key) } else { None }
    }

    /// Does what the finalizers of the garbage collector wait for; the answer is what is to be
    /// deleted next.
    fn collect(&mut self, owners: &mut Owners, now: Timestamp) -> Vec<Key> {
        let held: Vec<(Key, Object)> = self
            .objects
            .iter()
            .filter(|(_, object)| is_marked(object.value()))
            .filter(|(_, object)| {
                finalizers(object.value()).iter().any(|name| [FOREGROUND, ORPHAN].contains(name))
            })
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        let mut due = Vec::new();
        for (key, object) in held {
            let Some(uid) = object.uid() else { continue };
            let names = finalizers(object.value());
            if names.contains(&ORPHAN) {
                owners.take(uid).iter().for_each(|one| self.disown(one, uid, now));
            } else {
                let owned = owners.of_uid(uid);
                let there = owned.iter().filter_map(|one| Some((one, self.objects.get(one)?)));
                let unmarked = there.clone().filter(|(_, one)| !is_marked(one.value()));
                due.extend(unmarked.map(|(one, _)| one.clone()));
                if there.into_iter().any(|(_, one)| blocks(one.value(), uid)) {
                    continue;
                }
            }
            let names: Vec<&str> =
                names.into_iter().filter(|name| ![FOREGROUND, ORPHAN].contains(name)).collect();
            let mut value = object.value().clone();
            value["metadata"]["finalizers"] = json!(names);
            drop_empty(&mut value);
            self.commit(key.clone(), value);
            due.push(key);
        }
        due
    }

    /// Takes an owner out of an object.
    fn disown(&mut self, key: &Key, uid: &str, now: Timestamp) {
        let Some(old) = self.objects.get(key).cloned() else { return };
        let mut value = old.value().clone();
        if let Some(owners) = value["metadata"]["ownerReferences"].as_array_mut() {
            owners.retain(|owner| owner["uid"] != uid);
        }
        drop_empty(&mut value);
        let object = self.commit(key.clone(), value);
        self.endpoints_after_write(key, Some(&old), &object, now);
    }
}

/// Whether an object keeps its owner from going.
fn blocks(value: &Value, uid: &str) -> bool {
    let owners = value["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(|owner| owner["uid"] == uid && owner["blockOwnerDeletion"] == true)
}
