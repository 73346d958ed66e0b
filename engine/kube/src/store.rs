//! The objects, their versions and the history of their changes. No I/O, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value;

use crate::list_options::ListOptions;
use crate::managers::Managers;
use crate::selector::Labels;
use crate::{ApiError, Filter, Kind};

/// What a store needs to know at its birth.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// First address and number of addresses for services.
    pub cluster_ip_range: (Ipv4Addr, u32),
    /// Ports for services of type `NodePort` and `LoadBalancer`.
    pub node_ports: RangeInclusive<u16>,
    /// How many changes are remembered for watches; older ones answer `410 Expired`.
    pub history_max: usize,
    /// Makes the uids of this store differ from another's.
    pub seed: u64,
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Empty for objects outside namespaces.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

impl Key {
    /// The object of this kind and name; a kind outside namespaces has none.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Key {
        let namespace = if kind.namespaced() { namespace.to_owned() } else { String::new() };
        Key { kind, namespace, name: name.to_owned() }
    }

    /// The object of another kind that has its name.
    pub(crate) fn of_kind(&self, kind: Kind) -> Key {
        Key { kind, ..self.clone() }
    }

    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::NotFound { kind: self.kind, name: self.name.clone() }
    }
}

/// What a watcher sees of an object: serialised once, shared by all watchers.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) labels: Labels,
    pub(crate) json: Box<str>,
}

/// The JSON text of an object as it lies in the store, for answers: it is not copied.
#[derive(Debug, Clone)]
pub(crate) struct Text(Arc<Image>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.json.as_bytes()
    }
}

/// A stored object; cheap to clone.
#[derive(Debug, Clone)]
pub struct Object {
    value: Arc<Value>,
    image: Arc<Image>,
}

impl Object {
    pub(crate) fn new(value: Value) -> Object {
        let json = value.to_string().into_boxed_str();
        let image = Arc::new(Image { labels: labels(&value), json });
        Object { value: Arc::new(value), image }
    }

    /// The whole object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object as JSON text.
    pub fn json(&self) -> &str {
        &self.image.json
    }

    /// The object as JSON text that outlives it in the store.
    pub(crate) fn text(&self) -> Text {
        Text(self.image.clone())
    }

    /// The labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.image.labels
    }
}

/// The labels in an object.
fn labels(value: &Value) -> Labels {
    string_map(&value["metadata"]["labels"])
}

