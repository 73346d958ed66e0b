//! The world of one history: Juju's model, pods, servers, the Kubernetes API, a clock.

mod inject;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use juju_model::{Hook, HookRun, Juju, Model, Session};
use juju_names::{AppName, UnitName};

use crate::far::pebble::{Container, Pod};
use crate::far::{Far, kubernetes, patroni};
use crate::fault::{Fault, Gate, Killed, Port};
use crate::names::MODEL;
use crate::rng::Rng;

pub(crate) use inject::{heal, inject, inject_into, restart, turn_pause};

/// Everything that is simulated. The far sides share it with the one that runs hooks.
pub struct World {
    state: Mutex<State>,
    /// Whether the hook that runs dies when its effect has ended.
    dying: AtomicBool,
}

/// What is in a world.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) far: Far,
    /// Volumes that an application of the same name had before.
    pub(crate) foreign_volumes: BTreeSet<UnitName>,
    /// Units whose events wait, while others run so many hooks.
    pub(crate) delayed: BTreeMap<UnitName, u32>,
    /// Applications that no unit leads, while so many hooks run.
    pub(crate) leaderless: BTreeMap<AppName, u32>,
    /// Applications that were deployed and have not been forgotten.
    pub(crate) deployed: BTreeSet<AppName>,
    /// Applications whose volumes outlive them.
    pub(crate) kept_volumes: BTreeSet<AppName>,
    /// The hook that runs.
    pub(crate) session: Option<Session>,
    pub(crate) gate: Gate,
    pub(crate) entropy: Rng,
    pub(crate) boots: u64,
    /// What each unit read last in remote bags, where a fault may show it again.
    pub(crate) read: Option<BTreeMap<(UnitName, String), String>>,
    /// Whether the server removes only its own user when a relation ends.
    pub(crate) keeps_held: bool,
    /// The peers of each unit that are gone without an event for it, where a fault drops that.
    pub(crate) ghosts: Option<BTreeMap<UnitName, BTreeSet<UnitName>>>,
    /// Whether units get events for what they wrote themselves.
    pub(crate) echoes: bool,
    /// Units whose agents have started again since they came.
    pub(crate) restarted_agents: BTreeSet<UnitName>,
    /// How long the hook that ran last waited.
    pub(crate) waited: Duration,
    /// Whether the charms get no notice about their backends.
    pub(crate) checks_suppressed: bool,
    /// Whether the hook that runs is dead, whatever its code still does.
    pub(crate) dead: bool,
}

/// The Juju that a history's model plays.
fn juju_of(seed: u64) -> Juju {
    Juju::ALL[Rng::new(seed ^ 0x6a75_6a75).below(Juju::ALL.len())]
}

