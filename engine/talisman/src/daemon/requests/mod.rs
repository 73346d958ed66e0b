//! What the daemon does for each request of the command line.

pub(crate) mod change;
pub(crate) mod read;
mod task;

use std::sync::Arc;

use serde_json::Value;

use crate::api::Request;
use crate::daemon::charms;
use crate::daemon::engine::Engine;
use crate::daemon::error::RequestError;

/// What a request gives.
pub(crate) type Answer = Result<Value, RequestError>;

/// Answers one request.
pub(crate) async fn answer(engine: &Arc<Engine>, request: Request) -> Answer {
    let now = engine.now();
    match request {
        Request::Read(read) => engine.with(|state| read::answer(&state.seen(), read, now)),
        Request::Change(change) => engine.commit(|state| {
            let answer = change::change(&mut state.persisted.model, change, now);
            charms::forget(state);
            answer
        })?,
        Request::Task(task) => task::perform(engine, task).await,
    }
}
