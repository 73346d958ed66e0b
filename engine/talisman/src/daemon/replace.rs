//! Pods that go while their units stay: deleted ones, those of an older charm, all at `down`.

use std::time::Duration;

use kube_api::Kind;
use names::{AppName, UnitName};
use serde_json::Value;

use super::agent;
use super::engine::{Engine, Inner};

/// How long hooks and `stop` of all units may take before the pods go all the same.
const FAREWELL_MAX: Duration = Duration::from_secs(30);

/// Marks a unit's pod for replacement: its `stop` hook runs, then it goes.
pub(crate) fn begin(inner: &mut Inner, unit: &UnitName) {
    if inner.replacing.insert(unit.clone()) {
        inner.kept.model.pod_stopping(unit);
    }
}

/// Whether the pod of an idle unit may go now. A unit whose hook has failed is not waited for.
pub(crate) fn is_due(engine: &Engine, unit: &UnitName) -> bool {
    engine.look(|inner| inner.replacing.contains(unit) && may_go(inner, unit))
}

fn may_go(inner: &Inner, unit: &UnitName) -> bool {
    let model = &inner.kept.model;
    let failed = model.unit(unit).is_some_and(|unit| unit.status().status == "error");
    failed || model.has_stopped(unit)
}

/// Stops the pod; the unit's agent then starts another.
pub(crate) async fn stop(engine: &Engine, unit: &UnitName) {
    if !agent::stop(engine, unit).await {
        return;
    }
    let now = engine.now();
    let noted = engine.change(|inner| {
        inner.replacing.remove(unit);
        inner.kept.model.agent_stopped(unit, now);
        inner.kept.model.unit_address(unit, None);
    });
    if let Err(error) = noted {
        engine.note("ERROR", &format!("cannot note that the pod of {unit} went: {error}"));
    }
}

/// Marks, of each application with a newer charm, the next pod that a stateful set would
/// replace: the highest number first, and only while all pods that went before are ready.
pub(crate) fn roll(engine: &Engine) {
    let next: Vec<UnitName> = engine.look(|inner| {
        let model = &inner.kept.model;
        let apps: Vec<AppName> = model.applications().map(|app| app.name.clone()).collect();
        let candidate = |app: &AppName| {
            let mut units: Vec<_> = model.units(app).map(|unit| unit.name.clone()).collect();
            units.sort_by_key(|unit| std::cmp::Reverse(unit.number()));
            let outdated = units.iter().find(|unit| model.is_outdated(unit))?.clone();
            let newer = units.iter().filter(|unit| !model.is_outdated(unit));
            // A pod that is on its way already takes the newer charm.
            let comes = model.unit(&outdated).is_none_or(|unit| unit.address.is_none());
            let waits = comes || newer.clone().any(|unit| !is_ready(engine, model, unit));
            let partition = partition(engine, model.name().as_str(), app);
            let busy = units.iter().any(|unit| inner.replacing.contains(unit));
            let held = model.is_held(&outdated);
            (!waits && !busy && !held && outdated.number() >= partition).then_some(outdated)
        };
        apps.iter().filter_map(candidate).collect()
    });
    if next.is_empty() {
        return;
    }
    let begun = engine.change(|inner| next.iter().for_each(|unit| begin(inner, unit)));
    if let Err(error) = begun {
        engine.note("ERROR", &format!("cannot replace a pod of an older charm: {error}"));
    }
}

fn is_ready(engine: &Engine, model: &model::Model, unit: &UnitName) -> bool {
    let pod = engine.cluster.get(Kind::Pod, model.name().as_str(), &unit.pod());
    let conditions = pod.as_ref().and_then(|pod| pod["status"]["conditions"].as_array());
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    let is_up = model.unit(unit).is_some_and(|unit| unit.address.is_some());
    is_up && conditions.is_some_and(|all| all.iter().any(ready))
}

/// Pods below this number keep their charm, as whoever wrote it into the stateful set wants.
fn partition(engine: &Engine, namespace: &str, app: &AppName) -> u32 {
    let set = engine.cluster.get(Kind::StatefulSet, namespace, app.as_str()).unwrap_or_default();
    let partition = &set["spec"]["updateStrategy"]["rollingUpdate"]["partition"];
    partition.as_u64().and_then(|number| number.try_into().ok()).unwrap_or(0)
}

/// Runs every unit's `stop` hook before the engine takes the pods away, within a bound.
pub(crate) async fn farewell(engine: &Engine) {
    let mut changes = engine.changes();
    let begun = engine.change(|inner| {
        for unit in super::verbs::all_units(&inner.kept.model) {
            inner.kept.model.pod_stopping(&unit);
        }
    });
    if begun.is_err() {
        return;
    }
    let all_stopped = async {
        loop {
            changes.mark_unchanged();
            let waits = engine.look(|inner| {
                let units = super::verbs::all_units(&inner.kept.model);
                units.iter().any(|unit| is_up(inner, unit) && !may_go(inner, unit))
            });
            if !waits || changes.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(FAREWELL_MAX, all_stopped).await.is_err() {
        engine.note("WARNING", "some stop hooks did not end in time");
    }
}

fn is_up(inner: &Inner, unit: &UnitName) -> bool {
    let found = inner.kept.model.unit(unit);
    found.is_some_and(|unit| {
        unit.life == model::Life::Alive
            && unit.address.is_some()
            && unit.agent.status != model::AgentStatus::Lost
    })
}
