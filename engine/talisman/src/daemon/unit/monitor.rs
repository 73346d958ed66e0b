//! Watching a unit's containers: boots, readiness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use juju_model::PodProblem;
use juju_names::{ContainerName, UnitName};
use node::{Pod, UnitPod};
use tokio::time::Instant;

use crate::daemon::engine::Engine;
use crate::daemon::files;
use crate::daemon::kubernetes::pod_objects;
use crate::daemon::unit::notices;
use crate::daemon::unit::pod_stop;

/// Between two looks at a pod that is not ready.
const POLL_UNREADY: Duration = Duration::from_millis(200);
/// Between two looks at a pod that is ready.
const POLL_READY: Duration = Duration::from_secs(2);

/// How long the charm's container counts as ready although `start` has not run.
const CHARM_GRACE: Duration = Duration::from_secs(30);

/// A volume with less room, in bytes, counts as full.
const VOLUME_ROOM_MIN: u64 = 1 << 20;

/// Looks at the unit's containers until the task is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, unit: UnitName, pod: Pod) {
    let (namespace, containers, volumes) = engine.with(|state| {
        let model = &state.persisted.model;
        let owned = model.storage().filter(|one| one.owner.as_ref() == Some(&unit));
        let volumes: Vec<String> = owned.map(|one| one.id.clone()).collect();
        let containers: Vec<ContainerName> = model
            .application(unit.app())
            .map(|app| app.charm.containers.keys().cloned().collect())
            .unwrap_or_default();
        (model.name().to_string(), containers, volumes)
    });
    let looked = Looked { unit: &unit, pod: &pod, namespace: &namespace, containers: &containers };
    let follow =
        containers.iter().map(|container| notices::follow(&engine, &unit, container, &pod));
    let notices = futures_util::future::join_all(follow);
    tokio::join!(look_again(&engine, &looked, &volumes), notices);
}

/// What is looked at.
struct Looked<'a> {
    unit: &'a UnitName,
    pod: &'a Pod,
    namespace: &'a str,
    containers: &'a [ContainerName],
}

async fn look_again(engine: &Engine, looked: &Looked<'_>, volumes: &[String]) {
    let Looked { unit, pod, namespace, containers } = *looked;
    let begun = Instant::now();
    let mut full = None;
    let mut boots = BTreeMap::new();
    let mut before: Option<BTreeSet<String>> = None;
    loop {
        let mut unready = BTreeSet::new();
        if !charm_is_ready(engine, unit, begun) {
            unready.insert(UnitPod::CHARM.to_owned());
        }
        for container in containers {
            // What cannot be asked for want of files is as it was.
            let was = before.as_ref().is_some_and(|unready| !unready.contains(container.as_str()));
            if !look(engine, unit, container, pod, &mut boots).await.unwrap_or(was) {
                unready.insert(container.to_string());
            }
        }
        let ready = unready.is_empty();
        let now_full = offthread::run(|| full_volume(engine, pod, volumes));
        if now_full != full {
            full = now_full;
            pod_stop::show_problem(engine, unit, full.clone().map(PodProblem::Shortage));
        }
        if before.as_ref() != Some(&unready) {
            let now = engine.now();
            let said = pod_objects::set_ready(&engine.kubernetes, namespace, unit, &unready, now);
            if let Err(error) = said {
                engine.note("WARNING", &format!("cannot say whether {unit} is ready: {error}"));
            }
            before = Some(unready);
        }
        tokio::time::sleep(if ready { POLL_READY } else { POLL_UNREADY }).await;
    }
}

/// Whether the charm's own container is ready: Juju's check there passes at first, fails when it
/// has failed three times, ten seconds apart, and passes once `start` has run.
fn charm_is_ready(engine: &Engine, unit: &UnitName, begun: Instant) -> bool {
    begun.elapsed() < CHARM_GRACE || engine.with(|state| !state.persisted.model.has_stopped(unit))
}

/// Says so when a volume of the pod takes no more.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn full_volume(engine: &Engine, pod: &Pod, volumes: &[String]) -> Option<String> {
    let full = |id: &&String| {
        let folder = engine.node.volume(pod.name(), &id.replace('/', "-")).ok();
        let disk = folder.and_then(|folder| rustix::fs::statvfs(folder).ok());
        disk.is_some_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < VOLUME_ROOM_MIN)
    };
    volumes.iter().find(full).map(|id| format!("the volume {id} is full"))
}

/// Looks at one container; whether it is ready, or nothing where this machine could not ask.
async fn look(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    pod: &Pod,
    boots: &mut BTreeMap<ContainerName, String>,
) -> Option<bool> {
    let unasked = |error: &(dyn std::error::Error + 'static)| files::is_own_shortage(error);
    let socket = match pod.socket(container.as_str(), notices::PEBBLE) {
        Ok(socket) => socket,
        Err(error) => return (!unasked(&error)).then_some(false),
    };
    let client = notices::client(socket.path());
    let info = match client.system_info().await {
        Ok(info) if notices::is_word(&info.boot_id) => info,
        // No Pebble says so.
        Ok(_) => return Some(false),
        Err(error) => return (!unasked(&error)).then_some(false),
    };
    if boots.get(container) != Some(&info.boot_id) {
        boots.insert(container.clone(), info.boot_id.clone());
        // Boots do not outlive the engine, so nothing goes to the disk.
        engine.with_wake(|state| {
            state.persisted.model.container_booted(unit, container, &info.boot_id)
        });
    }
    match client.is_healthy("ready").await {
        Ok(healthy) => Some(healthy),
        Err(error) => (!unasked(&error)).then_some(false),
    }
}
