//! Actions, as the verbs about operations and tasks show them.

use juju_model::Action;
use serde_json::{Value, json};

/// An action with its times as they are kept: who asks writes them as people read them.
pub(crate) fn action(action: &Action) -> Value {
    let log: Vec<Value> =
        action.log.iter().map(|line| json!({"at": line.at, "message": line.message})).collect();
    json!({
        "id": action.id.to_string(),
        "operation": action.operation.unwrap_or(action.id).to_string(),
        "unit": action.unit,
        "action": action.name,
        "parameters": action.params,
        "status": action.status,
        "message": action.message,
        "results": action.results,
        "log": log,
        "enqueued": action.enqueued,
        "started": action.started,
        "completed": action.completed,
    })
}
