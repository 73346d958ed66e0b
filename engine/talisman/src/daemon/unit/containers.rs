//! The containers of a unit's pod as kubelet keeps them: probed, started again, reported.

use std::sync::Arc;
use std::time::Instant;

use juju_model::PodProblem;
use juju_names::UnitName;
use kube_api::Kind;
use node::{AgentCheck, Pod, PodError, Probe, Probes, UnitPod};
use tokio::sync::watch;

use crate::daemon::engine::Engine;
use crate::daemon::kubernetes::template::STOP_GRACE;
use crate::daemon::unit::health::Health;
use crate::daemon::unit::pod_stop::show_problem;
use crate::daemon::unit::probe;

/// What the tasks of one pod's containers share.
struct Kept {
    engine: Arc<Engine>,
    unit: UnitName,
    layout: UnitPod,
    health: Health,
}

/// Keeps the pod's containers running. Says `true` on `broken` and ends once the unit's own
/// container has ended, for then its agent begins anew.
pub(crate) async fn keep(
    engine: Arc<Engine>,
    unit: UnitName,
    layout: UnitPod,
    broken: watch::Sender<bool>,
) {
    let health = Health::new(engine.clone(), unit.clone());
    let kept = Kept { engine, unit, layout, health };
    let workloads = kept.layout.workloads.iter().enumerate();
    let workloads = workloads.map(|(at, one)| keep_workload(&kept, at + 1, &one.name));
    tokio::select! {
        () = kept.engine.stopped() => return,
        () = follow(&kept, 0, UnitPod::CHARM) => {}
        _ = futures_util::future::join_all(workloads), if !kept.layout.workloads.is_empty() => {}
    }
    broken.send_replace(true);
}

/// Starts a workload again whenever it has ended.
async fn keep_workload(kept: &Kept, at: usize, name: &str) {
    let (engine, unit) = (&kept.engine, &kept.unit);
    let mut shown = false;
    loop {
        follow(kept, at, name).await;
        // One of a pod that goes is not to come back, and a pod whose containers have all ended
        // is one for the agent to start.
        let lives = engine.node.pod(&unit.pod()).is_some_and(|pod| pod.lives().unwrap_or(true));
        if kept.is_leaving() || !lives {
            std::future::pending::<()>().await;
        }
        match engine.node.start_container(&kept.layout.spec(), name).await {
            Ok(_) if std::mem::take(&mut shown) => show_problem(engine, unit, None),
            Ok(_) => {}
            Err(error) => {
                shown = true;
                let words = format!("cannot start {name} of {unit} again: {error}");
                engine.note("ERROR", &words);
                show_problem(engine, unit, Some(PodProblem::Start(words)));
            }
        }
    }
}

/// Follows a container to its end, and the pause after it.
async fn follow(kept: &Kept, at: usize, name: &str) {
    let (engine, unit) = (&kept.engine, &kept.unit);
    if let Some(pod) = engine.node.pod(&unit.pod()).filter(|_| !is_dead(engine, unit, name)) {
        kept.health.runs(name);
        tokio::select! {
            biased;
            () = pod.ended(name) => {}
            () = fails(kept, at, name, &pod) => {
                if name == UnitPod::CHARM {
                    end_agent(kept).await;
                }
                if let Err(error) = pod.stop(name, STOP_GRACE).await {
                    engine.note("ERROR", &format!("cannot stop {name} of {unit}: {error}"));
                }
                pod.ended(name).await;
            }
        }
    }
    let ended = Instant::now();
    engine.note("WARNING", &format!("the container {name} of {unit} has ended"));
    if name == UnitPod::CHARM {
        let now = engine.now();
        engine.commit(|state| state.persisted.model.agent_stopped(unit, now)).ok();
    }
    let key = (unit.clone(), name.to_owned());
    let known = engine.with(|state| state.back_offs.get(&key).copied().unwrap_or_default());
    let pause = known.pause(ended);
    kept.health.waits(name, pause);
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = kept.leaves() => {}
    }
    let restarted = |state: &mut crate::daemon::state::State| {
        state.back_offs.entry(key).or_default().restarted(ended, Instant::now());
    };
    engine.with(restarted);
}

/// Has the unit run its `stop` hook, as Juju's agent does when its container is to end, in the
/// time that a container has for that.
async fn end_agent(kept: &Kept) {
    let (engine, unit) = (&kept.engine, &kept.unit);
    let mut changes = engine.changes();
    if let Err(error) = engine.commit(|state| state.persisted.model.pod_stopping(unit)) {
        return engine.note("ERROR", &format!("cannot stop the agent of {unit}: {error}"));
    }
    let stopped = async {
        loop {
            changes.mark_unchanged();
            let ended = engine.with(|state| state.persisted.model.may_end(unit));
            if ended || changes.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(STOP_GRACE, stopped).await.is_err() {
        engine.note("WARNING", &format!("the stop hook of {unit} did not end in time"));
    }
}

fn is_dead(engine: &Engine, unit: &UnitName, name: &str) -> bool {
    let pod = engine.node.pod(&unit.pod());
    pod.is_none_or(|pod| matches!(pod.pid(name), Err(PodError::NotRunning { .. })))
}

/// Asks a container how it is until it is to be restarted.
async fn fails(kept: &Kept, at: usize, name: &str, pod: &Pod) {
    let engine = &kept.engine;
    let begun = Instant::now();
    let (mut probes, mut agent) = (Probes::new(begun), AgentCheck::new(begun));
    loop {
        let (probe, due) = probes.next();
        tokio::time::sleep_until(due.into()).await;
        let asked = Instant::now();
        let mut healthy = probe::ask(engine, pod, at, probe).await;
        if name == UnitPod::CHARM && probe == Probe::Readiness {
            let started = engine.with(|state| !state.persisted.model.has_stopped(&kept.unit));
            let passes = agent.passes(started, asked);
            healthy = healthy.map(|healthy| healthy && passes);
        }
        if probes.answered(probe, healthy, asked) && !kept.is_leaving() {
            let kind = format!("{probe:?}").to_lowercase();
            let words = format!("{name} of {} failed its {kind} probe: it is restarted", kept.unit);
            return engine.note("WARNING", &words);
        }
        kept.health.probed(name, &probes);
    }
}

impl Kept {
    /// Whether the pod was deleted.
    fn is_leaving(&self) -> bool {
        let namespace = self.layout.model.as_str();
        let view = |pod: &serde_json::Value| pod["metadata"]["deletionTimestamp"].is_string();
        let leaving = self.engine.kubernetes.view(Kind::Pod, namespace, &self.unit.pod(), view);
        leaving.unwrap_or(true)
    }

    /// Ends once the pod was deleted.
    async fn leaves(&self) {
        let mut changes = self.engine.kubernetes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.is_leaving() {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}
