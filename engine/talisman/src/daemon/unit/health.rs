//! What the object of a unit's pod says of its containers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use juju_names::UnitName;
use node::Probes;

use crate::daemon::engine::Engine;
use crate::daemon::kubernetes::container_status::{ContainerHealth, Run, known};
use crate::daemon::kubernetes::pod_objects;

/// How the containers of a pod are; what changes is written into its object.
pub(super) struct Health {
    engine: Arc<Engine>,
    unit: UnitName,
    namespace: String,
    known: Mutex<Known>,
}

struct Known {
    containers: BTreeMap<String, ContainerHealth>,
    /// Whether the object says what is known.
    written: bool,
}

impl Health {
    /// What the pod's object says already.
    pub(super) fn new(engine: Arc<Engine>, unit: UnitName) -> Self {
        let namespace = engine.with(|state| state.persisted.model.name().to_string());
        let found = engine.kubernetes.get(kube_api::Kind::Pod, &namespace, &unit.pod());
        let containers = found.as_ref().map(known).unwrap_or_default();
        Self { engine, unit, namespace, known: Mutex::new(Known { containers, written: true }) }
    }

    /// A container runs.
    pub(super) fn runs(&self, name: &str) {
        let now = self.engine.now();
        self.change(name, |container| {
            if matches!(container.run, Run::Waits(_)) {
                container.restarts += 1;
            }
            if !matches!(container.run, Run::Since(_)) {
                container.run = Run::Since(now);
            }
        });
    }

    /// A container was asked how it is.
    pub(super) fn probed(&self, name: &str, probes: &Probes) {
        // An engine that begins anew knows nothing yet of a container that runs.
        self.change(name, |container| {
            container.started |= probes.is_started();
            if probes.is_started() {
                container.ready = probes.is_ready();
            }
        });
    }

    /// A container has ended, and is started again after a pause.
    pub(super) fn waits(&self, name: &str, pause: Duration) {
        let now = self.engine.now();
        self.change(name, |container| {
            container.run = Run::Waits(pause);
            container.ended = Some(now);
            container.started = false;
            container.ready = false;
        });
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut ContainerHealth)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let container = known.containers.entry(name.to_owned()).or_default();
        let before = container.clone();
        change(container);
        known.written &= *container == before;
        if known.written {
            return;
        }
        let (api, now) = (&self.engine.kubernetes, self.engine.now());
        match pod_objects::set_health(api, &self.namespace, &self.unit, &known.containers, now) {
            Ok(()) => known.written = true,
            Err(error) => {
                let words = format!("cannot say whether {} is ready: {error}", self.unit);
                self.engine.note("WARNING", &words);
            }
        }
    }
}
