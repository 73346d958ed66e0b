//! What the world reports: addresses, boots, notices, agents, ticks.

use jiff::{SignedDuration, Timestamp};
use juju_names::{AppName, ContainerName, UnitName};

use crate::agent::memory::InClusterConfig;
use crate::agent::memory::{Agent, AgentMemory};
use crate::entity::uniter::{Lifecycle, Pending, Retry, Stage};
use crate::{AgentStatus, Hook, Life, Model};

/// How long a leader keeps its lease while its agent is away, in seconds.
const LEASE: i64 = 60;

impl Model {
    /// The pod's address, or `None` when the pod has gone.
    pub fn unit_address(&mut self, unit: &UnitName, address: Option<String>) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.address = address;
        }
    }

    /// How the unit's pod reaches the Kubernetes API; for the agent that has started in it.
    pub fn pod_in_cluster(&mut self, unit: &UnitName, config: InClusterConfig) {
        if self.units.contains_key(unit) {
            self.memory.entry(unit.clone()).or_default().in_cluster = Some(config);
        }
    }

    /// What is wrong with the unit's pod, or `None` once nothing is.
    pub fn pod_problem(&mut self, unit: &UnitName, problem: Option<crate::PodProblem>) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.problem = problem;
        }
    }

    /// The address of the application's service.
    pub fn service_address(&mut self, app: &AppName, address: String) {
        if let Some(app) = self.app_mut(app) {
            app.address = Some(address);
        }
    }

    /// Pebble answers in a container. A boot id that is new makes `pebble-ready` due.
    pub fn container_booted(&mut self, unit: &UnitName, container: &ContainerName, boot_id: &str) {
        if !self.has_container(unit, container) {
            return;
        }
        let boots = &mut self.memory.entry(unit.clone()).or_default().boots;
        let boot = boots.entry(container.clone()).or_default();
        if boot.id != boot_id {
            boot_id.clone_into(&mut boot.id);
            boot.number += 1;
            boot.retry_at = None;
        }
    }

    /// A Pebble notice occurred; only those of kind `custom` make an event.
    pub fn container_notice(
        &mut self,
        unit: &UnitName,
        container: &ContainerName,
        id: &str,
        kind: &str,
        key: &str,
    ) {
        if kind == "custom" {
            let (id, key) = (id.to_owned(), key.to_owned());
            self.push_workload(
                unit,
                Hook::PebbleCustomNotice { container: container.clone(), id, key },
            );
        }
    }

    /// A Pebble check has failed or recovered.
    pub fn container_check(
        &mut self,
        unit: &UnitName,
        container: &ContainerName,
        check: &str,
        failed: bool,
    ) {
        let (container, check) = (container.clone(), check.to_owned());
        let hook = if failed {
            Hook::PebbleCheckFailed { container, check }
        } else {
            Hook::PebbleCheckRecovered { container, check }
        };
        self.push_workload(unit, hook);
    }

    /// How many events of the unit's containers wait for their hooks.
    pub fn workload_events(&self, unit: &UnitName) -> usize {
        self.memory.get(unit).map_or(0, |memory| memory.workload.len())
    }

    /// Queues a workload event unless the same one already waits.
    fn push_workload(&mut self, unit: &UnitName, hook: Hook) {
        let (Hook::PebbleCustomNotice { container, .. }
        | Hook::PebbleCheckFailed { container, .. }
        | Hook::PebbleCheckRecovered { container, .. }) = &hook
        else {
            return;
        };
        if !self.has_container(unit, container) {
            return;
        }
        let memory = self.memory.entry(unit.clone()).or_default();
        let running = memory.running.as_ref().is_some_and(|run| run.hook == hook);
        let waits = memory.workload.iter().skip(usize::from(running)).any(|queued| *queued == hook);
        if !waits {
            memory.workload.push_back(hook);
        }
    }

    fn has_container(&self, unit: &UnitName, container: &ContainerName) -> bool {
        let app = self.apps.get(unit.app()).filter(|_| self.units.contains_key(unit));
        app.is_some_and(|app| app.charm.containers.contains_key(container))
    }

    /// The unit's agent starts, with the engine or with its pod.
    ///
    /// `fresh_pod`: the pod is new, so an installed charm gets `upgrade-charm`, `config-changed`
    /// and `start`. Otherwise a started charm gets `start` again. Containers announce themselves
    /// anew with [`Model::container_booted`].
    pub fn agent_started(&mut self, unit: &UnitName, fresh_pod: bool) {
        let revision = self.apps.get(unit.app()).map_or(0, |app| app.charm_revision);
        let lowest = self.alive_units(unit.app()).next() == Some(unit);
        let Some(state) = self.units.get_mut(unit) else { return };
        let memory = self.memory.entry(unit.clone()).or_default();
        *memory = AgentMemory {
            agent: Agent::Up,
            commands: std::mem::take(&mut memory.commands),
            in_cluster: memory.in_cluster.take(),
            ..AgentMemory::default()
        };
        let alive = state.life == Life::Alive;
        let uniter = &mut state.uniter;
        // What the workload wants is found anew.
        uniter.failed = uniter.failed.take().filter(|failed| !failed.hook.is_workload());
        state.agent.status = match state.agent.status {
            _ if uniter.failed.is_some() => AgentStatus::Error,
            AgentStatus::Allocating => AgentStatus::Allocating,
            _ => AgentStatus::Idle,
        };
        if uniter.failed.is_none() {
            state.agent.message.clear();
        }
        if fresh_pod || uniter.lifecycle == Lifecycle::New {
            state.charm_revision = revision;
        }
        if alive {
            if uniter.lifecycle == Lifecycle::Stopped {
                uniter.lifecycle = Lifecycle::Started;
            }
            if uniter.has_failed_to_stop() {
                uniter.failed = None;
            }
        }
        if let Some(failed) = &mut uniter.failed {
            failed.retry = Retry::Now;
        }
        for membership in uniter.relations.values_mut() {
            if membership.stage == Stage::Created {
                membership.stage = Stage::Reloaded;
            }
            membership.ghosts.clear();
        }
        if fresh_pod && uniter.lifecycle >= Lifecycle::Installed && alive {
            uniter.pending = Pending::Upgrade;
            uniter.lifecycle = Lifecycle::Installed;
        } else if uniter.lifecycle >= Lifecycle::Started && alive {
            memory.agent = Agent::Restarted;
        }
        if let Some(app) = self.app_mut(unit.app())
            && app.leader.is_none()
            && lowest
        {
            app.leader = Some(unit.clone());
        }
    }

    /// The unit's agent is gone, with its pod or by itself. It may come back.
    pub fn agent_stopped(&mut self, unit: &UnitName, now: Timestamp) {
        if let Some(memory) = self.memory.get_mut(unit) {
            memory.agent = Agent::Absent;
            memory.boots.clear();
            memory.workload.clear();
        }
        self.set_agent(unit, now, AgentStatus::Lost, "agent is not communicating".into());
    }

    /// The unit's pod is about to be replaced: an alive unit gets `stop`, then nothing until its
    /// agent starts again.
    pub fn pod_stopping(&mut self, unit: &UnitName) {
        if let Some(memory) =
            self.memory.get_mut(unit).filter(|memory| memory.agent != Agent::Absent)
        {
            memory.agent = Agent::Stopping;
        }
    }

    /// Renews the lease of each leader whose agent is up, and elects where there is no leader:
    /// the lowest unit that is alive and up.
    pub fn lease_tick(&mut self, now: Timestamp) {
        let apps: Vec<AppName> = self.apps.keys().cloned().collect();
        for app in apps {
            let leader = self.apps.get(&app).and_then(|app| app.leader.clone());
            let end = now.checked_add(SignedDuration::from_secs(LEASE)).unwrap_or(now);
            match leader {
                Some(leader) if self.is_reachable(&leader) => {
                    self.leases.insert(app, end);
                }
                Some(leader) => {
                    let lease = *self.leases.entry(app.clone()).or_insert(end);
                    let others = self.candidate(&app).is_some_and(|unit| unit != leader);
                    if lease <= now && others {
                        self.elect(&app, end);
                    }
                }
                None => self.elect(&app, end),
            }
        }
    }

    /// The leader's lease passes to another unit of the application, as when its agent was too
    /// slow to renew it. Nothing happens where `to` leads or does not live.
    pub fn lease_passes(&mut self, to: &UnitName) {
        let alive = self.alive_units(to.app()).any(|unit| unit == to);
        let Some(app) = self.app_mut(to.app()).filter(|_| alive) else { return };
        let former = app.leader.replace(to.clone());
        self.leases.remove(to.app());
        if former.as_ref() == Some(to) {
            return;
        }
        for unit in former.iter().chain([to]) {
            if let Some(state) = self.units.get_mut(unit) {
                state.uniter.leader_told = false;
            }
        }
    }

    fn alive_units(&self, app: &AppName) -> impl Iterator<Item = &UnitName> {
        let units = self.units.values().filter(move |unit| unit.name.app() == app);
        units.filter(|unit| unit.life == Life::Alive).map(|unit| &unit.name)
    }

    fn candidate(&self, app: &AppName) -> Option<UnitName> {
        self.alive_units(app).find(|unit| self.is_reachable(unit)).cloned()
    }

    fn elect(&mut self, app: &AppName, lease: Timestamp) {
        let elected = self.candidate(app);
        let (Some(unit), Some(application)) = (elected, self.app_mut(app)) else { return };
        let former = application.leader.replace(unit.clone());
        self.leases.insert(app.clone(), lease);
        for unit in former.iter().chain([&unit]) {
            if let Some(state) = self.units.get_mut(unit) {
                state.uniter.leader_told = false;
            }
        }
    }
}
