//! Starting containers again that ended by themselves, as Kubernetes does.

use std::sync::Arc;
use std::time::Duration;

use juju_names::UnitName;
use node::UnitPod;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::daemon::engine::Engine;

/// The first pause before a container is started again soon after the last time; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, and how long containers must have run for the next start to be at once.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Keeps the pod's containers running. Says `true` on `broken` and ends once the unit's own
/// container has ended, for then its agent begins anew.
pub(crate) async fn keep(
    engine: Arc<Engine>,
    unit: UnitName,
    layout: UnitPod,
    broken: watch::Sender<bool>,
) {
    let mut pause = Duration::ZERO;
    loop {
        let started = Instant::now();
        let Some(pod) = engine.node.pod(&unit.pod()) else { return };
        let names: Vec<String> = pod.containers().map(str::to_owned).collect();
        let ends = names.iter().map(|name| Box::pin(pod.ended(name)));
        let index = tokio::select! {
            biased;
            () = engine.stopped() => return,
            ((), index, _) = futures_util::future::select_all(ends) => index,
        };
        let name = names.get(index).map_or("", String::as_str);
        if name == UnitPod::CHARM {
            let now = engine.now();
            engine.commit(|state| state.persisted.model.agent_stopped(&unit, now)).ok();
            broken.send_replace(true);
            return;
        }
        engine.note("WARNING", &format!("the container {name} of {unit} has ended"));
        if started.elapsed() > PAUSE_MAX {
            pause = Duration::ZERO;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).clamp(PAUSE, PAUSE_MAX);
        // A pod whose containers have all ended is one for the agent to start.
        let ended = matches!(pod.pid(UnitPod::CHARM), Err(node::PodError::NotRunning { .. }));
        if !ended && let Err(error) = engine.node.start_pod(&layout.spec()).await {
            engine.note("ERROR", &format!("cannot start {name} of {unit} again: {error}"));
            broken.send_replace(true);
            return;
        }
    }
}
