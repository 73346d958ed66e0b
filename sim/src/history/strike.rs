//! Faults between two hooks.

use jiff::SignedDuration;
use names::UnitName;

use super::POOLER;
use crate::gate::Fault;
use crate::world::State;

/// Makes a fault happen; `pick` says to which of the poolers.
pub(crate) fn strike(state: &mut State, fault: Fault, pick: u32) {
    let Ok(app) = POOLER.parse() else { return };
    let units: Vec<UnitName> = state
        .model
        .units(&app)
        .filter(|unit| unit.address.is_some())
        .map(|unit| unit.name.clone())
        .collect();
    let unit = units.get(pick as usize % units.len().max(1));
    match (fault, unit) {
        (Fault::LeaderTurns, _) => state.turn_leader(&app),
        (Fault::PodChurn, Some(unit)) => state.stop_pod(unit),
        (Fault::ContainerRestart, Some(unit)) => state.start_container(unit),
        (Fault::AgentAway, Some(unit)) => away(state, unit),
        (Fault::ServerDown, _) => {
            for cluster in state.clusters.values_mut() {
                cluster.up = !cluster.up;
            }
            state.watch_backends();
        }
        (Fault::ClockJump, _) => state.pass(SignedDuration::from_hours(1)),
        _ => {}
    }
}

/// The agent goes, its lease ends, and it comes back; its containers ran on.
fn away(state: &mut State, unit: &UnitName) {
    let now = state.now();
    state.model.lease_tick(now);
    state.model.agent_stopped(unit, now);
    state.pass(SignedDuration::from_secs(61));
    let now = state.now();
    state.model.lease_tick(now);
    restart(state, unit);
}

/// The agent starts again in its pod, and finds in its container what it knew before.
pub(super) fn restart(state: &mut State, unit: &UnitName) {
    state.model.agent_started(unit, false);
    let boot = state.pods.get(unit).and_then(|pod| pod.container.as_ref()).map(|c| c.boot);
    if let (Some(boot), Ok(container)) = (boot, "pgbouncer".parse()) {
        state.model.container_booted(unit, &container, &boot.to_string());
        if let Some(container) = state.pods.get_mut(unit).and_then(|pod| pod.container.as_mut()) {
            container.backend_failed = false;
        }
        state.watch_backends();
    }
}
