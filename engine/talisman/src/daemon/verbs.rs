//! What the daemon does for each verb of the command line.

use std::sync::Arc;

use names::AppName;
use serde_json::{Value, json};

use super::engine::{Engine, Inner};
use super::{charms, secrets, view};
use crate::api::Request;
use crate::charm_file::CharmFileError;
use crate::images::ImagesError;

/// Why a verb was refused. The text is meant for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerbError {
    /// The model's rules refuse it.
    #[error("{0}")]
    Model(#[from] model::ModelError),
    /// The charm cannot be used.
    #[error("{0}")]
    Charm(#[from] CharmFileError),
    /// An image cannot be had.
    #[error("{0}")]
    Image(#[from] ImagesError),
    /// The store refuses the change.
    #[error("{0}")]
    Store(#[from] super::store::StoreError),
    /// A loopback port cannot be used.
    #[error("{0}")]
    Forward(#[from] node::NodeError),
    /// A name is not known.
    #[error("cannot find {what} {name:?}; the model has {known}")]
    Unknown { what: &'static str, name: String, known: String },
    /// A unit left while a command waited for its turn.
    #[error("cannot run the command on {0}: the unit went first")]
    ExecLost(names::UnitName),
    /// A resource of the charm has no image.
    #[error(
        "cannot deploy {app}: its container {container:?} needs the resource {resource:?}; add --resource {resource}=<image definition>"
    )]
    NoImage { app: AppName, container: String, resource: String },
    /// A resource's file cannot be taken.
    #[error("cannot take the resource {file}: {source}", file = file.display())]
    Resource { file: std::path::PathBuf, source: std::io::Error },
    /// A resource that the charm does not have.
    #[error("cannot deploy {app}: the charm has no resource {resource:?}; it has {known}")]
    NoResource { app: AppName, resource: String, known: String },
    /// The page's port cannot be had.
    #[error(
        "cannot serve the page on port {port} of 127.0.0.1: {source}; name another with --port"
    )]
    Page { port: u16, source: std::io::Error },
    /// The engine's own fault.
    #[error("cannot go on: {0}; see the engine's log")]
    Broken(String),
    /// A charm name that no application can have.
    #[error("cannot deploy: {0}")]
    Name(#[from] names::NameError),
}

/// The model's options.
const INTERVAL: &str = "update-status-hook-interval";
const RETRY: &str = "automatically-retry-hooks";

type Answer = Result<Value, VerbError>;

/// Answers one request.
pub(crate) async fn answer(engine: &Arc<Engine>, request: Request) -> Answer {
    if let Some(answer) = reading(engine, &request) {
        return answer;
    }
    let now = engine.now();
    match request {
        // Whoever asked may hang up; what was begun is brought to its end.
        Request::Deploy(deploy) => {
            ended(tokio::spawn(charms::deploy(engine.clone(), deploy))).await
        }
        Request::Refresh(refresh) => {
            ended(tokio::spawn(charms::refresh(engine.clone(), refresh))).await
        }
        Request::Page { port } => page(engine, port).await,
        Request::Forward { port, service, target } => {
            super::forwards::add(engine, port, &service, target).await
        }
        Request::Exec { unit, command } => {
            let ended = super::execs::queue(engine, &unit, &command)?.ended().await?;
            Ok(json!({
                "return-code": ended.code,
                "stdout": String::from_utf8_lossy(&ended.stdout),
                "stderr": String::from_utf8_lossy(&ended.stderr),
            }))
        }
        Request::EnterContainer { unit, container } => enter_container(engine, &unit, &container),
        Request::DeletePod { unit } => engine.change(|inner| {
            let model = &inner.kept.model;
            if model.unit(&unit).is_none() {
                let known = list(all_units(model));
                return Err(VerbError::Unknown { what: "unit", name: unit.to_string(), known });
            }
            super::replace::begin(inner, &unit);
            Ok(Value::Null)
        })?,
        Request::Down => {
            super::replace::farewell(engine).await;
            engine.stop();
            Ok(Value::Null)
        }
        command => engine.change(|inner| command_model(inner, command, now))?,
    }
}

/// The end of a verb that goes on by itself.
async fn ended(verb: tokio::task::JoinHandle<Answer>) -> Answer {
    match verb.await {
        Ok(answer) => answer,
        Err(error) => Err(VerbError::Broken(error.to_string())),
    }
}

/// The verbs that only look; `None` for the others.
fn reading(engine: &Engine, request: &Request) -> Option<Answer> {
    let now = engine.now();
    engine.look(|inner| {
        let model = &inner.kept.model;
        let unknown = |what, name: String, known| VerbError::Unknown { what, name, known };
        Some(match request {
            Request::Status => Ok(view::status(model, now)),
            Request::ShowUnit { unit } => view::show_unit(model, unit)
                .ok_or_else(|| unknown("unit", unit.to_string(), list(all_units(model)))),
            Request::GetConfig { app } => {
                model.application(app).map(view::config).ok_or_else(|| unknown_app(inner, app))
            }
            Request::Actions => Ok(Value::Array(model.actions().map(view::action).collect())),
            Request::Action { id } => model
                .action(*id)
                .map(view::action)
                .ok_or_else(|| unknown("action", id.to_string(), "others".to_owned())),
            Request::Log { after, limit } => Ok(json!(inner.log.after(*after, *limit))),
            Request::Measurements => Ok(inner.measurements.table()),
            Request::Secrets => Ok(secrets::all(model)),
            Request::ShowSecret { secret, reveal, revision } => {
                secrets::one(model, secret, *reveal, *revision)
            }
            Request::GetModelConfig => Ok(model_config(model)),
            _ => return None,
        })
    })
}

/// A time in the largest unit that fits, as people write it.
fn time(seconds: u64) -> String {
    match (seconds % 3600, seconds % 60) {
        (0, _) if seconds > 0 => format!("{}h", seconds / 3600),
        (_, 0) if seconds > 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// The model's options, with their sources.
fn model_config(model: &model::Model) -> Value {
    let seconds = model.update_status_interval();
    let retry = model.retries_hooks();
    let source = |default: bool| if default { "default" } else { "model" };
    json!({
        RETRY: {"Value": retry, "Source": source(retry)},
        INTERVAL: {
            "Value": time(seconds),
            "Source": source(seconds == model::UPDATE_STATUS_INTERVAL),
        },
    })
}

/// The verbs that are one call of the model.
fn command_model(inner: &mut Inner, request: Request, now: jiff::Timestamp) -> Answer {
    let model = &mut inner.kept.model;
    match request {
        Request::Integrate { a, b } => return Ok(json!(model.integrate(now, &a, &b)?)),
        Request::RemoveRelation { a, b } => drop(model.remove_relation(now, &a, &b)?),
        Request::RemoveApplication { app, force } => {
            model.remove_application(now, &app)?;
            if force {
                model.force_removal(now, &app);
            }
            super::charms::forget(inner);
        }
        Request::Scale { app, units } => model.scale(now, &app, units)?,
        Request::SetConfig { app, set, reset } => {
            model.set_config(now, &app, set)?;
            model.reset_config(now, &app, &reset)?;
        }
        Request::Trust { app, trusted } => model.set_trust(&app, trusted)?,
        Request::Run { unit, action, params } => {
            return Ok(json!(model.enqueue_action(now, &unit, &action, params)?));
        }
        Request::Resolve { unit, retry } => model.resolve(&unit, retry)?,
        Request::SetModelConfig { set } => model.set_model_config(now, set)?,
        Request::ScaleBy { app, units, force } => {
            let known = model.application(&app).map(|app| i64::from(app.scale));
            let wanted = known.unwrap_or(0).saturating_add(units).max(0);
            model.scale(now, &app, wanted.try_into().unwrap_or(u32::MAX))?;
            if force {
                model.force_removal(now, &app);
            }
        }
        Request::PutSecret { name, values, info, update } => {
            return Ok(secrets::put(model, now, &name, &values, info.as_deref(), update)?);
        }
        Request::GrantSecret { secret, apps, granted } => {
            for app in apps {
                model.grant_user_secret(&secret, &app, granted)?;
            }
        }
        Request::RemoveSecret { secret } => model.remove_user_secret(&secret)?,
        Request::Deploy(_)
        | Request::Refresh(_)
        | Request::Status
        | Request::ShowUnit { .. }
        | Request::GetConfig { .. }
        | Request::Action { .. }
        | Request::Actions
        | Request::Log { .. }
        | Request::Measurements
        | Request::Page { .. }
        | Request::Forward { .. }
        | Request::DeletePod { .. }
        | Request::EnterContainer { .. }
        | Request::Secrets
        | Request::ShowSecret { .. }
        | Request::GetModelConfig
        | Request::Exec { .. }
        | Request::Down => {}
    }
    Ok(Value::Null)
}

/// The page's URL; it is served from the first time that somebody asks.
async fn page(engine: &Arc<Engine>, port: u16) -> Answer {
    if let Some(url) = engine.look(|inner| inner.page.clone()) {
        return Ok(json!(url));
    }
    let served = super::page::serve(engine, port).await;
    let url = served.map_err(|source| VerbError::Page { port, source })?;
    engine.look(|inner| inner.page = Some(url.clone()));
    Ok(json!(url))
}

/// How the command line enters a container that runs.
fn enter_container(engine: &Engine, unit: &names::UnitName, container: &str) -> Answer {
    let pod = engine.node.pod(&unit.pod()).ok_or_else(|| VerbError::Unknown {
        what: "running unit",
        name: unit.to_string(),
        known: engine.look(|inner| list(all_units(&inner.kept.model))),
    })?;
    pod.enter(container).map(|way| json!(way)).map_err(|_| VerbError::Unknown {
        what: "running container",
        name: container.to_owned(),
        known: list(pod.containers()),
    })
}

/// Every unit of the model.
pub(crate) fn all_units(model: &model::Model) -> Vec<names::UnitName> {
    let units = model.applications().flat_map(|app| model.units(&app.name));
    units.map(|unit| unit.name.clone()).collect()
}

fn unknown_app(inner: &Inner, app: &AppName) -> VerbError {
    VerbError::Unknown {
        what: "application",
        name: app.to_string(),
        known: list(inner.kept.model.applications().map(|app| &app.name)),
    }
}

/// Names for a message; `nothing` when there are none.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
