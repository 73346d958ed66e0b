//! Stopping a unit's pod, and saying what keeps it from its next state.

use std::time::Duration;

use juju_model::PodProblem;
use juju_names::UnitName;

use crate::daemon::engine::Engine;
use crate::daemon::unit::pod::PodError;

/// How long after a pod failed to start it is tried again.
pub(super) const START_RETRY: Duration = Duration::from_secs(3);

/// Shows in the status what is wrong with the unit's pod.
pub(super) fn show_problem(engine: &Engine, unit: &UnitName, words: Option<PodProblem>) {
    engine.with(|state| state.persisted.model.pod_problem(unit, words));
}

/// Stops the unit's pod, again and again until nothing of it runs: its folders are in use before.
/// Whether it has stopped; it has not when the engine ends first.
pub(super) async fn stop(engine: &Engine, unit: &UnitName, grace: Duration) -> bool {
    let mut told = String::new();
    while let Err(source) = engine.node.stop_pod(&unit.pod(), grace).await {
        let error = PodError::Stop { unit: unit.clone(), source };
        if !retries(engine, unit, &error, &mut told).await {
            return false;
        }
    }
    true
}

/// Says what keeps a pod from its next state, the log once for the same words as `told`, and
/// waits. Whether there is another try; there is none when the engine ends first.
pub(super) async fn retries(
    engine: &Engine,
    unit: &UnitName,
    error: &PodError,
    told: &mut String,
) -> bool {
    let words = error.to_string();
    show_problem(engine, unit, Some(PodProblem::Start(words.clone())));
    if words != *told {
        engine.note("ERROR", &words);
        *told = words;
    }
    tokio::select! {
        () = tokio::time::sleep(START_RETRY) => true,
        () = engine.stopped() => false,
    }
}
