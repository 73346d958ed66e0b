//! One task per unit: its pod, its hooks, its end.

use std::sync::Arc;
use std::time::Duration;

use model::{Next, Trouble};
use names::UnitName;
use node::{Pod, UnitPod};
use tokio::sync::watch;

use super::cluster::{self, PodFacts};
use super::engine::Engine;
use super::pods::{self, PodError, UnitFolders};
use super::{charms, execs, faults, heal, hooks, monitor, orphans, replace, sockets};

/// How long after a pod failed to start it is tried again.
const START_RETRY: Duration = Duration::from_secs(3);
/// How long a pod's processes may take to stop on their own: Juju's
/// `terminationGracePeriodSeconds`.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(30);

/// A unit whose pod runs.
pub(crate) struct Agent {
    pub(crate) unit: UnitName,
    pub(crate) layout: UnitPod,
    pod: Pod,
    pub(crate) api_port: u16,
}

impl Agent {
    /// The pod as it runs now, containers included that were started again.
    pub(crate) fn pod(&self, engine: &Engine) -> Pod {
        engine.node.pod(self.pod.name()).unwrap_or_else(|| self.pod.clone())
    }
}

/// Why an agent has no more to do.
enum End {
    /// The unit is gone, or the engine stops.
    Ever,
    /// The unit has run its last hook; its pod goes.
    Removed,
    /// The unit has run its hooks; its pod goes and another comes.
    Replaced,
    /// The pod, or the agent's own container, is gone: begin anew.
    Pod,
}

/// Lives as long as the unit, or until the engine stops.
pub(crate) async fn live(engine: Arc<Engine>, unit: UnitName, api_port: u16) {
    while let Some(agent) = start(&engine, &unit, api_port).await {
        match serve(&engine, agent).await {
            End::Ever | End::Removed => return,
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
    let heal = heal::keep(engine.clone(), unit.clone(), agent.layout.clone(), broken);
    let heal = tokio::spawn(heal);
    let end = work(engine, &agent, breaks).await;
    for task in [tools, monitor, heal] {
        task.abort();
        // Nobody starts a container again while its pod is being removed.
        task.await.ok();
    }
    match end {
        End::Removed => remove(engine, &unit).await,
        End::Replaced => replace::stop(engine, &unit).await,
        End::Ever | End::Pod => {}
    }
    end
}

/// Starts the pod, again and again until it runs; `None` when the unit is gone.
async fn start(engine: &Arc<Engine>, unit: &UnitName, api_port: u16) -> Option<Agent> {
    let mut told = String::new();
    while !engine.is_stopping() {
        match try_start(engine, unit, api_port).await {
            Ok(agent) => {
                trouble(engine, unit, None);
                return Some(agent);
            }
            Err(PodError::Gone(_)) => return None,
            Err(error) if again(engine, unit, &error, &mut told).await => {}
            Err(_) => return None,
        }
    }
    None
}

/// Shows in the status what is wrong with the unit's pod.
pub(crate) fn trouble(engine: &Engine, unit: &UnitName, words: Option<Trouble>) {
    engine.look(|inner| inner.kept.model.unit_trouble(unit, words));
}

async fn try_start(
    engine: &Arc<Engine>,
    unit: &UnitName,
    api_port: u16,
) -> Result<Agent, PodError> {
    let (mut plan, recorded) = engine.look(|inner| {
        let model = &inner.kept.model;
        let found = model.unit(unit).ok_or_else(|| PodError::Gone(unit.clone()))?;
        let images = inner.kept.images.get(unit.app()).cloned().unwrap_or_default();
        let mut plan = pods::plan(model, &images, found)?;
        plan.token = inner.kept.tokens.get(unit.app()).cloned().unwrap_or_default();
        plan.authority = inner.kept.authority.clone().unwrap_or_default().0;
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
                .change(|inner| inner.kept.model.unit_address(unit, None))
                .map_err(|error| record(error.to_string()))?;
        }
        offthread::run(|| pods::prepare(&plan, &engine.paths))?;
    }
    let layout = pods::pod(engine, &plan, api_port).await?;
    faults::point();
    let pod = engine
        .node
        .start_pod(&layout.spec())
        .await
        .map_err(|source| PodError::Start { unit: unit.clone(), source })?;
    faults::point();
    let fresh = known != Some(pod.ip().to_string());
    if fresh && known.is_some() {
        offthread::run(|| pods::prepare(&plan, &engine.paths))?;
    }
    if !fresh {
        orphans::end(&pod).await;
    }
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
        // A new pod is what was wanted; one that was marked before a crash is marked again.
        inner.replacing.remove(unit);
        charms::forget(inner);
        inner.kept.model.lease_tick(now);
    });
    noted.map_err(|error| record(error.to_string()))?;
    if fresh {
        charms::sweep(engine).await;
    }
    Ok(Agent { unit: unit.clone(), layout, pod, api_port })
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
        let next = engine.look(|inner| {
            inner.kept.model.unit(&agent.unit)?;
            Some(inner.kept.model.next(&agent.unit, now))
        });
        match next {
            None => return End::Ever,
            Some(Next::Hook(run)) => hooks::run(engine, agent, run).await,
            Some(Next::Gone) => return End::Removed,
            Some(Next::Restart) => return begin_anew(engine).await,
            Some(Next::Idle { .. }) if replace::is_due(engine, &agent.unit) => {
                return End::Replaced;
            }
            Some(Next::Idle { until }) => {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return End::Ever },
                    broken = broken.changed() => if broken.is_err() { return End::Pod },
                    () = due(now, until) => {}
                    () = engine.stopped() => return End::Ever,
                }
            }
        }
    }
}

/// The end of an agent that starts again in its pod, after a pause.
async fn begin_anew(engine: &Engine) -> End {
    tokio::select! {
        () = tokio::time::sleep(START_RETRY) => End::Pod,
        () = engine.stopped() => End::Ever,
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

/// Stops the unit's pod, again and again until nothing of it runs: its folders are in use before.
/// Whether it has stopped; it has not when the engine ends first.
pub(super) async fn stop(engine: &Engine, unit: &UnitName) -> bool {
    let mut told = String::new();
    while let Err(source) = engine.node.stop_pod(&unit.pod(), STOP_GRACE).await {
        let error = PodError::Stop { unit: unit.clone(), source };
        if !again(engine, unit, &error, &mut told).await {
            return false;
        }
    }
    true
}

/// Says what keeps a pod from its next state, the log once for the same words as `told`, and
/// waits. Whether there is another try; there is none when the engine ends first.
async fn again(engine: &Engine, unit: &UnitName, error: &PodError, told: &mut String) -> bool {
    let words = error.to_string();
    trouble(engine, unit, Some(Trouble::Start(words.clone())));
    if words != *told {
        engine.note("ERROR", &words);
        *told = words;
    }
    tokio::select! {
        () = tokio::time::sleep(START_RETRY) => true,
        () = engine.stopped() => false,
    }
}

/// Removes the pod of a unit that has run its last hook, then the unit.
async fn remove(engine: &Arc<Engine>, unit: &UnitName) {
    let namespace = engine.look(|inner| inner.kept.model.name().to_string());
    if !stop(engine, unit).await {
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
    engine.cluster.delete(kube_api::Kind::Pod, namespace, &unit.pod())?;
    faults::point();
    let now = engine.now();
    engine.change(|inner| {
        inner.kept.model.unit_gone(unit);
        execs::forget(inner, unit);
        charms::forget(inner);
        inner.kept.model.lease_tick(now);
    })?;
    Ok(())
}
