//! Watching a unit's containers: boots, readiness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Trouble;
use names::{ContainerName, UnitName};
use node::Pod;

use super::engine::Engine;
use super::{agent, cluster, files, notices};

/// Between two looks at a pod that is not ready.
const LOOK_OFTEN: Duration = Duration::from_millis(200);
/// Between two looks at a pod that is ready.
const LOOK_SELDOM: Duration = Duration::from_secs(2);

/// A workload's Pebble listens here, in the folder that its container shares with the charm's.
pub(super) const PEBBLE: &str = "pebble.socket";

/// A volume with less room, in bytes, counts as full.
const VOLUME_ROOM_MIN: u64 = 1 << 20;

/// Looks at the unit's containers until the task is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, unit: UnitName, pod: Pod) {
    let (namespace, containers, volumes) = engine.look(|inner| {
        let model = &inner.kept.model;
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
    let mut full = None;
    let mut boots = BTreeMap::new();
    let mut was_ready = None;
    loop {
        let mut ready = true;
        for container in containers {
            // What cannot be asked for want of files is as it was.
            let before = was_ready.unwrap_or(false);
            ready &= look(engine, unit, container, pod, &mut boots).await.unwrap_or(before);
        }
        let now_full = offthread::run(|| full_volume(engine, pod, volumes));
        if now_full != full {
            full = now_full;
            agent::trouble(engine, unit, full.clone().map(Trouble::Shortage));
        }
        if was_ready != Some(ready) {
            was_ready = Some(ready);
            if let Err(error) = cluster::set_ready(&engine.cluster, namespace, unit, ready) {
                engine.note("WARNING", &format!("cannot say whether {unit} is ready: {error}"));
            }
        }
        tokio::time::sleep(if ready { LOOK_SELDOM } else { LOOK_OFTEN }).await;
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

/// Looks at one container; whether it is ready, or nothing where this machine could not ask.
async fn look(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    pod: &Pod,
    boots: &mut BTreeMap<ContainerName, String>,
) -> Option<bool> {
    let unasked = |error: &(dyn std::error::Error + 'static)| files::is_own_shortage(error);
    let socket = match pod.socket(container.as_str(), PEBBLE) {
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
        engine.pass(|inner| inner.kept.model.container_booted(unit, container, &info.boot_id));
    }
    match client.is_healthy("ready").await {
        Ok(healthy) => Some(healthy),
        Err(error) => (!unasked(&error)).then_some(false),
    }
}
