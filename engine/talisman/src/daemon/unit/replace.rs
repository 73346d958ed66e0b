//! Pods that go while their units stay: deleted ones, those of an older charm, all at `down`.

use std::time::Duration;

use juju_names::{AppName, UnitName};
use kube_api::Kind;

use crate::daemon::engine::Engine;
use crate::daemon::kubernetes::pod_objects;
use crate::daemon::kubernetes::template::STOP_GRACE;
use crate::daemon::state::State;
use crate::daemon::unit::pod_stop;

/// How long hooks and `stop` of all units may take before the pods go all the same.
const STOP_HOOKS_MAX: Duration = Duration::from_secs(30);

/// Deletes a unit's pod, as a stateful set's controller or another client does: its `stop` hook
/// runs, then it goes and another comes.
pub(crate) fn begin(engine: &Engine, unit: &UnitName) {
    let namespace = engine.with(|state| state.persisted.model.name().to_string());
    if let Err(error) = engine.kubernetes.terminate(Kind::Pod, &namespace, &unit.pod()) {
        engine.note("ERROR", &format!("cannot delete the pod of {unit}: {error}"));
    }
}

/// Has the units whose pods were deleted through the API run their `stop` hooks.
pub(crate) fn follow(engine: &Engine) {
    let leaving: Vec<UnitName> = engine.with(|state| {
        let namespace = state.persisted.model.name().to_string();
        let mut units = crate::daemon::state::all_units(&state.persisted.model);
        units.retain(|unit| is_up(state, unit) && !state.replacing.contains(unit));
        units.retain(|unit| grace(engine, &namespace, unit).is_some());
        units
    });
    if leaving.is_empty() {
        return;
    }
    let begun = engine.commit(|state| {
        for unit in leaving {
            state.persisted.model.pod_stopping(&unit);
            state.replacing.insert(unit);
        }
    });
    if let Err(error) = begun {
        engine.note("ERROR", &format!("cannot replace a pod that was deleted: {error}"));
    }
}

/// How long the processes of a deleted pod have to end; nothing for one that stays. The processes
/// of one that was deleted by force have as long as kubelet gives them.
fn grace(engine: &Engine, namespace: &str, unit: &UnitName) -> Option<Duration> {
    let left = engine.kubernetes.view(Kind::Pod, namespace, &unit.pod(), |pod| {
        let metadata = &pod["metadata"];
        metadata["deletionTimestamp"].as_str()?;
        let seconds = metadata["deletionGracePeriodSeconds"].as_u64();
        Some(seconds.map_or(STOP_GRACE, Duration::from_secs))
    });
    left.unwrap_or(Some(Duration::from_secs(1)))
}

/// Whether the pod of an idle unit may go now. A unit whose hook has failed is not waited for.
pub(crate) fn is_due(engine: &Engine, unit: &UnitName) -> bool {
    engine.with(|state| state.replacing.contains(unit) && may_go(state, unit))
}

fn may_go(state: &State, unit: &UnitName) -> bool {
    let model = &state.persisted.model;
    let failed = model.unit(unit).is_some_and(|unit| unit.status().status == "error");
    failed || model.has_stopped(unit)
}

/// Stops the pod; the unit's agent then starts another.
pub(crate) async fn stop(engine: &Engine, unit: &UnitName) {
    let namespace = engine.with(|state| state.persisted.model.name().to_string());
    let grace = grace(engine, &namespace, unit).unwrap_or(STOP_GRACE);
    if !pod_stop::stop(engine, unit, grace).await {
        return;
    }
    // It has ended, so that its object goes, and another may have its name.
    if let Err(error) = engine.kubernetes.delete(Kind::Pod, &namespace, &unit.pod()) {
        engine.note("ERROR", &format!("cannot remove the pod of {unit}: {error}"));
    }
    let now = engine.now();
    let noted = engine.commit(|state| {
        state.replacing.remove(unit);
        state.persisted.model.agent_stopped(unit, now);
        state.persisted.model.unit_address(unit, None);
    });
    if let Err(error) = noted {
        engine.note("ERROR", &format!("cannot note that the pod of {unit} went: {error}"));
    }
}

