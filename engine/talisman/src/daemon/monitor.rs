//! Watching a unit's containers: boots, readiness.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use names::{ContainerName, UnitName};
use node::Pod;

use super::cluster;
use super::engine::Engine;

/// Between two looks at a pod that is not ready.
const LOOK_OFTEN: Duration = Duration::from_millis(200);
/// Between two looks at a pod that is ready.
const LOOK_SELDOM: Duration = Duration::from_secs(2);

/// Looks at the unit's containers until the task is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, unit: UnitName, pod: Pod) {
    let (namespace, containers) = engine.look(|inner| {
        let model = &inner.kept.model;
        let containers: Vec<ContainerName> = model
            .application(unit.app())
            .map(|app| app.charm.containers.keys().cloned().collect())
            .unwrap_or_default();
        (model.name().to_string(), containers)
    });
    let follow = containers.iter().map(|container| {
        let socket = pod.shared_dir(container.as_str()).join("pebble.socket");
        super::notices::follow(&engine, &unit, container, socket)
    });
    let notices = futures_util::future::join_all(follow);
    tokio::join!(look_again(&engine, &unit, &pod, &namespace, &containers), notices);
}

async fn look_again(
    engine: &Engine,
    unit: &UnitName,
    pod: &Pod,
    namespace: &str,
    containers: &[ContainerName],
) {
    let mut boots = BTreeMap::new();
    let mut was_ready = None;
    loop {
        let mut ready = true;
        for container in containers {
            let socket = pod.shared_dir(container.as_str()).join("pebble.socket");
            ready &= look(engine, unit, container, socket, &mut boots).await;
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

/// Looks at one container; whether it is ready.
async fn look(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    socket: PathBuf,
    boots: &mut BTreeMap<ContainerName, String>,
) -> bool {
    let client = pebble::Client::new(socket);
    let Ok(info) = client.system_info().await else { return false };
    if boots.get(container) != Some(&info.boot_id) {
        boots.insert(container.clone(), info.boot_id.clone());
        let booted = engine
            .change(|inner| inner.kept.model.container_booted(unit, container, &info.boot_id));
        if let Err(error) = booted {
            engine.note("ERROR", &format!("cannot note that {container} booted: {error}"));
        }
    }
    client.is_healthy("ready").await.unwrap_or(false)
}
