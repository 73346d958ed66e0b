//! One task per unit: its pod, its hooks, its end.

use std::sync::Arc;
use std::time::Duration;

use model::Next;
use names::UnitName;
use node::{Pod, UnitPod};

use super::cluster::{self, PodFacts};
use super::engine::Engine;
use super::pods::{self, PodError, UnitFolders};
use super::{hooks, monitor, sockets};

/// How long after a pod failed to start it is tried again.
const START_RETRY: Duration = Duration::from_secs(3);
/// How long a pod's processes may take to stop on their own.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// A unit whose pod runs.
pub(crate) struct Agent {
    pub(crate) unit: UnitName,
    pub(crate) layout: UnitPod,
    pub(crate) pod: Pod,
    pub(crate) api_port: u16,
}

/// Lives as long as the unit, or until the engine stops.
pub(crate) async fn live(engine: Arc<Engine>, unit: UnitName, api_port: u16) {
    let Some(agent) = start(&engine, &unit, api_port).await else { return };
    let socket = UnitFolders::new(&engine.paths.run, &unit).socket();
    // The socket is there before the first hook can look for it.
    let listener = match sockets::listen(&socket) {
        Ok(listener) => listener,
        Err(error) => return engine.note("ERROR", &format!("cannot answer hook tools: {error}")),
    };
    let tools = tokio::spawn(sockets::serve(engine.clone(), listener));
    let watch = tokio::spawn(monitor::watch(engine.clone(), agent.unit.clone(), agent.pod.clone()));
    work(&engine, &agent).await;
    tools.abort();
    watch.abort();
}

/// Starts the pod, again and again until it runs; `None` when the unit is gone.
async fn start(engine: &Arc<Engine>, unit: &UnitName, api_port: u16) -> Option<Agent> {
    let mut told = String::new();
    loop {
        match try_start(engine, unit, api_port).await {
            Ok(agent) => return Some(agent),
            Err(PodError::Gone(_)) => return None,
            Err(error) => {
                let words = error.to_string();
                if words != told {
                    engine.note("ERROR", &words);
                    told = words;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(START_RETRY) => {}
            () = engine.stopped() => return None,
        }
    }
}

async fn try_start(engine: &Arc<Engine>, unit: &UnitName, api_port: u16) -> Result<Agent, PodError> {
    let plan = engine.look(|inner| {
        let model = &inner.kept.model;
        let found = model.unit(unit).ok_or_else(|| PodError::Gone(unit.clone()))?;
        let images = inner.kept.images.get(unit.app()).cloned().unwrap_or_default();
        let mut plan = pods::plan(model, &images, found)?;
        plan.token = inner.kept.tokens.get(unit.app()).cloned().unwrap_or_default();
        plan.authority = inner.kept.authority.clone().unwrap_or_default().0;
        Ok(plan)
    })?;
    let running = engine.node.pod(&unit.pod()).filter(Pod::running);
    let fresh = running.is_none();
    if fresh {
        pods::prepare(&plan, &engine.paths)?;
    }
    let layout = pods::pod(engine, &plan, api_port).await?;
    let pod = engine
        .node
        .start_pod(&layout.spec())
        .await
        .map_err(|source| PodError::Start { unit: unit.clone(), source })?;
    let record = |reason: String| PodError::Record { unit: unit.clone(), reason };
    if fresh {
        let containers = plan.workloads.iter().map(|one| one.name.to_string()).collect();
        let facts = PodFacts { unit, address: pod.ip(), containers };
        cluster::put_pod(&engine.cluster, plan.model.as_str(), &facts)
            .map_err(|error| record(error.to_string()))?;
    }
    let now = engine.now();
    let noted = engine.change(|inner| {
        inner.kept.model.unit_address(unit, Some(pod.ip().to_string()));
        inner.kept.model.agent_started(unit, fresh);
        inner.kept.model.lease_tick(now);
    });
    noted.map_err(|error| record(error.to_string()))?;
    Ok(Agent { unit: unit.clone(), layout, pod, api_port })
}

/// Runs what is due, one hook after another.
async fn work(engine: &Arc<Engine>, agent: &Agent) {
    let mut changes = engine.changes();
    loop {
        changes.mark_unchanged();
        let now = engine.now();
        let next = engine.look(|inner| {
            inner.kept.model.unit(&agent.unit)?;
            Some(inner.kept.model.next(&agent.unit, now))
        });
        match next {
            None => return,
            Some(Next::Hook(run)) => hooks::run(engine, agent, run).await,
            Some(Next::Gone) => return end(engine, &agent.unit).await,
            Some(Next::Idle { until }) => {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = due(now, until) => {}
                    () = engine.stopped() => return,
                }
            }
        }
    }
}

/// Ends at a time, or never.
async fn due(now: jiff::Timestamp, until: Option<jiff::Timestamp>) {
    match until {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
        None => std::future::pending().await,
    }
}

/// Removes the pod of a unit that has run its last hook, then the unit.
async fn end(engine: &Arc<Engine>, unit: &UnitName) {
    let namespace = engine.look(|inner| inner.kept.model.name().to_string());
    if let Err(error) = engine.node.stop_pod(&unit.pod(), STOP_GRACE).await {
        engine.note("ERROR", &format!("cannot stop the pod of {unit}: {error}"));
    }
    engine.cluster.delete(kube_api::Kind::Pod, &namespace, &unit.pod());
    UnitFolders::new(&engine.paths.run, unit).remove();
    let now = engine.now();
    let gone = engine.change(|inner| {
        inner.kept.model.unit_gone(unit);
        inner.kept.model.lease_tick(now);
    });
    if let Err(error) = gone {
        engine.note("ERROR", &format!("cannot forget {unit}: {error}"));
    }
}