/// Marks, of each application with a newer charm, the next pod that a stateful set would
/// replace: the highest number first, and only while all pods that went before are ready.
pub(crate) fn roll(engine: &Engine) {
    let next: Vec<UnitName> = engine.with(|state| {
        let model = &state.persisted.model;
        let apps: Vec<AppName> = model.applications().map(|app| app.name.clone()).collect();
        let candidate = |app: &AppName| {
            let mut units: Vec<_> = model.units(app).map(|unit| unit.name.clone()).collect();
            units.sort_by_key(|unit| std::cmp::Reverse(unit.number()));
            let namespace = model.name().as_str();
            let newest = pod_objects::newest(&engine.kubernetes, namespace, app);
            let is_outdated = |unit: &UnitName| {
                model.is_outdated(unit)
                    || pod_objects::is_outdated(
                        &engine.kubernetes,
                        namespace,
                        unit,
                        newest.as_ref(),
                    )
            };
            let outdated = units.iter().find(|unit| is_outdated(unit))?.clone();
            let newer = units.iter().filter(|unit| !is_outdated(unit));
            // A pod that is on its way already takes the newer charm.
            let comes = model.unit(&outdated).is_none_or(|unit| unit.address.is_none());
            let waits = comes || newer.clone().any(|unit| !is_ready(engine, model, unit));
            let partition = partition(engine, model.name().as_str(), app);
            let busy = units.iter().any(|unit| state.replacing.contains(unit));
            let held = model.is_held(&outdated);
            (!waits && !busy && !held && outdated.number() >= partition).then_some(outdated)
        };
        apps.iter().filter_map(candidate).collect()
    });
    next.iter().for_each(|unit| begin(engine, unit));
}

fn is_ready(engine: &Engine, model: &juju_model::Model, unit: &UnitName) -> bool {
    let namespace = model.name().as_str();
    let ready = engine.kubernetes.view(Kind::Pod, namespace, &unit.pod(), pod_objects::is_ready);
    let is_up = model.unit(unit).is_some_and(|unit| unit.address.is_some());
    is_up && ready == Some(true)
}

/// Pods below this number keep their charm, as the stateful set's `partition` asks.
fn partition(engine: &Engine, namespace: &str, app: &AppName) -> u32 {
    let number = engine.kubernetes.view(Kind::StatefulSet, namespace, app.as_str(), |set| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64()
    });
    number.flatten().and_then(|number| number.try_into().ok()).unwrap_or(0)
}

/// Runs every unit's `stop` hook before the engine takes the pods away, within a bound.
pub(crate) async fn run_stop_hooks(engine: &Engine) {
    let mut changes = engine.changes();
    let begun = engine.commit(|state| {
        for unit in crate::daemon::state::all_units(&state.persisted.model) {
            state.persisted.model.pod_stopping(&unit);
        }
    });
    if begun.is_err() {
        return;
    }
    let all_stopped = async {
        loop {
            changes.mark_unchanged();
            let waits = engine.with(|state| {
                let units = crate::daemon::state::all_units(&state.persisted.model);
                units.iter().any(|unit| is_up(state, unit) && !may_go(state, unit))
            });
            if !waits || changes.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(STOP_HOOKS_MAX, all_stopped).await.is_err() {
        engine.note("WARNING", "some stop hooks did not end in time");
    }
}

fn is_up(state: &State, unit: &UnitName) -> bool {
    let found = state.persisted.model.unit(unit);
    found.is_some_and(|unit| {
        unit.life == juju_model::Life::Alive
            && unit.address.is_some()
            && unit.agent.status != juju_model::AgentStatus::Lost
    })
}
