//! Requests that work with more than the model: files, images, containers, ports.

use std::sync::Arc;

use juju_names::UnitName;
use serde_json::{Value, json};

use super::Answer;
use crate::api::Task;
use crate::daemon::charms;
use crate::daemon::commands::{Command, End};
use crate::daemon::engine::Engine;
use crate::daemon::error::{RequestError, list};
use crate::daemon::kubernetes::forwards;
use crate::daemon::state::all_units;
use crate::daemon::unit::{exec, replace};

/// Carries out one task.
pub(super) async fn perform(engine: &Arc<Engine>, task: Task) -> Answer {
    match task {
        // The client may hang up; what was begun is completed.
        Task::Deploy(deploy) => tokio::spawn(charms::deploy(engine.clone(), deploy)).await?,
        Task::Refresh(refresh) => tokio::spawn(charms::refresh(engine.clone(), refresh)).await?,
        Task::ExportBundle => Ok(charms::export(engine).await),
        Task::Page { port } => page(engine, port).await,
        Task::Forward { port, service, target } => {
            forwards::add(engine, port, &service, target).await
        }
        Task::Exec { units, command } => Ok(run_command(engine, units, &command)),
        Task::EnterContainer { unit, container } => enter_container(engine, &unit, &container),
        Task::Down => {
            replace::run_stop_hooks(engine).await;
            engine.stop();
            Ok(Value::Null)
        }
    }
}

/// A shell command in a hook context of each unit: the tasks of one operation. A unit that
/// cannot take it says why in its task's place.
fn run_command(engine: &Arc<Engine>, units: Vec<UnitName>, command: &str) -> Value {
    let operation = engine.with(|state| state.persisted.model.begin_operation());
    let tasks = units.into_iter().map(|unit| match begin(engine, operation, &unit, command) {
        Ok(id) => json!({"unit": unit, "id": id.to_string()}),
        Err(error) => json!({"unit": unit, "error": error.to_string()}),
    });
    json!({"operation": operation.to_string(), "tasks": tasks.collect::<Vec<_>>()})
}

/// Queues a command on one unit; the answer is its number as a task.
fn begin(
    engine: &Arc<Engine>,
    operation: u64,
    unit: &UnitName,
    command: &str,
) -> Result<u64, RequestError> {
    let enqueued = engine.now();
    let queued = exec::queue(engine, unit, command)?;
    let id = engine.with(|state| {
        let id = state.persisted.model.begin_operation();
        let (unit, started) = (unit.clone(), queued.started.clone());
        let command = command.to_owned();
        let waiting = Command { operation, unit, command, enqueued, started, end: None };
        state.commands.add(id, waiting);
        id
    });
    let engine = engine.clone();
    tokio::spawn(async move {
        let end = match queued.ended().await {
            Ok(response) => End::Ran(response),
            Err(error) => End::Lost(error.to_string()),
        };
        let now = engine.now();
        engine.with(|state| state.commands.end(id, end, now));
    });
    Ok(id)
}

/// The page's URL; it is served from the first request on.
async fn page(engine: &Arc<Engine>, port: u16) -> Answer {
    if let Some(url) = engine.with(|state| state.page.clone()) {
        return Ok(json!(url));
    }
    let served = crate::daemon::page::serve(engine, port).await;
    let url = served.map_err(|source| RequestError::Page { port, source })?;
    engine.with(|state| state.page = Some(url.clone()));
    Ok(json!(url))
}

/// How the command line enters a container that runs.
fn enter_container(engine: &Engine, unit: &UnitName, container: &str) -> Answer {
    let pod = engine.node.pod(&unit.pod()).ok_or_else(|| RequestError::Unknown {
        what: "running unit",
        name: unit.to_string(),
        known: engine.with(|state| list(all_units(&state.persisted.model))),
    })?;
    pod.enter(container).map(|way| json!(way)).map_err(|_| RequestError::Unknown {
        what: "running container",
        name: container.to_owned(),
        known: list(pod.containers()),
    })
}
