//! Commands that were asked for from outside a hook: `juju-exec`, and the verb `exec`.

use hooktools::wire::Response;
use model::{HookOutcome, ModelError};
use names::UnitName;
use tokio::sync::oneshot;

use super::engine::{Engine, Inner};
use super::verbs::VerbError;

/// A command that somebody waits for.
pub(crate) struct Waiting {
    unit: UnitName,
    answer: oneshot::Sender<Response>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// It printed more than is kept.
    overflown: bool,
}

/// A command in its unit's queue.
pub(crate) struct Queued {
    unit: UnitName,
    answered: oneshot::Receiver<Response>,
}

/// Queues a shell command for a hook context of the unit.
///
/// A queue does not outlive the engine, so nothing goes to the disk: who queues commands without
/// end, or is refused without end, holds up nobody else.
///
/// # Errors
/// When there is no such unit, or its queue is full.
pub(crate) fn queue(engine: &Engine, unit: &UnitName, command: &str) -> Result<Queued, ModelError> {
    let (answer, answered) = oneshot::channel();
    engine.look(|inner| {
        let id = inner.kept.model.enqueue_exec(unit, command)?;
        let (stdout, stderr) = (Vec::new(), Vec::new());
        let unit = unit.clone();
        inner.execs.insert(id, Waiting { unit, answer, stdout, stderr, overflown: false });
        Ok::<_, ModelError>(())
    })?;
    engine.wake();
    Ok(Queued { unit: unit.clone(), answered })
}

impl Queued {
    /// Waits until the command has ended.
    ///
    /// # Errors
    /// When the unit went before the command's turn came.
    pub(crate) async fn ended(self) -> Result<Response, VerbError> {
        self.answered.await.map_err(|_| VerbError::ExecLost(self.unit))
    }
}

/// Adds output of a command that runs.
pub(crate) fn output(inner: &mut Inner, id: u64, stdout: &[u8], stderr: &[u8]) {
    if let Some(waiting) = inner.execs.get_mut(&id) {
        let kept = waiting.stdout.len() + waiting.stderr.len();
        waiting.overflown |= kept + stdout.len() + stderr.len() > model::DOCUMENT_MAX;
        if waiting.overflown {
            return;
        }
        waiting.stdout.extend_from_slice(stdout);
        waiting.stderr.extend_from_slice(stderr);
    }
}

/// Answers whoever waits for a command that has ended; `refused` says why its writes were not
/// taken.
pub(crate) fn ended(inner: &mut Inner, id: u64, outcome: HookOutcome, refused: Option<String>) {
    let Some(mut waiting) = inner.execs.remove(&id) else { return };
    let code = match outcome {
        HookOutcome::Exited(code) => code,
        HookOutcome::Killed | HookOutcome::NotImplemented => 1,
    };
    let overflown = waiting
        .overflown
        .then(|| format!("cannot keep all output: at most {} bytes are kept", model::DOCUMENT_MAX));
    let refused = refused.or(overflown);
    let code = u8::try_from(code).unwrap_or(1).max(u8::from(refused.is_some()));
    if let Some(reason) = refused {
        waiting.stderr.extend_from_slice(format!("ERROR {reason}\n").as_bytes());
    }
    let Waiting { answer, stdout, stderr, .. } = waiting;
    // Who has hung up does not want the answer.
    answer.send(Response { code, stdout, stderr }).ok();
}

/// Lets go of whoever waits for a unit that is gone.
pub(crate) fn forget(inner: &mut Inner, unit: &UnitName) {
    inner.execs.retain(|_, waiting| waiting.unit != *unit);
}
