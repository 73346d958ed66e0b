//! What the parts of the daemon share: the model, the store, the node, the Kubernetes API.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use kube_api::Identity;
use model::{Model, Session};
use names::{AppName, UnitName};
use node::{ImageDefinition, Node};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::execs::Waiting;
use super::log::Log;
use super::measure::Measurements;
use super::store::{Part, Store, StoreError};
use crate::paths::Paths;

/// What the store keeps: the model, and what the engine itself must remember about it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) model: Model,
    /// Images by application and resource.
    pub(crate) images: BTreeMap<AppName, BTreeMap<String, ImageDefinition>>,
    /// The build of each image that pods are made from, by application, revision of its charm,
    /// and resource. It stays until the application is refreshed, whatever is built meanwhile.
    #[serde(default)]
    pub(crate) builds: BTreeMap<AppName, BTreeMap<u32, BTreeMap<String, String>>>,
    /// Loopback ports of the host: service and its port.
    pub(crate) forwards: BTreeMap<u16, (String, u16)>,
    /// The token with which each application's pods speak to the Kubernetes API.
    pub(crate) tokens: BTreeMap<AppName, String>,
    /// Certificate and key, in PEM, of the authority that pods trust.
    pub(crate) authority: Option<(String, String)>,
}

/// What changes while the engine runs, behind one lock.
pub(crate) struct Inner {
    pub(crate) kept: Snapshot,
    /// `kept` as it is on disk.
    saved: Vec<u8>,
    /// Open loopback ports; each closes when dropped.
    pub(crate) forwards: BTreeMap<u16, node::Forward>,
    /// Node ports of services: the way in from this machine, or none where it has no such
    /// port to give.
    pub(crate) node_ports: BTreeMap<u16, Option<node::Forward>>,
    /// Hooks that run now, by context id.
    pub(crate) sessions: HashMap<String, Session>,
    /// Commands that somebody waits for, by number.
    pub(crate) execs: HashMap<u64, Waiting>,
    /// Units whose pods are about to be replaced.
    pub(crate) replacing: BTreeSet<UnitName>,
    pub(crate) log: Log,
    /// The page's URL, once it is served.
    pub(crate) page: Option<String>,
    pub(crate) measurements: Measurements,
}

impl Inner {
    /// Takes back what the disk does not have. What only memory knows, agents and leases, stays.
    fn restore(&mut self) {
        match serde_json::from_slice::<Snapshot>(&self.saved) {
            Ok(mut kept) => {
                kept.model.take_live(&mut self.kept.model);
                self.kept = kept;
            }
            Err(error) => tracing::error!("cannot read what was saved last: {error}"),
        }
    }

    /// Moves the model's new log lines to the log.
    pub(crate) fn collect_log(&mut self) {
        for line in self.kept.model.take_log() {
            self.log.push(line.at, &line.entity, &line.level, &line.module, &line.message);
        }
    }
}

/// The engine.
pub(crate) struct Engine {
    pub(crate) paths: Paths,
    pub(crate) node: Node,
    pub(crate) cluster: kube_api::Api,
    store: Arc<Store>,
    inner: Mutex<Inner>,
    /// Who the tokens of pods stand for: the Kubernetes API asks here and waits for nobody.
    identities: RwLock<BTreeMap<String, Identity>>,
    /// Held by who puts a charm in its place or takes one away.
    pub(crate) charms: tokio::sync::Mutex<()>,
    changed: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

impl Engine {
    pub(crate) fn new(
        paths: Paths,
        node: Node,
        cluster: kube_api::Api,
        store: Arc<Store>,
        kept: Snapshot,
    ) -> Self {
        let inner = Inner {
            saved: serde_json::to_vec(&kept).unwrap_or_default(),
            kept,
            forwards: BTreeMap::new(),
            node_ports: BTreeMap::new(),
            sessions: HashMap::new(),
            execs: HashMap::new(),
            replacing: BTreeSet::new(),
            log: Log::default(),
            page: None,
            measurements: Measurements::default(),
        };
        Self {
            paths,
            node,
            cluster,
            store,
            identities: RwLock::new(identities(&inner.kept)),
            inner: Mutex::new(inner),
            charms: tokio::sync::Mutex::new(()),
            changed: watch::channel(0).0,
            stopping: watch::channel(false).0,
        }
    }

    /// The time of day, read here and nowhere else in the daemon.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Looks without changing anything that must last.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let value = read(&mut inner);
        inner.collect_log();
        value
    }

    /// Changes the model, puts it on disk, and wakes whoever waits for a change.
    ///
    /// The answer is given only after the disk has it, so nothing acknowledged is lost. What the
    /// disk does not take is not in memory either.
    pub(crate) fn change<T>(&self, write: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        let value = {
            let mut inner = self.lock();
            let value = write(&mut inner);
            inner.collect_log();
            match offthread::run(|| self.store.save(Part::Engine, &inner.kept)) {
                Ok(bytes) => inner.saved = bytes,
                Err(error) => {
                    inner.restore();
                    return Err(error);
                }
            }
            let known = identities(&inner.kept);
            *self.identities.write().unwrap_or_else(PoisonError::into_inner) = known;
            value
        };
        self.wake();
        Ok(value)
    }

    /// Changes the model without putting it on disk, and wakes whoever waits for a change.
    ///
    /// Only for what nobody is told of, and what a crash may forget: it reaches the disk with
    /// the next [`Engine::change`].
    pub(crate) fn pass<T>(&self, write: impl FnOnce(&mut Inner) -> T) -> T {
        let value = self.look(write);
        self.wake();
        value
    }

    /// Adds a line of the engine's own to the log.
    pub(crate) fn note(&self, level: &str, message: &str) {
        let now = self.now();
        self.look(|inner| inner.log.push(now, "controller", level, "talisman", message));
    }

    /// Wakes every agent.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Sees changes of the model from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells every task to end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether the engine stops.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends when the engine stops.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        stopping.wait_for(|stop| *stop).await.ok();
    }

    /// Who a token stands for.
    pub(crate) fn identify(&self, token: &str) -> Option<Identity> {
        let known = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        known.get(token).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // It is held while a change goes to the disk. A panic in one task must not take the
        // others with it; the model is replaced only whole.
        offthread::lock(&self.inner)
    }
}

/// Who each application's token stands for.
fn identities(kept: &Snapshot) -> BTreeMap<String, Identity> {
    let namespace = kept.model.name().to_string();
    let identity = |(app, token): (&AppName, &String)| {
        let trusted = kept.model.application(app).is_some_and(|app| app.trust);
        let namespace = namespace.clone();
        (token.clone(), Identity { namespace, app: app.to_string(), trusted })
    };
    kept.tokens.iter().map(identity).collect()
}
