//! Faults between two hooks.

use jiff::SignedDuration;
use juju_names::{AppName, UnitName};
use serde_json::json;

use super::State;
use crate::far::patroni;
use crate::far::pebble::Container;
use crate::far::pgbouncer::Process;
use crate::fault::Fault;
use crate::names::{POOLER, SERVER};

/// What a person, or an older revision of the charm, leaves in the dynamic configuration.
const EDITS: [(&str, Option<u32>); 5] = [
    ("failsafe_mode", None),
    ("max_timelines_history", None),
    ("primary_start_timeout", Some(300)),
    ("maximum_lag_on_failover", None),
    ("ttl", Some(30)),
];

/// Makes a fault happen; `pick` says to which of the units.
pub(crate) fn inject(state: &mut State, fault: Fault, pick: u32) {
    let up = |name: &str| {
        let app = name.parse::<AppName>().ok();
        let units = app.iter().flat_map(|app| state.model.units(app));
        let up = units.filter(|unit| unit.address.is_some());
        up.map(|unit| unit.name.clone()).collect::<Vec<UnitName>>()
    };
    let poolers = up(POOLER);
    // With both charms one is struck or the other.
    let pooler = state.far.patroni.is_empty() || (!poolers.is_empty() && pick.is_multiple_of(3));
    let units = if pooler { poolers } else { up(SERVER) };
    // Whatever divides by three is no unit's lot more than another's.
    let pick = if state.far.patroni.is_empty() { pick } else { pick / 3 };
    inject_into(state, fault, units.get(pick as usize % units.len().max(1)), pick);
}

/// Makes a fault happen to this unit or its application.
pub(crate) fn inject_into(state: &mut State, fault: Fault, unit: Option<&UnitName>, pick: u32) {
    let app = || unit.map(|unit| unit.app().clone());
    match (fault, unit) {
        (Fault::EventsLate, Some(unit)) => drop(state.delayed.insert(unit.clone(), HELD)),
        (Fault::Echoes, _) => state.echoes = true,
        (Fault::Ghosts, _) => drop(state.ghosts.get_or_insert_default()),
        (Fault::ReloadMissed, Some(unit)) => patroni::miss_reload(&mut state.far, unit),
        (Fault::LogRemoved, Some(unit)) => patroni::remove_log(&mut state.far, unit.app()),
        (Fault::WatchGone, Some(unit)) => patroni::lose_watch(&mut state.far, unit),
        (Fault::ConfigEdited, Some(unit)) => {
            let (key, value) = EDITS[pick as usize % EDITS.len()];
            patroni::edit(&state.far, unit.app(), &json!({key: value}));
        }
        (Fault::TwoLeaders, Some(unit)) => {
            let leader = state.model.application(unit.app()).and_then(|app| app.leader.clone());
            state.turn_leader(unit.app());
            leader.iter().for_each(|leader| state.model.lease_passes(leader));
        }
        (Fault::NoLeader, _) => app().iter().for_each(|app| state.lead_nobody(app, HELD)),
        (Fault::LeaderTurns, _) => app().iter().for_each(|app| state.turn_leader(app)),
        (Fault::PodChurn, Some(unit)) if pick.is_multiple_of(2) => state.replace_pod(unit),
        (Fault::PodChurn, Some(unit)) => state.stop_pod(unit),
        (Fault::VolumeLost, Some(unit)) => lose_volume(state, unit),
        (Fault::MemberCut, Some(unit)) => cut(state, unit),
        (Fault::StreamCut, Some(unit)) => part(state, unit),
        (Fault::PodFrozen, Some(unit)) => freeze(state, unit),
        (Fault::LostEvent, Some(unit)) => {
            if let Some(cluster) = state.far.patroni.get_mut(unit.app()) {
                cluster.notices_lost += 1;
            }
        }
        (Fault::UpgradeDeferred, _) => app().iter().for_each(|app| refresh_owing(state, app)),
        (Fault::ContainerRestart, Some(unit)) => restart_container(state, unit),
        (Fault::AgentAway, Some(unit)) => away(state, unit),
        (Fault::ServerDown, _) => {
            for (app, cluster) in &mut state.far.clusters {
                cluster.up ^= !state.far.patroni.contains_key(app);
            }
            state.watch_backends();
        }
        (Fault::CheckLost, _) => {
            state.checks_suppressed = true;
            inject_into(state, Fault::ServerDown, unit, pick);
            state.checks_suppressed = false;
        }
        (Fault::ClockJump, _) => state.pass(SignedDuration::from_hours(1)),
        _ => {}
    }
}

/// A standby that is not needed loses its pod and its volume.
fn lose_volume(state: &mut State, unit: &UnitName) {
    let primary = patroni::primary(&state.far, unit.app());
    if primary.is_some_and(|primary| primary != *unit) {
        state.stop_pod(unit);
        state.far.volumes.remove(unit);
        state.foreign_volumes.remove(unit);
    }
}

