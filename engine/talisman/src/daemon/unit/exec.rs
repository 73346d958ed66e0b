//! Commands that were asked for from outside a hook: `juju-exec`, and the verb `exec`.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use juju_hooktools::wire::Response;
use juju_model::{HookOutcome, ModelError};
use juju_names::UnitName;
use tokio::sync::oneshot;

use crate::daemon::commands::Waiting;
use crate::daemon::engine::Engine;
use crate::daemon::error::RequestError;
use crate::daemon::state::State;

/// A command in its unit's queue.
pub(crate) struct Queued {
    unit: UnitName,
    answered: oneshot::Receiver<Response>,
    /// When its turn came.
    pub(crate) started: Arc<OnceLock<Timestamp>>,
}

/// Queues a shell command for a hook context of the unit.
///
/// A queue does not outlive the engine, so nothing goes to the disk: who queues commands without
/// end, or is refused without end, holds up no other unit.
///
/// # Errors
/// When there is no such unit, or its queue is full.
pub(crate) fn queue(engine: &Engine, unit: &UnitName, command: &str) -> Result<Queued, ModelError> {
    let (answer, answered) = oneshot::channel();
    let started = Arc::new(OnceLock::new());
    engine.with(|state| {
        let id = state.persisted.model.enqueue_exec(unit, command)?;
        let (stdout, stderr) = (Vec::new(), Vec::new());
        let (unit, started) = (unit.clone(), started.clone());
        let overflown = false;
        state.execs.insert(id, Waiting { unit, answer, started, stdout, stderr, overflown });
        Ok::<_, ModelError>(())
    })?;
    engine.wake();
    Ok(Queued { unit: unit.clone(), answered, started })
}

impl Queued {
    /// Waits until the command has ended.
    ///
    /// # Errors
    /// When the unit went before the command's turn came.
    pub(crate) async fn ended(self) -> Result<Response, RequestError> {
        self.answered.await.map_err(|_| RequestError::ExecLost(self.unit))
    }
}

/// Notes that the turn of a command has come.
pub(crate) fn begun(state: &mut State, id: u64, now: Timestamp) {
    if let Some(waiting) = state.execs.get(&id) {
        waiting.started.get_or_init(|| now);
    }
}

/// Adds output of a command that runs.
pub(crate) fn output(state: &mut State, id: u64, stdout: &[u8], stderr: &[u8]) {
    if let Some(waiting) = state.execs.get_mut(&id) {
        let kept = waiting.stdout.len() + waiting.stderr.len();
        waiting.overflown |= kept + stdout.len() + stderr.len() > juju_model::DOCUMENT_MAX;
        if waiting.overflown {
            return;
        }
        waiting.stdout.extend_from_slice(stdout);
        waiting.stderr.extend_from_slice(stderr);
    }
}

/// Answers the client that waits for a command that has ended; `refused` says why its writes were
/// not taken.
pub(crate) fn ended(state: &mut State, id: u64, outcome: HookOutcome, refused: Option<String>) {
    let Some(mut waiting) = state.execs.remove(&id) else { return };
    let code = match outcome {
        HookOutcome::Exited(code) => code,
        HookOutcome::Killed | HookOutcome::NotImplemented => 1,
    };
    let overflown = waiting.overflown.then(|| {
        format!("cannot keep all output: at most {} bytes are kept", juju_model::DOCUMENT_MAX)
    });
    let refused = refused.or(overflown);
    let code = u8::try_from(code).unwrap_or(1).max(u8::from(refused.is_some()));
    if let Some(reason) = refused {
        waiting.stderr.extend_from_slice(format!("ERROR {reason}\n").as_bytes());
    }
    let Waiting { answer, stdout, stderr, .. } = waiting;
    // Who has hung up does not want the answer.
    answer.send(Response { code, stdout, stderr }).ok();
}

/// Answers the clients that wait for a unit that is gone.
pub(crate) fn forget(state: &mut State, unit: &UnitName) {
    state.execs.retain(|_, waiting| waiting.unit != *unit);
}
