//! The shape of a charm: gather, decide, apply.

use std::future::Future;

use crate::{Context, Event, Reader, Status};

/// A charm.
///
/// The framework calls the three phases once for every deferred event that is due, but once for
/// those that lack the same, then once for the new event, and reports the status afterwards.
pub trait Charm {
    /// Everything one decision needs to know about the world.
    type Facts;
    /// One outside effect. Effects are applied in the order of [`Decision::effects`].
    type Effect;
    /// What stops a hook: it is logged as an error and Juju retries the whole hook.
    type Error: std::error::Error;

    /// Reads everything: bags, secrets, configuration, the workload. It cannot write, and
    /// what later hooks need not read again the reader remembers itself.
    ///
    /// # Errors
    /// When the world cannot be read and waiting would not help.
    fn gather(
        &mut self,
        juju: &mut Reader,
        event: &Event,
    ) -> impl Future<Output = Result<Self::Facts, Self::Error>>;

    /// Pure: no I/O, no clock, no randomness.
    fn decide(event: &Event, facts: &Self::Facts) -> Decision<Self::Effect>;

    /// Makes one effect true; applying it twice is the same as once.
    ///
    /// # Errors
    /// When the hook has to fail; Juju then drops every buffered write and retries.
    fn apply(
        &mut self,
        hook: &mut Context,
        effect: Self::Effect,
    ) -> impl Future<Output = Result<Applied, Self::Error>>;
}

/// What to do: effects in order, the statuses to report, and whether the event is done.
///
/// A status without effects is a whole decision: it says what is missing, and the event that
/// brings it decides anew. Defer only what no event will announce.
///
/// ```
/// # use juju_charm::{Decision, Outcome, Status};
/// let decision: Decision<&str> = Decision::new()
///     .effect("write the configuration")
///     .status(Status::waiting("for the backend"))
///     .defer("no backend yet");
/// assert_eq!(decision.outcome, Outcome::Defer("no backend yet".to_owned()));
/// ```
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<E> {
    /// Outside effects, first to last.
    pub effects: Vec<E>,
    /// The unit's status to report, or `None` to leave it as it is.
    pub status: Option<Status>,
    /// The application's status to report; only the leader may set one.
    pub app_status: Option<Status>,
    /// Whether the event has been dealt with.
    pub outcome: Outcome,
}

/// Whether an event has been dealt with.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing remains to be done for this event.
    Done,
    /// Try again before the next event; the text says what is missing.
    Defer(String),
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Decision<E> {
    /// Nothing to do, no status, done.
    pub fn new() -> Self {
        Self { effects: Vec::new(), status: None, app_status: None, outcome: Outcome::Done }
    }

    /// Adds one effect at the end.
    pub fn effect(mut self, effect: impl Into<E>) -> Self {
        self.effects.push(effect.into());
        self
    }

    /// Adds effects at the end.
    pub fn effects(mut self, effects: impl IntoIterator<Item: Into<E>>) -> Self {
        self.effects.extend(effects.into_iter().map(Into::into));
        self
    }

    /// The same decision with every effect in another shape.
    pub fn map<F>(self, shape: impl FnMut(E) -> F) -> Decision<F> {
        Decision {
            effects: self.effects.into_iter().map(shape).collect(),
            status: self.status,
            app_status: self.app_status,
            outcome: self.outcome,
        }
    }

    /// Reports this unit status.
    pub fn status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// Reports this application status; give one on the leader only.
    pub fn app_status(mut self, status: Status) -> Self {
        self.app_status = Some(status);
        self
    }

    /// Defers the event until what `reason` says is there.
    ///
    /// The reason names the thing, not the event: of the deferred events with the same reason
    /// only the first is tried while that one still lacks it and has nothing to apply.
    pub fn defer(mut self, reason: impl Into<String>) -> Self {
        self.outcome = Outcome::Defer(reason.into());
        self
    }
}

/// How applying one effect went.
///
/// | | the effects behind it | the event | the status |
/// | --- | --- | --- | --- |
/// | [`Done`](Self::Done) | go on | is done | as decided |
/// | [`Rerun`](Self::Rerun) | go on, then all anew | is done | as decided anew |
/// | [`Status`](Self::Status) | go on | is done | this one |
/// | [`Later`](Self::Later) | go on | is tried again | this one |
/// | [`Stop`](Self::Stop) | are left out | is done | this one |
/// | [`Defer`](Self::Defer) | are left out | is tried again | this one, if any |
///
/// Of several statuses the worst is shown. An error is none of these: it fails the hook, of which
/// nothing is written, and Juju retries it.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The effect is true now; go on with the next.
    Done,
    /// Go on with the next; then gather and decide once more, because this effect made
    /// something known. It happens once per event: reads are cached, so it is cheap.
    Rerun,
    /// Go on with the next, and report the worst of these statuses; it takes the place
    /// of [`Decision::status`].
    Status(Status),
    /// Go on with the next, and try the event again before the next one: the failure does not
    /// concern the others.
    Later {
        /// What is missing.
        reason: String,
        /// What is reported as by [`Applied::Status`].
        status: Status,
    },
    /// Skip the remaining effects and report this status. The event is not deferred.
    Stop(Status),
    /// Skip the remaining effects and try the event again before the next one.
    Defer {
        /// What is missing.
        reason: String,
        /// The status to report in place of [`Decision::status`].
        status: Option<Status>,
    },
}

impl Applied {
    /// Defers the event and leaves the status to the decision.
    pub fn defer(reason: impl Into<String>) -> Self {
        Self::Defer { reason: reason.into(), status: None }
    }
}
