//! Requests that change the model.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_model::{Model, ModelError, SecretUpdate};
use juju_names::{AppName, RelationId, SecretId, UnitName};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::api::Change;
use crate::bundle::constraints::with_models;

/// Changes the model.
pub(crate) fn change(model: &mut Model, change: Change, now: Timestamp) -> Answer {
    match change {
        Change::Integrate { a, b } => return Ok(json!(model.integrate(now, &a, &b)?)),
        Change::RemoveRelation { a, b, force } => {
            let id = model.remove_relation(now, &a, &b)?;
            if force {
                model.force_relation(now, id);
            }
        }
        Change::RemoveRelationById { id, force } => {
            model.remove_relation_by_id(now, RelationId(id))?;
            if force {
                model.force_relation(now, RelationId(id));
            }
        }
        Change::RemoveApplication { app, force, wait } => {
            remove_application(model, now, &app, force, wait)?;
        }
        Change::Scale { app, units } => model.scale(now, &app, units)?,
        Change::SetConfig { app, set, reset } => {
            model.set_config(now, &app, set)?;
            model.reset_config(now, &app, &reset)?;
        }
        Change::Trust { app, trusted } => model.set_trust(&app, trusted)?,
        Change::Run { units, action, params } => {
            return Ok(run(model, now, &units, &action, &params));
        }
        Change::CancelTask { id } => model.cancel_action(now, id)?,
        Change::Expose { app, exposed } => model.set_exposed(&app, exposed)?,
        Change::Resolve { unit, retry } => model.resolve(&unit, retry)?,
        Change::ResolveAll { retry } => model.resolve_all(retry),
        Change::SetModelConfig { set, reset } => {
            model.set_model_config(now, set)?;
            model.forget_model_config(&reset);
        }
        Change::SetConstraints { app, constraints } => {
            let constraints = with_models(constraints, model.model_constraints());
            model.set_constraints(&app, constraints)?;
        }
        Change::SetModelConstraints { words } => model.set_model_constraints(words),
        Change::ScaleBy { app, units, force } => {
            return Ok(json!(scale_by(model, now, &app, units, force)?));
        }
        Change::AddSecret { secret, values, info } => {
            return Ok(json!(add_secret(model, now, &secret, &values, info.as_deref())?));
        }
        Change::UpdateSecret { secret, values, name, info, auto_prune } => {
            let content = Some(&values).filter(|values| !values.is_empty());
            let (name, description) = (name.as_deref(), info.as_deref());
            let update = SecretUpdate { content, name, description, auto_prune };
            model.update_secret(now, &secret, update)?;
        }
        Change::GrantSecret { secret, apps, granted } => {
            for app in apps {
                model.grant_user_secret(&secret, &app, granted)?;
            }
        }
        Change::RemoveSecret { secret, revision } => {
            model.remove_user_secret(&secret, revision)?;
        }
    }
    Ok(Value::Null)
}

fn remove_application(
    model: &mut Model,
    now: Timestamp,
    app: &AppName,
    force: bool,
    wait: bool,
) -> Result<(), ModelError> {
    model.remove_application(now, app)?;
    if force {
        model.force_removal(now, app);
    }
    if !wait {
        model.rush_removal(app);
    }
    Ok(())
}

/// Adds a secret with its description, and gives its id.
fn add_secret(
    model: &mut Model,
    now: Timestamp,
    secret: &str,
    values: &BTreeMap<String, String>,
    description: Option<&str>,
) -> Result<SecretId, ModelError> {
    model.add_secret(now, secret, values)?;
    model.update_secret(now, secret, SecretUpdate { description, ..SecretUpdate::default() })
}

/// Adds units or removes some, and gives how many are wanted then.
fn scale_by(
    model: &mut Model,
    now: Timestamp,
    app: &AppName,
    units: i64,
    force: bool,
) -> Result<u32, ModelError> {
    let known = model.application(app).map_or(0, |app| app.scale);
    let wanted = i64::from(known).saturating_add(units);
    let wanted = u32::try_from(wanted)
        .map_err(|_| ModelError::Scale(format!("{app:?} has {known} units, and not that many")))?;
    model.scale(now, app, wanted)?;
    if force {
        model.force_removal(now, app);
    }
    Ok(wanted)
}

/// Queues an action on each unit, as the tasks of one operation. A unit that cannot take it says
/// why in its task's place: the others go on.
fn run(
    model: &mut Model,
    now: Timestamp,
    units: &[UnitName],
    action: &str,
    params: &Map<String, Value>,
) -> Value {
    let operation = model.begin_operation();
    let mut tasks = Vec::new();
    for unit in units {
        tasks.push(match model.enqueue_action(now, unit, action, params.clone()) {
            Ok(id) => {
                model.join_operation(id, operation);
                json!({"unit": unit, "id": id.to_string()})
            }
            Err(error) => json!({"unit": unit, "error": error.to_string()}),
        });
    }
    json!({"operation": operation.to_string(), "tasks": tasks})
}
