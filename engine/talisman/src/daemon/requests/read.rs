//! Requests that only look: at the model, and at what the engine remembers of it.

use jiff::Timestamp;
use juju_model::Model;
use juju_names::AppName;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::api::Read;
use crate::daemon::error::{RequestError, list, unknown_app};
use crate::daemon::state::{Seen, all_units};
use crate::daemon::view;
use crate::daemon::view::secret;
use crate::model_options::{self, ACTED_ON, OPTIONS};

/// Answers a request that only looks.
pub(crate) fn answer(seen: &Seen<'_>, read: Read, now: Timestamp) -> Answer {
    let model = seen.model;
    let unknown = |what, name: String, known| RequestError::Unknown { what, name, known };
    let of_app = |app: &AppName, view: &dyn Fn(&juju_model::Application) -> Value| {
        model.application(app).map(view).ok_or_else(|| unknown_app(model, app))
    };
    match read {
        Read::Log { after, limit } => Ok(json!(seen.log.after(after, limit))),
        Read::Measurements => Ok(seen.measurements.table()),
        Read::StatusLog { name, kind } => Ok(json!(seen.history.of(&name, &kind))),
        Read::Status => Ok(view::status(model, now)),
        Read::ShowModel => Ok(json!({
            "name": model.name(),
            "uuid": model.uuid(),
            "version": model.juju().rules().version,
            "since": view::since(model, now),
        })),
        Read::ShowUnit { unit } => view::show_unit(model, &unit)
            .ok_or_else(|| unknown("unit", unit.to_string(), list(all_units(model)))),
        Read::ShowApplication { app } => of_app(&app, &view::show_application),
        Read::GetConfig { app } => of_app(&app, &view::config),
        Read::CharmActions { app } => of_app(&app, &view::actions),
        Read::Resources { app } => of_app(&app, &|app| Value::Array(view::resources(model, app))),
        Read::Storage => Ok(view::storage(model, false)),
        Read::Actions => Ok(model.actions().map(view::action).chain(seen.commands.all()).collect()),
        Read::Action { id } => model
            .action(id)
            .map(view::action)
            .or_else(|| seen.commands.one(id))
            .ok_or_else(|| unknown("task", id.to_string(), "others".to_owned())),
        Read::Secrets => Ok(secret::all(model)),
        Read::ShowSecret { secret, reveal, revision } => {
            secret::one(model, &secret, reveal, revision)
        }
        Read::Constraints { app } => constraints(model, app.as_ref()),
        Read::GetModelConfig => Ok(model_config(model)),
    }
}

/// A time in the largest unit that fits, as people write it.
fn time(seconds: u64) -> String {
    match (seconds % 3600, seconds % 60) {
        (0, _) if seconds > 0 => format!("{}h", seconds / 3600),
        (_, 0) if seconds > 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// The model's options with their sources: all that Juju knows, and what else was set.
fn model_config(model: &Model) -> Value {
    let [retry, interval] = ACTED_ON;
    let mut set = model.other_options().clone();
    if !model.retries_hooks() {
        set.insert(retry.to_owned(), "false".to_owned());
    }
    if model.update_status_interval() != juju_model::UPDATE_STATUS_INTERVAL {
        set.insert(interval.to_owned(), time(model.update_status_interval()));
    }
    let mut shown = Map::new();
    for (name, _, default) in OPTIONS {
        let value = model_options::typed(name, default);
        shown.insert((*name).to_owned(), json!({"Value": value, "Source": "default"}));
    }
    for (name, text) in set {
        let value = model_options::typed(&name, &text);
        shown.insert(name, json!({"Value": value, "Source": "model"}));
    }
    Value::Object(shown)
}

/// Constraints by key: an application's own, or the model's.
fn constraints(model: &Model, app: Option<&AppName>) -> Result<Value, RequestError> {
    let Some(app) = app else { return Ok(json!(model.model_constraints())) };
    let app = model.application(app).ok_or_else(|| unknown_app(model, app))?;
    let words = crate::bundle::constraints::words(&app.constraints).into_iter();
    Ok(words.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into())
}

/// The same where there is nothing but a model.
#[cfg(test)]
pub(crate) fn answer_of(model: &Model, read: Read, now: Timestamp) -> Answer {
    let (commands, log, history, measurements) = Default::default();
    let seen = Seen {
        model,
        commands: &commands,
        log: &log,
        history: &history,
        measurements: &measurements,
    };
    answer(&seen, read, now)
}
