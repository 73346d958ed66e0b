//! What the parts of the daemon share: the state, the store, the node, the Kubernetes API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use kube_api::Identity;
use node::Node;
use tokio::sync::watch;

use crate::daemon::state::{Snapshot, State, identities};
use crate::daemon::store::{Part, Store, StoreError};
use crate::paths::Paths;

/// The engine.
pub(crate) struct Engine {
    pub(crate) paths: Paths,
    pub(crate) node: Node,
    pub(crate) kubernetes: kube_api::Api,
    store: Arc<Store>,
    state: Mutex<State>,
    /// The users of the pods' tokens: the Kubernetes API reads this without waiting.
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
        kubernetes: kube_api::Api,
        store: Arc<Store>,
        persisted: Snapshot,
    ) -> Self {
        let state = State::new(persisted);
        Self {
            paths,
            node,
            kubernetes,
            store,
            identities: RwLock::new(identities(&state.persisted)),
            state: Mutex::new(state),
            charms: tokio::sync::Mutex::new(()),
            changed: watch::channel(0).0,
            stopping: watch::channel(false).0,
        }
    }

    /// The time of day, read here and nowhere else in a daemon that has its model.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Looks without changing anything that must last.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = read(&mut state);
        state.collect_log();
        value
    }

    /// Changes the model, puts it on disk, and wakes the tasks that wait for a change.
    ///
    /// The answer is given only after the disk has it, so nothing acknowledged is lost. What the
    /// disk does not take is not in memory either.
    pub(crate) fn commit<T>(&self, write: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let value = {
            let mut state = self.lock();
            let value = write(&mut state);
            state.note_statuses();
            state.collect_log();
            match offthread::run(|| self.store.save(Part::Engine, &state.persisted)) {
                Ok(bytes) => state.is_saved(bytes),
                Err(error) => {
                    state.restore();
                    return Err(error);
                }
            }
            let known = identities(&state.persisted);
            *self.identities.write().unwrap_or_else(PoisonError::into_inner) = known;
            value
        };
        self.wake();
        Ok(value)
    }

    /// Changes the model without putting it on disk, and wakes the tasks that wait for a change.
    ///
    /// Only for what is in no answer, and what a crash may lose: it reaches the disk with the next
    /// [`Engine::commit`].
    pub(crate) fn with_wake<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let value = self.with(|state| {
            let value = write(state);
            state.note_statuses();
            value
        });
        self.wake();
        value
    }

    /// Adds a line of the engine's own to the log.
    pub(crate) fn note(&self, level: &str, message: &str) {
        let now = self.now();
        self.with(|state| state.log.push(now, "controller", level, "talisman", message));
    }

    /// Wakes every agent.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Sees changes of the model from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Asks every task to end.
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // It is held while a change goes to the disk. A panic in one task must not take the
        // others with it; the model is replaced only whole.
        offthread::lock(&self.state)
    }
}
