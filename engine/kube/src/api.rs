//! One store, shared by the engine and the server.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    ApiError, DeleteOptions, Filter, Key, Kind, PatchType, Scope, Selector, ServiceRoute,
    SnapshotError, Store, StoreOptions, Writer,
};

/// The clock for creation times.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Puts the objects where a crash does not reach them, before the change is answered; an error
/// refuses the change.
pub type Keeper = Arc<dyn Fn(&Store) -> Result<(), KeeperError> + Send + Sync>;

/// Why a snapshot could not be kept, in the words of who keeps it.
pub type KeeperError = Box<dyn std::error::Error + Send + Sync>;

/// The field manager of those who hold an [`Api`] and name none.
const OWN: &str = "juju";

/// A writer of all of an object.
fn own(manager: &str, now: Timestamp) -> Writer<'_> {
    Writer { manager, scope: Scope::Whole, now, labels: None }
}

/// What an object calls itself.
fn key_of(kind: Kind, namespace: &str, object: &Value) -> Key {
    Key::new(kind, namespace, object["metadata"]["name"].as_str().unwrap_or_default())
}

/// What an [`Api`] needs to know at its birth.
#[derive(Clone)]
pub struct ApiOptions {
    /// What the store needs to know.
    pub store: StoreOptions,
    /// The clock.
    pub clock: Clock,
    /// What persists each change; none in tests.
    pub keeper: Option<Keeper>,
}

impl ApiOptions {
    /// Options with node ports 30000 to 32767 and a history of 2,000 changes.
    pub fn new(cluster_ip_range: (Ipv4Addr, u32), seed: u64) -> ApiOptions {
        let store =
            StoreOptions { cluster_ip_range, node_ports: 30000..=32767, history_max: 2000, seed };
        ApiOptions { store, clock: Arc::new(Timestamp::now), keeper: None }
    }
}

/// A handle on the objects; clones share them.
#[derive(Clone)]
pub struct Api {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    keeper: Option<Keeper>,
    version: watch::Sender<u64>,
}

impl Api {
    /// An API without objects.
    pub fn new(options: ApiOptions) -> Api {
        Api::over(Store::new(options.store), options.clock, options.keeper)
    }

    /// An API with the objects of a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] when the value is not a snapshot.
    pub fn restore(options: ApiOptions, snapshot: Value) -> Result<Api, SnapshotError> {
        let store = Store::restore(options.store, snapshot)?;
        Ok(Api::over(store, options.clock, options.keeper))
    }

    fn over(store: Store, clock: Clock, keeper: Option<Keeper>) -> Api {
        let (version, _) = watch::channel(store.version());
        Api { store: Arc::new(Mutex::new(store)), clock, keeper, version }
    }

