//! Watching a unit's containers as Juju's agent does: boots of Pebble, notices, room in volumes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use juju_model::PodProblem;
use juju_names::{ContainerName, UnitName};
use node::Pod;

use crate::daemon::engine::Engine;
use crate::daemon::unit::notices;
use crate::daemon::unit::pod_stop;

/// Between two looks at a pod of which a Pebble does not answer.
const POLL_SILENT: Duration = Duration::from_millis(200);
/// Between two looks at a pod whose Pebbles answer.
const POLL: Duration = Duration::from_secs(2);

/// A volume with less room, in bytes, counts as full.
const VOLUME_ROOM_MIN: u64 = 1 << 20;

/// Looks at the unit's containers until the task is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, unit: UnitName, pod: Pod) {
    let (containers, volumes) = engine.with(|state| {
        let model = &state.persisted.model;
        let owned = model.storage().filter(|one| one.owner.as_ref() == Some(&unit));
        let volumes: Vec<String> = owned.map(|one| one.id.clone()).collect();
        let containers: Vec<ContainerName> = model
            .application(unit.app())
            .map(|app| app.charm.containers.keys().cloned().collect())
            .unwrap_or_default();
        (containers, volumes)
    });
    let follow =
        containers.iter().map(|container| notices::follow(&engine, &unit, container, &pod));
    let notices = futures_util::future::join_all(follow);
    tokio::join!(look_again(&engine, &unit, &pod, &containers, &volumes), notices);
}

async fn look_again(
    engine: &Engine,
    unit: &UnitName,
    pod: &Pod,
    containers: &[ContainerName],
    volumes: &[String],
) {
    let mut full = None;
    let mut boots = BTreeMap::new();
    loop {
        let mut silent = false;
        for container in containers {
            silent |= look(engine, unit, container, pod, &mut boots).await.is_none();
        }
        let now_full = offthread::run(|| full_volume(engine, pod, volumes));
        if now_full != full {
            full = now_full;
            pod_stop::show_problem(engine, unit, full.clone().map(PodProblem::Shortage));
        }
        tokio::time::sleep(if silent { POLL_SILENT } else { POLL }).await;
    }
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

/// Looks at one container, and notes a boot of its Pebble; nothing where none answers.
async fn look(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    pod: &Pod,
    boots: &mut BTreeMap<ContainerName, String>,
) -> Option<()> {
    let socket = pod.socket(container.as_str(), notices::PEBBLE).ok()?;
    let info = notices::client(socket.path()).system_info().await.ok()?;
    // No Pebble says more.
    let boot = Some(info.boot_id).filter(|boot| notices::is_word(boot))?;
    if boots.get(container) != Some(&boot) {
        boots.insert(container.clone(), boot.clone());
        // Boots do not outlive the engine, so nothing goes to the disk.
        engine.with_wake(|state| state.persisted.model.container_booted(unit, container, &boot));
    }
    Some(())
}