impl World {
    /// An empty world; passwords and the like follow from the seed.
    pub(crate) fn new(seed: u64) -> Option<Arc<Self>> {
        let name = MODEL.parse().ok()?;
        let uuid = "00000000-0000-4000-8000-000000000000".to_owned();
        let state = State {
            model: Model::new(name, uuid, seed).under(juju_of(seed)),
            far: Far::new(),
            foreign_volumes: BTreeSet::new(),
            delayed: BTreeMap::new(),
            leaderless: BTreeMap::new(),
            deployed: BTreeSet::new(),
            kept_volumes: BTreeSet::new(),
            session: None,
            gate: Gate::default(),
            entropy: Rng::new(seed),
            boots: 0,
            read: None,
            keeps_held: false,
            ghosts: None,
            echoes: false,
            restarted_agents: BTreeSet::new(),
            waited: Duration::ZERO,
            checks_suppressed: false,
            dead: false,
        };
        Some(Arc::new(Self { state: Mutex::new(state), dying: AtomicBool::new(false) }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A charm that panics is a finding, and leaves nothing half changed here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    /// Lets an effect of the running hook begin, unless the hook dies before it; the fault
    /// that strikes it.
    pub(crate) fn effect(&self, port: Port, what: impl FnOnce() -> String) -> Option<Fault> {
        let fault = self.change(|state| {
            if state.dead {
                return Some(Fault::KillBefore);
            }
            let fault = state.gate.pass(port, what);
            state.dead = fault == Some(Fault::KillBefore);
            self.dying.store(fault == Some(Fault::KillAfter), Ordering::Relaxed);
            if fault == Some(Fault::LeaderLost) {
                let unit = state.session.as_ref().map(|session| session.run().unit.clone());
                if let Some(unit) = unit {
                    state.turn_leader(unit.app());
                }
            }
            fault
        });
        if fault == Some(Fault::KillBefore) {
            resume_unwind(Box::new(Killed));
        }
        fault
    }

    /// Ends an effect, and the hook with it where it dies after it.
    pub(crate) fn effect_done(&self) {
        if self.dying.swap(false, Ordering::Relaxed) {
            self.change(|state| state.dead = true);
            resume_unwind(Box::new(Killed));
        }
    }
}

impl State {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.far.now()
    }

    /// The time, in seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.now().as_second()).unwrap_or_default()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, by: SignedDuration) {
        self.far.pass(by);
    }

    /// Every unit there is.
    pub(crate) fn units(&self) -> Vec<UnitName> {
        self.model.all_units().map(|unit| unit.name.clone()).collect()
    }

    /// The host that the running hook means: its own pod in place of a loopback address.
    pub(crate) fn host_of(&self, host: &str) -> String {
        match (host, &self.session) {
            ("127.0.0.1" | "localhost", Some(session)) => session.run().unit.pod(),
            _ => host.to_owned(),
        }
    }

    /// Lets the members of every cluster do what they do in the time that has passed.
    pub(crate) fn run_patroni(&mut self) {
        self.patroni(patroni::run);
    }

    /// Lets a second pass; whether nothing changed in any cluster.
    pub(crate) fn rests(&mut self) -> bool {
        self.patroni(patroni::rests)
    }

    /// Has the members do something, with the rights that Juju gives them, and delivers their
    /// notices.
    fn patroni<T>(&mut self, act: impl FnOnce(&mut Far) -> T) -> T {
        for (app, cluster) in &mut self.far.patroni {
            cluster.trusted = self.model.application(app).is_some_and(|app| app.trust);
        }
        let done = act(&mut self.far);
        let clusters = self.far.patroni.values_mut();
        let notices: Vec<_> = clusters.flat_map(|cluster| cluster.notices.drain(..)).collect();
        for (unit, key) in notices {
            self.notify(&unit, &key);
        }
        if !self.far.patroni.is_empty() {
            self.watch_backends();
        }
        done
    }

    /// Another unit of the application takes the lead.
    pub(crate) fn turn_leader(&mut self, app: &AppName) {
        let units: Vec<UnitName> = self
            .model
            .units(app)
            .filter(|unit| unit.life == juju_model::Life::Alive && unit.address.is_some())
            .map(|unit| unit.name.clone())
            .collect();
        let leader = units.iter().position(|unit| self.model.is_leader(unit));
        let next = leader.map_or(0, |leader| leader + 1) % units.len().max(1);
        if let Some(unit) = units.get(next) {
            self.leaderless.remove(app);
            self.model.lease_passes(unit);
        }
    }

    /// Leases are renewed, or pass to others that want them, but where nobody may lead.
    pub(crate) fn tick_leases(&mut self) {
        let now = self.now();
        self.model.lease_tick(now);
        for app in self.leaderless.keys() {
            self.model.lease_ends(app);
        }
    }

    /// Nobody leads the application while so many hooks run.
    pub(crate) fn lead_nobody(&mut self, app: &AppName, hooks: u32) {
        self.leaderless.insert(app.clone(), hooks);
        self.tick_leases();
    }

    /// A hook has run, after which some applications may have a leader again.
    pub(crate) fn count_leaderless(&mut self) {
        let before = self.leaderless.len();
        self.leaderless.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        if self.leaderless.len() < before {
            self.tick_leases();
        }
    }

    /// A unit leaves the model, and its pod goes.
    pub(crate) fn drop_unit(&mut self, unit: &UnitName) {
        self.replace_pod(unit);
        self.model.unit_gone(unit);
        self.restarted_agents.remove(unit);
        self.tick_leases();
    }

    /// Every unit that is being removed goes without a further hook.
    pub(crate) fn drop_dying(&mut self) {
        let is_dying = |unit: &UnitName| {
            self.model.unit(unit).is_some_and(|unit| unit.life == juju_model::Life::Dying)
        };
        let dying: Vec<UnitName> = self.units().into_iter().filter(is_dying).collect();
        dying.iter().for_each(|unit| self.drop_unit(unit));
    }

    /// Starts a pod for a unit that has none.
    pub(crate) fn start_pod(&mut self, unit: &UnitName) {
        let address = format!("10.1.{}.{}", self.boots % 250 + 1, unit.number() % 250 + 1);
        self.far.pods.insert(unit.clone(), Pod::default());
        let revision = self.model.application(unit.app()).map_or(0, |app| app.charm_revision);
        kubernetes::put_pod(&self.far.kube, unit, &address, revision);
        self.model.unit_address(unit, Some(address));
        self.model.agent_started(unit, true);
        self.far.starting.insert(unit.clone());
        self.see_peers(unit);
        self.start_container(unit);
        self.tick_leases();
    }

    /// An agent that starts sees which peers there are.
    pub(crate) fn see_peers(&mut self, unit: &UnitName) {
        if let Some(ghosts) = &mut self.ghosts {
            ghosts.remove(unit);
        }
    }

    /// Whether this hook is dropped, where a fault drops a peer's departure: then the return of its
    /// number is dropped too.
    pub(crate) fn misses(&mut self, run: &HookRun) -> bool {
        let Some(ghosts) = &mut self.ghosts else { return false };
        let seen = ghosts.entry(run.unit.clone()).or_default();
        match &run.hook {
            Hook::RelationDeparted { unit, departing, .. } => {
                let peer = unit.app() == run.unit.app() && *departing != run.unit;
                peer && { seen.insert(unit.clone()) }
            }
            Hook::RelationJoined { unit, .. } => seen.remove(unit),
            _ => false,
        }
    }

    /// Starts the workload container anew; what was in it is gone.
    pub(crate) fn start_container(&mut self, unit: &UnitName) {
        self.boots += 1;
        let boot = self.boots;
        let app = self.model.application(unit.app());
        let names: Vec<_> =
            app.map(|app| app.charm.containers.keys().cloned().collect()).unwrap_or_default();
        self.unmount(unit);
        for name in names {
            let mut container = Container::new(boot, self.far.version);
            if let Some(volume) = self.far.volumes.get(unit) {
                volume.mount(&mut container.disk);
            }
            if let Some(pod) = self.far.pods.get_mut(unit) {
                pod.container = Some(container);
            }
            self.model.container_booted(unit, &name, &boot.to_string());
        }
    }

    /// Ends what runs in a pod, in order, and takes the pod away.
    pub(crate) fn replace_pod(&mut self, unit: &UnitName) {
        patroni::stop(&mut self.far, unit);
        self.stop_pod(unit);
    }

    /// Takes a pod away; its unit's agent is gone with it.
    pub(crate) fn stop_pod(&mut self, unit: &UnitName) {
        let now = self.now();
        self.unmount(unit);
        self.far.pods.remove(unit);
        self.far.starting.remove(unit);
        self.restarted_agents.insert(unit.clone());
        kubernetes::delete_pod(&self.far.kube, unit);
        self.model.agent_stopped(unit, now);
        self.model.unit_address(unit, None);
    }

    /// Ends what runs in a workload container; what is on its volume stays.
    fn unmount(&mut self, unit: &UnitName) {
        if !self.far.patroni.contains_key(unit.app()) {
            return;
        }
        let Some(pod) = self.far.pods.get_mut(unit) else { return };
        if let Some(container) = pod.container.take() {
            self.far.volumes.entry(unit.clone()).or_default().unmount(&container.disk);
        }
        patroni::watch(&mut self.far, unit.app());
    }

    /// A notice reaches the charm where root records it.
    fn notify(&mut self, unit: &UnitName, key: &str) {
        let pod = self.far.pods.get(unit).and_then(|pod| pod.container.as_ref());
        if let (true, Ok(name)) =
            (pod.is_some_and(|container| container.records_as_root(key)), "postgresql".parse())
        {
            self.model.container_notice(unit, &name, "1", "custom", key);
        }
    }

    /// Gives every unit without a pod one, and forgets units that are gone.
    pub(crate) fn tend(&mut self) {
        let bare = self.model.all_units().filter(|unit| unit.address.is_none());
        let bare: Vec<UnitName> = bare.map(|unit| unit.name.clone()).collect();
        for unit in bare {
            self.start_pod(&unit);
        }
        for app in self.model.applications() {
            kubernetes::put_set(&self.far.kube, &app.name, app.scale, app.charm_revision);
        }
    }

    /// Sends every charm an event when the check of its backend changed.
    pub(crate) fn watch_backends(&mut self) {
        let mut changed = Vec::new();
        for (unit, pod) in &self.far.pods {
            let Some(container) = &pod.container else { continue };
            let asked = container.layers.iter().rev().find_map(|(_, layer)| {
                let check = layer.checks.get("backend")?;
                let enabled = check.startup != Some(pebble_client::Startup::Disabled);
                let exec = check.exec.as_ref().filter(|_| enabled)?;
                let seen = exec.command.rsplit(' ').next()? == "ready";
                Some((exec.environment.get("PGHOST")?.clone(), seen))
            });
            let failed = asked.is_some_and(|(host, seen)| {
                self.far.cluster_behind(&host).is_some_and(|cluster| cluster.up) != seen
            });
            if failed != container.backend_failed {
                changed.push((unit.clone(), failed));
            }
        }
        for (unit, failed) in changed {
            if let Some(container) =
                self.far.pods.get_mut(&unit).and_then(|pod| pod.container.as_mut())
            {
                container.backend_failed = failed;
            }
            if let (Ok(name), false) = ("pgbouncer".parse(), self.checks_suppressed) {
                self.model.container_check(&unit, &name, "backend", failed);
            }
        }
    }

    /// Whether the unit's pod has an older charm and may go now.
    pub(crate) fn may_replace(&self, unit: &UnitName) -> bool {
        let up = self.model.unit(unit).is_some_and(|unit| unit.address.is_some());
        up && self.model.is_outdated(unit) && self.is_next(unit)
    }

    /// Whether a member of PostgreSQL still has the pod of before a refresh.
    pub(crate) fn has_outdated(&self) -> bool {
        let mut members = self.model.all_units().filter(|unit| {
            self.far.patroni.contains_key(unit.name.app()) && unit.address.is_some()
        });
        members.any(|unit| self.model.is_outdated(&unit.name))
    }

    /// Whether the controller of a stateful set would take this pod next: the last one of those that
    /// its partition leaves to it, once all after it are there.
    fn is_next(&self, unit: &UnitName) -> bool {
        if !self.far.patroni.contains_key(unit.app()) {
            return true;
        }
        let later = |other: &&juju_model::Unit| other.name.number() > unit.number();
        let waits = |other: &juju_model::Unit| {
            other.address.is_none() || self.model.is_outdated(&other.name)
        };
        let lowest = kubernetes::partition(&self.far.kube, unit.app());
        u64::from(unit.number()) >= lowest && !self.model.units(unit.app()).filter(later).any(waits)
    }

    /// Lets every failed hook run again now.
    pub(crate) fn retry_failed(&mut self) {
        let failed = self.model.all_units().filter(|unit| unit.has_failed());
        let failed: Vec<UnitName> = failed.map(|unit| unit.name.clone()).collect();
        for unit in failed {
            drop(self.model.resolve(&unit, true));
        }
    }
}
