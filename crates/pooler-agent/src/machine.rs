//! When clients are held and when they are let go: a function of what was observed, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run of a PostgreSQL server: the time at which it was started, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance(pub String);

/// How the session with the primary ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The server ended it (SQLSTATE 57P01): its stop is prepared or has begun.
    Terminated,
    /// It broke: the server crashed, or the way to it did.
    Lost,
}

/// What the agent knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No primary is known; clients fare as without an agent.
    Searching,
    /// A session with this primary is open.
    Following(Instance),
    /// PgBouncer is paused until a primary is seen.
    Holding(Hold),
}

/// One pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it began, in the agent's time.
    pub since: Duration,
    /// The primary that was followed.
    pub last: Instance,
    /// How the session with it ended.
    pub cause: Cause,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A server that is not in recovery and takes writes.
    Primary(Instance),
    /// None that answers, or one that is in recovery.
    NoPrimary,
    /// The session with the primary ended.
    Ended(Cause),
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Pause every process.
    Hold(Hold),
    /// Resume every process.
    Release(Reason),
}

/// What is done to hold clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldStep {
    /// The pause is written down, for the agent after this one.
    WriteDown,
    /// The process starts that resumes when the longest pause is over.
    StartLease,
    /// Every PgBouncer process is paused.
    Pause,
}

impl HoldStep {
    /// In this order: wherever the agent dies, what outlives it ends the pause.
    pub const ORDER: [Self; 3] = [Self::WriteDown, Self::StartLease, Self::Pause];
}

/// What is done to let clients go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseStep {
    /// Every PgBouncer process is resumed.
    Resume,
    /// The process that would have ended the pause ends.
    EndLease,
    /// The pause is written down no more.
    Forget,
}

impl ReleaseStep {
    /// In this order, and no further than to a process that cannot be resumed.
    pub const ORDER: [Self; 3] = [Self::Resume, Self::EndLease, Self::Forget];
}

/// Whether a lease still has to end the pause that is written down: only the one that it was
/// started for, which has begun at `since`.
pub fn is_leased(written: Option<&Hold>, since: Duration) -> bool {
    written.is_some_and(|hold| hold.since.as_millis() == since.as_millis())
}

/// Why clients are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Another primary serves, or the old one was started again.
    NewPrimary,
    /// The old primary serves on: no stop followed.
    SamePrimary,
    /// The longest pause is over.
    Deadline,
}

/// How long clients may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In all; below the clients' own `query_wait_timeout` and `client_login_timeout`.
    pub total: Duration,
    /// After the server ended the session, while it serves on: its stop may still wait for
    /// transactions.
    pub unstopped: Duration,
    /// After the session broke, while the server serves on.
    pub unbroken: Duration,
}

impl Bounds {
    /// Those that follow from the longest pause and the pause without a stop.
    pub fn new(total: Duration, unstopped: Duration) -> Self {
        let unbroken = Duration::from_secs(1);
        Self { total, unstopped: unstopped.min(total), unbroken: unbroken.min(total) }
    }

    /// How long the same primary may serve on before clients are let go to it again.
    fn patience(&self, cause: Cause) -> Duration {
        match cause {
            Cause::Terminated => self.unstopped,
            Cause::Lost => self.unbroken,
        }
    }
}

/// The next phase, and what is to be done on the way to it.
///
/// Clients are let go only to a primary that the agent has seen itself, or when a bound is over.
pub fn next(
    phase: Phase,
    observation: Observation,
    now: Duration,
    bounds: &Bounds,
) -> (Phase, Option<Command>) {
    match (phase, observation) {
        (Phase::Searching, Observation::Primary(instance)) => (Phase::Following(instance), None),
        (Phase::Following(last), Observation::Ended(cause)) => {
            let hold = Hold { since: now, last, cause };
            (Phase::Holding(hold.clone()), Some(Command::Hold(hold)))
        }
        (Phase::Holding(hold), observation) => holding(hold, observation, now, bounds),
        (phase @ (Phase::Searching | Phase::Following(_)), _) => (phase, None),
    }
}

