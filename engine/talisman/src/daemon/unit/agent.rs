//! One task per unit: its pod, its hooks, its end.

use std::sync::Arc;
use std::time::Duration;

use juju_model::{InClusterConfig, Next};
use juju_names::UnitName;
use node::{Pod, UnitPod};
use tokio::sync::watch;

use crate::daemon::charms;
use crate::daemon::engine::Engine;
use crate::daemon::faults;
use crate::daemon::kubernetes::pod_objects::{self, PodFacts};
use crate::daemon::kubernetes::template::STOP_GRACE;
use crate::daemon::unit::containers;
use crate::daemon::unit::exec;
use crate::daemon::unit::hooks::{self, Agent};
use crate::daemon::unit::monitor;
use crate::daemon::unit::pod::{self, PodError, UnitFolders};
use crate::daemon::unit::pod_stop::{START_RETRY, retries, show_problem, stop};
use crate::daemon::unit::replace;
use crate::daemon::unit::sockets;
use crate::daemon::unit::stale_hooks;

/// Why an agent has no more to do.
enum End {
    /// The unit is gone, or the engine stops.
    UnitGone,
    /// The unit has run its last hook; its pod goes.
    Removed,
    /// The unit has run its hooks; its pod goes and another comes.
    Replaced,
    /// The pod, or the agent's own container, is gone: begin anew.
    Pod,
}

/// Lives as long as the unit, or until the engine stops.
pub(crate) async fn live(engine: Arc<Engine>, unit: UnitName, api_port: u16) {
    loop {
        let end = match start(&engine, &unit, api_port).await {
            Ok(agent) => serve(&engine, agent).await,
            Err(end) => end,
        };
        match end {
            End::UnitGone => return,
            End::Removed => return remove(&engine, &unit).await,
            End::Pod | End::Replaced => {}
        }
    }
}

/// Lives as long as the pod.
async fn serve(engine: &Arc<Engine>, agent: Agent) -> End {
    let unit = agent.unit.clone();
    let socket = UnitFolders::new(&engine.paths, &unit).socket();
    let (broken, breaks) = watch::channel(false);
    // The socket is there before the first hook can look for it.
    let listener = match offthread::run(|| sockets::listen(&socket)) {
        Ok(listener) => listener,
        Err(error) => {
            engine.note("ERROR", &format!("cannot answer hook tools: {error}"));
            tokio::time::sleep(START_RETRY).await;
            return End::Pod;
        }
    };
    let tools = tokio::spawn(sockets::serve(engine.clone(), unit.clone(), listener));
    let monitor = tokio::spawn(monitor::watch(engine.clone(), unit.clone(), agent.pod.clone()));
    let heal = containers::keep(engine.clone(), unit.clone(), agent.layout.clone(), broken);
    let heal = tokio::spawn(heal);
    let end = work(engine, &agent, breaks).await;
    for task in [tools, monitor, heal] {
        task.abort();
        // No container is started again while its pod is being removed.
        task.await.ok();
    }
    match end {
        End::Replaced => replace::stop(engine, &unit).await,
        End::Removed | End::UnitGone | End::Pod => {}
    }
    end
}

/// Starts the pod, again and again until it runs; what comes instead when it is not wanted any
/// more.
async fn start(engine: &Arc<Engine>, unit: &UnitName, api_port: u16) -> Result<Agent, End> {
    let mut told = String::new();
    while !engine.is_stopping() {
        let is_done = |unit: &juju_model::Unit| unit.is_done();
        if engine.with(|state| state.persisted.model.unit(unit).is_some_and(is_done)) {
            return Err(End::Removed);
        }
        match try_start(engine, unit, api_port).await {
            Ok(agent) => {
                show_problem(engine, unit, None);
                return Ok(agent);
            }
            Err(PodError::Gone(_)) => return Err(End::UnitGone),
            Err(error) if retries(engine, unit, &error, &mut told).await => {}
            Err(_) => return Err(End::UnitGone),
        }
    }
    Err(End::UnitGone)
}

async fn try_start(
    engine: &Arc<Engine>,
    unit: &UnitName,
    api_port: u16,
) -> Result<Agent, PodError> {
    let (mut plan, recorded) = engine.with(|state| {
        let model = &state.persisted.model;
        let found = model.unit(unit).ok_or_else(|| PodError::Gone(unit.clone()))?;
        let images = state.persisted.images.get(unit.app()).cloned().unwrap_or_default();
        let mut plan = pod::plan(model, &images, found)?;
        plan.token = state.persisted.tokens.get(unit.app()).cloned().unwrap_or_default();
        plan.authority = state.persisted.authority.clone().unwrap_or_default().0;
        plan.image_revision = found.charm_revision;
        Ok::<_, PodError>((plan, found.address.clone()))
    })?;
    let record = |reason: String| PodError::Record { unit: unit.clone(), reason };
    let known = known(engine, unit, recorded.as_ref())?;
    if known.is_none() {
        plan.image_revision = plan.charm_revision;
        // Whatever an earlier start left is gone before its folders are touched.
        engine
            .node
            .stop_pod(&unit.pod(), STOP_GRACE)
            .await
            .map_err(|source| PodError::Stop { unit: unit.clone(), source })?;
        if recorded.is_some() {
            engine
                .commit(|state| state.persisted.model.unit_address(unit, None))
                .map_err(|error| record(error.to_string()))?;
        }
        offthread::run(|| pod::prepare(&plan, &engine.paths))?;
    }
    plan.container_limits =
        pod_objects::limits(&engine.kubernetes, plan.model.as_str(), unit.app());
    let layout = pod::pod(engine, &plan, api_port).await?;
    faults::point();
    let started = start_containers(engine, &layout, known.is_none()).await;
    let pod = started.map_err(|source| PodError::Start { unit: unit.clone(), source })?;
    faults::point();
    let fresh = known != Some(pod.ip().to_string());
    if fresh && known.is_some() {
        offthread::run(|| pod::prepare(&plan, &engine.paths))?;
    }
    if !fresh {
        stale_hooks::end(&pod).await;
    }
    if fresh {
        let facts = PodFacts { unit, address: pod.ip(), now: engine.now() };
        pod_objects::put_pod(&engine.kubernetes, plan.model.as_str(), &facts)
            .map_err(|error| record(error.to_string()))?;
    }
    let now = engine.now();
    let noted = engine.commit(|state| {
        state.persisted.model.unit_address(unit, Some(pod.ip().to_string()));
        state.persisted.model.agent_started(unit, fresh);
        state.persisted.model.pod_in_cluster(unit, in_cluster(plan, api_port));
        // A new pod is what was wanted; one that was marked before a crash is marked again.
        state.replacing.remove(unit);
        if fresh {
            state.back_offs.retain(|(of, _), _| of != unit);
        }
        charms::forget(state);
        state.persisted.model.lease_tick(now);
    });
    noted.map_err(|error| record(error.to_string()))?;
    if fresh {
        charms::sweep(engine).await;
    }
    Ok(Agent { unit: unit.clone(), layout, pod, api_port })
}