    /// Everything but the history, for [`Api::restore`].
    ///
    /// # Errors
    /// When they are no JSON, which does not happen.
    pub fn snapshot(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&*self.lock())
    }

    /// Sees the version of the last change whenever there is one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Creates `object` or replaces what has its name; its `metadata.name` must be set.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid`.
    pub fn put(&self, kind: Kind, namespace: &str, object: &Value) -> Result<Value, ApiError> {
        let key = key_of(kind, namespace, object);
        self.change(|store, now| {
            let stored = if store.get(&key).is_ok() {
                store.replace(&key, object, own(OWN, now))
            } else {
                store.create(kind, namespace, object, own(OWN, now))
            };
            stored.map(|object| object.value().clone())
        })
    }

    /// Creates an object or merges `object` into it; what `manager` applied before and no
    /// longer mentions is taken back. Labels and annotations of others stay.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid`.
    pub fn apply(
        &self,
        kind: Kind,
        namespace: &str,
        manager: &str,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let key = key_of(kind, namespace, object);
        self.change(|store, now| {
            let (object, _) = store.apply(&key, object, true, own(manager, now))?;
            Ok(object.value().clone())
        })
    }

    /// Changes an object, status included; lists with a merge key (`conditions`,
    /// `containers`, …) merge by it.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `BadRequest` and `Invalid`.
    pub fn patch(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let key = Key::new(kind, namespace, name);
        self.change(|store, now| {
            let object = store.patch(&key, PatchType::Strategic, patch, own(OWN, now))?;
            Ok(object.value().clone())
        })
    }

    /// Sets the address at which a service of type `LoadBalancer` is reached from outside.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_ingress(
        &self,
        namespace: &str,
        service: &str,
        address: Ipv4Addr,
    ) -> Result<(), ApiError> {
        let ingress = json!([{ "ip": address.to_string() }]);
        let patch = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
        self.patch(Kind::Service, namespace, service, &patch).map(drop)
    }

    /// One object.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.view(kind, namespace, name, Value::clone)
    }

    /// Something of one object, which is not copied for it.
    pub fn view<T>(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        read: impl FnOnce(&Value) -> T,
    ) -> Option<T> {
        let key = Key::new(kind, namespace, name);
        self.lock().get(&key).ok().map(|object| read(object.value()))
    }

    /// The objects of a namespace whose labels fulfil `selector`.
    pub fn list(&self, kind: Kind, namespace: &str, selector: &Selector) -> Vec<Value> {
        self.views(kind, namespace, selector, Value::clone)
    }

    /// Something of each object of a namespace whose labels fulfil `selector`.
    pub fn views<T>(
        &self,
        kind: Kind,
        namespace: &str,
        selector: &Selector,
        read: impl Fn(&Value) -> T,
    ) -> Vec<T> {
        let filter = Filter { selector: selector.clone(), ..Filter::all(kind, namespace) };
        self.lock().list(&filter).items.iter().map(|object| read(object.value())).collect()
    }

    /// Creates an object in the place of one that has its name, which goes.
    ///
    /// # Errors
    /// `AlreadyExists` when a finalizer holds what was there, `BadRequest` and `Invalid`.
    pub fn replace_with(
        &self,
        kind: Kind,
        namespace: &str,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let key = key_of(kind, namespace, object);
        self.change(|store, now| {
            let before = store.savepoint();
            if store.get(&key).is_ok() {
                store.delete(&key, &DeleteOptions::now(), now)?;
            }
            match store.create(kind, namespace, object, own(OWN, now)) {
                Ok(object) => Ok(object.value().clone()),
                Err(error) => {
                    store.roll_back(before);
                    Err(error)
                }
            }
        })
    }

    /// Deletes an object and what it alone owned, and waits for no process; `false`: there was
    /// none.
    ///
    /// # Errors
    /// `Internal`.
    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, ApiError> {
        self.delete_with(&Key::new(kind, namespace, name), &DeleteOptions::now())
    }

    /// Deletes an object as a client does that names no options: a pod that runs on a node is
    /// marked, for the node to end it. `false`: there was none.
    ///
    /// # Errors
    /// `Internal`.
    pub fn terminate(&self, kind: Kind, namespace: &str, name: &str) -> Result<bool, ApiError> {
        self.delete_with(&Key::new(kind, namespace, name), &DeleteOptions::default())
    }

    fn delete_with(&self, key: &Key, options: &DeleteOptions) -> Result<bool, ApiError> {
        match self.change(|store, now| store.delete(key, options, now)) {
            Ok(_) => Ok(true),
            Err(ApiError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the endpoints that no service names; a fault to inject. The answer is how many.
    ///
    /// # Errors
    /// `Internal`.
    pub fn delete_orphan_endpoints(&self, namespace: &str) -> Result<usize, ApiError> {
        self.change(|store, _| Ok(store.delete_orphan_endpoints(namespace)))
    }

    /// The routes of all services.
    pub fn service_routes(&self) -> Vec<ServiceRoute> {
        self.lock().service_routes()
    }

    /// Reads under the lock.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Store) -> T) -> T {
        read(&self.lock())
    }

    /// Changes under the lock and wakes the watchers if there was a change. What cannot be kept
    /// has not happened.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Store, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = (self.clock)();
        let mut store = self.lock();
        let before = self.keeper.as_ref().map(|keep| (keep, store.savepoint()));
        let answer = change(&mut store, now)?;
        if let Some((keep, before)) = before
            && store.version() != before.version()
            && let Err(error) = offthread::run(|| keep(&store))
        {
            store.roll_back(before);
            return Err(ApiError::Internal(error.to_string()));
        }
        let version = store.version();
        self.version.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        Ok(answer)
    }

    /// What a change would answer; nothing is changed.
    pub(crate) fn rehearse<T>(
        &self,
        change: impl FnOnce(&mut Store, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = (self.clock)();
        let mut store = self.lock();
        let before = store.savepoint();
        let answer = change(&mut store, now);
        store.roll_back(before);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // Every write leaves the store whole, so a panic elsewhere does not spoil it. The lock is
        // held while a change goes to the disk.
        offthread::lock(&self.store)
    }
}