fn holding(
    hold: Hold,
    observation: Observation,
    now: Duration,
    bounds: &Bounds,
) -> (Phase, Option<Command>) {
    let held = now.saturating_sub(hold.since);
    match observation {
        Observation::Primary(instance) if instance != hold.last => {
            (Phase::Following(instance), Some(Command::Release(Reason::NewPrimary)))
        }
        Observation::Primary(instance) if held >= bounds.patience(hold.cause) => {
            (Phase::Following(instance), Some(Command::Release(Reason::SamePrimary)))
        }
        _ if held >= bounds.total => (Phase::Searching, Some(Command::Release(Reason::Deadline))),
        _ => (Phase::Holding(hold), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        total: Duration::from_secs(45),
        unstopped: Duration::from_secs(6),
        unbroken: Duration::from_secs(1),
    };

    fn instance(name: &str) -> Instance {
        Instance(name.to_owned())
    }

    fn hold(cause: Cause) -> Hold {
        Hold { since: Duration::from_secs(100), last: instance("a"), cause }
    }

    #[track_caller]
    fn check(cause: Cause, seen: Observation, after: f64, expected: Option<Reason>) {
        let now = Duration::from_secs(100) + Duration::from_secs_f64(after);
        let (phase, command) = next(Phase::Holding(hold(cause)), seen, now, &BOUNDS);
        assert_eq!(command, expected.map(Command::Release));
        assert_eq!(matches!(phase, Phase::Holding(_)), expected.is_none());
    }

    #[test]
    fn clients_are_let_go_to_a_primary_that_was_seen() {
        let primary = |name| Observation::Primary(instance(name));
        let (terminated, lost) = (Cause::Terminated, Cause::Lost);
        check(terminated, primary("b"), 0.1, Some(Reason::NewPrimary));
        check(lost, primary("b"), 0.1, Some(Reason::NewPrimary));
        check(terminated, primary("a"), 5.9, None);
        check(terminated, primary("a"), 6.0, Some(Reason::SamePrimary));
        check(lost, primary("a"), 0.9, None);
        check(lost, primary("a"), 1.0, Some(Reason::SamePrimary));
        check(terminated, Observation::NoPrimary, 44.9, None);
        check(terminated, Observation::NoPrimary, 45.0, Some(Reason::Deadline));
        check(lost, Observation::NoPrimary, 45.0, Some(Reason::Deadline));
    }

    #[test]
    fn the_end_of_the_session_holds_clients() {
        for cause in [Cause::Terminated, Cause::Lost] {
            let (now, seen) = (Duration::from_secs(100), Observation::Ended(cause));
            let (phase, command) = next(Phase::Following(instance("a")), seen, now, &BOUNDS);
            assert_eq!(phase, Phase::Holding(hold(cause)));
            assert_eq!(command, Some(Command::Hold(hold(cause))));
        }
    }

    #[test]
    fn nobody_is_held_before_a_primary_was_seen() {
        for seen in [Observation::NoPrimary, Observation::Ended(Cause::Lost)] {
            let (phase, command) = next(Phase::Searching, seen, Duration::ZERO, &BOUNDS);
            assert_eq!((phase, command), (Phase::Searching, None));
        }
    }

    fn observations() -> impl Strategy<Value = Vec<(u64, Observation)>> {
        let one = prop_oneof![
            "[ab]".prop_map(|name| Observation::Primary(Instance(name))),
            Just(Observation::NoPrimary),
            Just(Observation::Ended(Cause::Terminated)),
            Just(Observation::Ended(Cause::Lost)),
        ];
        proptest::collection::vec((0..2_000_u64, one), 1..200)
    }

    proptest! {
        #[test]
        fn a_pause_ends_in_time_and_pauses_alternate_with_releases(seen in observations()) {
            let (mut now, mut phase) = (Duration::ZERO, Phase::Searching);
            let mut paused: Option<Duration> = None;
            for (after, observation) in seen {
                now += Duration::from_millis(after);
                let (then, command) = next(phase, observation, now, &BOUNDS);
                match command {
                    Some(Command::Hold(_)) => {
                        prop_assert!(paused.is_none());
                        paused = Some(now);
                    }
                    Some(Command::Release(_)) => prop_assert!(paused.take().is_some()),
                    None => {}
                }
                if let Some(since) = paused {
                    prop_assert!(now - since < BOUNDS.total);
                }
                prop_assert_eq!(paused.is_some(), matches!(then, Phase::Holding(_)));
                phase = then;
            }
        }
    }
}