/// Starts a new pod, or the charm's container in one that runs: the others have pauses of their
/// own before they are started again.
async fn start_containers(
    engine: &Engine,
    layout: &UnitPod,
    fresh: bool,
) -> Result<Pod, node::NodeError> {
    if fresh {
        return engine.node.start_pod(&layout.spec()).await;
    }
    engine.node.start_container(&layout.spec(), UnitPod::CHARM).await
}

/// How the pod reaches the Kubernetes API, by the files and variables in it.
fn in_cluster(plan: pod::Plan, api_port: u16) -> InClusterConfig {
    InClusterConfig {
        cloud: "localhost".to_owned(),
        host: format!("https://{}:{api_port}", node::ENGINE),
        bearer_token: plan.token,
        ca_certificate: plan.authority,
    }
}

/// The address of the unit's pod, if it runs. The model's own record decides: a pod that it does
/// not know is new, even if an engine that was killed has started it.
fn known(
    engine: &Engine,
    unit: &UnitName,
    recorded: Option<&String>,
) -> Result<Option<String>, PodError> {
    let known = match engine.node.pod(&unit.pod()) {
        Some(pod) => lives(&pod)?.then(|| pod.ip().to_string()),
        None => None,
    };
    Ok(known.filter(|address| recorded == Some(address)))
}

/// Whether any container of the pod runs; the others are started again in it. A machine that
/// does not say is asked again, for the pod may be well.
fn lives(pod: &Pod) -> Result<bool, PodError> {
    pod.lives().map_err(|source| PodError::Unknown { pod: pod.name().to_owned(), source })
}

/// Runs what is due, one hook after another.
async fn work(engine: &Arc<Engine>, agent: &Agent, mut broken: watch::Receiver<bool>) -> End {
    let mut changes = engine.changes();
    loop {
        if *broken.borrow_and_update() {
            return End::Pod;
        }
        changes.mark_unchanged();
        let now = engine.now();
        let next = engine.with(|state| {
            state.persisted.model.unit(&agent.unit)?;
            Some(state.persisted.model.next(&agent.unit, now))
        });
        match next {
            None => return End::UnitGone,
            Some(Next::Hook(run)) => hooks::run(engine, agent, run).await,
            Some(Next::Gone) => return End::Removed,
            Some(Next::Restart) => return begin_anew(engine).await,
            Some(Next::Idle { .. }) if replace::is_due(engine, &agent.unit) => {
                return End::Replaced;
            }
            Some(Next::Idle { until }) => {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return End::UnitGone },
                    broken = broken.changed() => if broken.is_err() { return End::Pod },
                    () = due(now, until) => {}
                    () = engine.stopped() => return End::UnitGone,
                }
            }
        }
    }
}

/// The end of an agent that starts again in its pod, after a pause.
async fn begin_anew(engine: &Engine) -> End {
    tokio::select! {
        () = tokio::time::sleep(START_RETRY) => End::Pod,
        () = engine.stopped() => End::UnitGone,
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
async fn remove(engine: &Arc<Engine>, unit: &UnitName) {
    let namespace = engine.with(|state| state.persisted.model.name().to_string());
    // The set is smaller now: its controller deletes the pod.
    replace::begin(engine, unit);
    if !stop(engine, unit, STOP_GRACE).await {
        return;
    }
    offthread::run(|| UnitFolders::new(&engine.paths, unit).remove());
    faults::point();
    let mut told = String::new();
    while let Err(error) = forget(engine, unit, &namespace) {
        let words = format!("cannot forget {unit}: {error}");
        if words != told {
            engine.note("ERROR", &words);
            told = words;
        }
        tokio::select! {
            () = tokio::time::sleep(START_RETRY) => {}
            () = engine.stopped() => return,
        }
    }
    charms::sweep(engine).await;
}

/// Takes a unit that has no pod any more out of the model.
fn forget(engine: &Engine, unit: &UnitName, namespace: &str) -> anyhow::Result<()> {
    engine.kubernetes.delete(kube_api::Kind::Pod, namespace, &unit.pod())?;
    faults::point();
    let now = engine.now();
    engine.commit(|state| {
        state.persisted.model.unit_gone(unit);
        state.back_offs.retain(|(of, _), _| of != unit);
        exec::forget(state, unit);
        charms::forget(state);
        state.persisted.model.lease_tick(now);
    })?;
    Ok(())
}