/// A member's Patroni reaches the API no more, or does so again.
fn cut(state: &mut State, unit: &UnitName) {
    let Some(cluster) = state.far.patroni.get_mut(unit.app()) else { return };
    if !cluster.cut.remove(unit) {
        cluster.cut.insert(unit.clone());
    }
}

/// A standby's PostgreSQL reaches the primary's no more, or does so again.
fn part(state: &mut State, unit: &UnitName) {
    let Some(cluster) = state.far.patroni.get_mut(unit.app()) else { return };
    if !cluster.partitioned.remove(unit) {
        cluster.partitioned.insert(unit.clone());
    }
}

/// A pod of PostgreSQL stands still until its leases have ended, or comes to itself again.
fn freeze(state: &mut State, unit: &UnitName) {
    if patroni::is_frozen(&state.far, unit) {
        return thaw(state, unit);
    }
    if !patroni::freeze(&mut state.far, unit) {
        return;
    }
    state.tick_leases();
    let now = state.now();
    state.model.agent_stopped(unit, now);
    state.pass(SignedDuration::from_secs(61));
    state.run_patroni();
    state.tick_leases();
}

/// The workload container starts anew; nothing does in a pod that stands still.
fn restart_container(state: &mut State, unit: &UnitName) {
    if patroni::is_frozen(&state.far, unit) {
        thaw(state, unit);
    }
    state.start_container(unit);
}

fn thaw(state: &mut State, unit: &UnitName) {
    patroni::thaw(&mut state.far, unit);
    restart(state, unit);
}

/// How many hooks run while a unit's events wait, or nobody leads.
const HELD: u32 = 25;

/// An operator has a PgBouncer process hold its clients, or lets them go on.
pub(crate) fn turn_pause(state: &mut State, pick: u32) {
    let mut processes: Vec<_> = poolers(state).collect();
    let count = processes.len().max(1);
    if let Some(process) = processes.get_mut(pick as usize % count) {
        let other = if process.traffic.is_paused() { "SIGUSR2" } else { "SIGUSR1" };
        process.traffic.signal(other);
    }
}

/// Every PgBouncer process.
fn poolers(state: &mut State) -> impl Iterator<Item = &mut Process> {
    let containers = state.far.pods.values_mut().filter_map(|pod| pod.container.as_mut());
    containers.flat_map(Container::poolers_mut)
}

/// Every network and every pod is well again, and no client is held.
pub(crate) fn heal(state: &mut State) {
    state.delayed.clear();
    poolers(state).for_each(|process| process.traffic.signal("SIGUSR2"));
    state.leaderless.clear();
    state.tick_leases();
    patroni::hear_again(&mut state.far);
    for cluster in state.far.patroni.values_mut() {
        cluster.cut.clear();
        cluster.partitioned.clear();
    }
    let frozen = state.units().into_iter().filter(|unit| patroni::is_frozen(&state.far, unit));
    for unit in frozen.collect::<Vec<_>>() {
        thaw(state, &unit);
    }
}

/// The charm is refreshed, if one of its units owes a hook.
fn refresh_owing(state: &mut State, app: &AppName) {
    let owes = |unit: &juju_model::Unit| unit.state.contains_key("deferred");
    if !state.model.units(app).any(owes) {
        return;
    }
    let now = state.now();
    let Some(charm) = state.model.application(app).map(|app| app.charm.clone()) else { return };
    drop(state.model.refresh(now, app, charm, app.to_string()));
}

/// The agent goes, its lease ends, and it comes back; its containers ran on.
fn away(state: &mut State, unit: &UnitName) {
    state.tick_leases();
    let now = state.now();
    state.model.agent_stopped(unit, now);
    state.pass(SignedDuration::from_secs(61));
    state.tick_leases();
    restart(state, unit);
}

/// The agent starts again in its pod, and finds in its container what it knew before.
pub(crate) fn restart(state: &mut State, unit: &UnitName) {
    state.model.agent_started(unit, false);
    state.far.starting.insert(unit.clone());
    state.see_peers(unit);
    state.restarted_agents.insert(unit.clone());
    let boot = state.far.pods.get(unit).and_then(|pod| pod.container.as_ref()).map(|c| c.boot);
    let app = state.model.application(unit.app());
    let container = app.and_then(|app| app.charm.containers.keys().next().cloned());
    if let (Some(boot), Some(container)) = (boot, container) {
        state.model.container_booted(unit, &container, &boot.to_string());
        if let Some(container) = state.far.pods.get_mut(unit).and_then(|pod| pod.container.as_mut())
        {
            container.backend_failed = false;
        }
        state.watch_backends();
    }
}