/// The text entries of a JSON map.
pub(crate) fn string_map(map: &Value) -> Labels {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a list or a watch wants an object, as far as its name says.
fn concerns(filter: &Filter, key: &Key) -> bool {
    key.kind == filter.kind
        && filter.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
        && filter.name.as_ref().is_none_or(|name| *name == key.name)
}

/// One change; `before` and `after` distinguish a creation, an update and a deletion.
#[derive(Debug)]
struct Change {
    version: u64,
    key: Key,
    before: Option<Arc<Image>>,
    after: Option<Arc<Image>>,
}

impl Change {
    /// About what it keeps in memory.
    fn bytes(&self) -> usize {
        self.before.as_ref().map_or(0, |image| image.json.len())
    }
}

/// The most bytes of earlier states that are remembered for watches: twice what all objects may
/// have.
const HISTORY_BYTES_MAX: usize = 16 << 20;

/// No more changes are looked at once an answer to a watch has so many bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// A list and the version at which it was taken.
#[derive(Debug)]
pub struct ListAnswer {
    /// A watch from here misses nothing.
    pub version: u64,
    /// The objects, by namespace and name.
    pub items: Vec<Object>,
}

/// The objects of all namespaces.
#[derive(Debug)]
pub struct Store {
    pub(crate) options: StoreOptions,
    pub(crate) version: u64,
    pub(crate) objects: BTreeMap<Key, Object>,
    /// Who owns the fields of the objects.
    pub(crate) managers: BTreeMap<Key, Arc<Managers>>,
    history: VecDeque<Change>,
    history_bytes: usize,
    /// The history holds every change after this version.
    oldest: u64,
}

/// The objects as they were at one version.
pub(crate) struct Savepoint {
    version: u64,
    objects: BTreeMap<Key, Object>,
    managers: BTreeMap<Key, Arc<Managers>>,
}

impl Savepoint {
    /// The version of the last change before it.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
}

impl Store {
    /// An empty store.
    pub fn new(options: StoreOptions) -> Store {
        Store::at(options, 1)
    }

    /// An empty store whose history begins at `version`.
    pub(crate) fn at(options: StoreOptions, version: u64) -> Store {
        Store {
            options,
            version,
            objects: BTreeMap::new(),
            managers: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            oldest: version,
        }
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One object.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn get(&self, key: &Key) -> Result<&Object, ApiError> {
        self.objects.get(key).ok_or_else(|| key.not_found())
    }

    /// The objects that `filter` wants.
    pub fn list(&self, filter: &Filter) -> ListAnswer {
        let items = self.keys_of(filter.kind, filter.namespace.as_deref());
        let items = items
            .filter(|(key, object)| {
                concerns(filter, key)
                    && filter.selector.matches(object.labels())
                    && filter.fields.matches(object.value())
            })
            .map(|(_, object)| object.clone())
            .collect();
        ListAnswer { version: self.version, items }
    }

    /// The objects that `filter` wants, at the version that `options` name.
    ///
    /// # Errors
    /// [`ApiError::TooLargeVersion`] for a version that is not there yet, [`ApiError::Expired`]
    /// for the state of an earlier one.
    pub(crate) fn list_at(
        &self,
        filter: &Filter,
        options: &ListOptions,
    ) -> Result<ListAnswer, ApiError> {
        let list = self.list(filter);
        match options.version {
            Some(asked) if asked > self.version => {
                Err(ApiError::TooLargeVersion { asked, newest: self.version })
            }
            Some(asked) if options.exact && asked < self.version => {
                // What did not change since is as it was.
                let (changes, reached) = self.events(filter, asked, usize::MAX)?;
                if changes.is_empty() && reached == self.version {
                    return Ok(ListAnswer { version: asked, ..list });
                }
                Err(ApiError::Expired { asked, oldest: self.version })
            }
            _ => Ok(list),
        }
    }

    /// The objects of a kind, in one namespace or in all.
    pub(crate) fn keys_of(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Key, &Object)> {
        let first =
            Key { kind, namespace: namespace.unwrap_or("").to_owned(), name: String::new() };
        let namespace = namespace.map(str::to_owned);
        self.objects.range(first..).take_while(move |(key, _)| {
            key.kind == kind && namespace.as_ref().is_none_or(|wanted| *wanted == key.namespace)
        })
    }

    /// The events after version `since`, at most `max` changes; the version reached is second.
    ///
    /// Each event is a line of JSON with `type` and `object`.
    ///
    /// # Errors
    /// [`ApiError::Expired`] when the history does not reach back to `since`. A version that is
    /// not there yet is waited for.
    pub fn events(
        &self,
        filter: &Filter,
        since: u64,
        max: usize,
    ) -> Result<(Vec<String>, u64), ApiError> {
        if since < self.oldest {
            return Err(ApiError::Expired { asked: since, oldest: self.oldest });
        }
        let start = self.history.partition_point(|change| change.version <= since);
        let mut reached = since;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for change in self.history.range(start..).take(max) {
            reached = change.version;
            if concerns(filter, &change.key)
                && let Some(line) = line(change, filter)
            {
                bytes += line.len();
                lines.push(line);
            }
            if bytes > EVENT_BYTES_MAX {
                break;
            }
        }
        Ok((lines, reached))
    }

    /// Stores `value` at a new version.
    pub(crate) fn commit(&mut self, key: Key, mut value: Value) -> Object {
        self.version += 1;
        value["metadata"]["resourceVersion"] = Value::String(self.version.to_string());
        let object = Object::new(value);
        let before = self.objects.insert(key.clone(), object.clone()).map(|old| old.image);
        let after = Some(object.image.clone());
        self.remember(Change { version: self.version, key, before, after });
        object
    }

    /// Takes an object away; the answer is the object as it was.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Object> {
        let object = self.objects.remove(key)?;
        self.managers.remove(key);
        self.version += 1;
        let before = Some(object.image.clone());
        self.remember(Change { version: self.version, key: key.clone(), before, after: None });
        Some(object)
    }

    /// The objects as they are now, for [`Store::roll_back`].
    pub(crate) fn savepoint(&self) -> Savepoint {
        let (objects, managers) = (self.objects.clone(), self.managers.clone());
        Savepoint { version: self.version, objects, managers }
    }

    /// Takes back every change since `before`; no watcher may have seen one of them.
    pub(crate) fn roll_back(&mut self, before: Savepoint) {
        self.history.retain(|change| change.version <= before.version);
        self.history_bytes = self.history.iter().map(Change::bytes).sum();
        self.oldest = self.oldest.min(before.version);
        self.version = before.version;
        self.objects = before.objects;
        self.managers = before.managers;
    }

    fn remember(&mut self, change: Change) {
        self.history_bytes += change.bytes();
        self.history.push_back(change);
        let most = self.options.history_max;
        while self.history.len() > most || self.history_bytes > HISTORY_BYTES_MAX {
            let Some(forgotten) = self.history.pop_front() else { break };
            self.history_bytes -= forgotten.bytes();
            self.oldest = forgotten.version;
        }
    }
}

/// The event of a change as a watcher with `filter` sees it.
fn line(change: &Change, filter: &Filter) -> Option<String> {
    let matching = |image: &&Arc<Image>| {
        filter.selector.matches(&image.labels)
            && (filter.fields.is_empty()
                || serde_json::from_str(&image.json).is_ok_and(|one| filter.fields.matches(&one)))
    };
    let before = change.before.as_ref().filter(matching);
    let after = change.after.as_ref().filter(matching);
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(event("ADDED", &after.json)),
        (Some(_), Some(after)) => Some(event("MODIFIED", &after.json)),
        (Some(before), None) => Some(event("DELETED", &at_version(&before.json, change.version))),
    }
}

/// One line of a watch.
pub(crate) fn event(kind: &str, json: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{json}}}\n")
}

/// A deleted object carries the version of its deletion.
fn at_version(json: &str, version: u64) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    value["metadata"]["resourceVersion"] = Value::String(version.to_string());
    value.to_string()
}
