//! What is asked of the server and the lock before a stop, and when nobody is waited for any more:
//! a function of what was found, and of the time since the program began.

use std::time::Duration;

/// How long all of it may take.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// How long poolers are waited for whose connections belong to sessions: those stay.
const SESSIONS: Duration = Duration::from_millis(300);

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The server is asked whether it is in recovery.
    AskRecovery,
    /// The Kubernetes API is asked for the leader lock.
    AskLock,
    /// A checkpoint: without it the stop's own is what clients wait for.
    Checkpoint,
    /// The agents' sessions are ended, for which each is the signal to pause.
    EndAgents,
    /// The poolers' connections are counted.
    Count,
    /// PostgreSQL may stop.
    Leave(Outcome),
}

/// What a step has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Whether the server is in recovery.
    Recovery(bool),
    /// Whether this member provably holds the lock for long enough.
    Lock(bool),
    /// There was a checkpoint, or none.
    Checkpoint,
    /// Agents whose sessions were ended.
    Agents {
        /// How many.
        count: usize,
        /// Whether a pooler's connections end with transactions.
        transactions: bool,
    },
    /// Connections of poolers that are left.
    Left(i64),
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A standby serves no pooler that holds.
    Standby,
    /// Another member may lead already.
    NoLock,
    /// No agent has a session.
    NoAgents,
    /// So many poolers hold their clients, and so many of their connections are left.
    Held(usize, i64),
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    agents: usize,
    until: Duration,
}

impl Progress {
    /// The next step after what was found, `now` after the begin; the first is
    /// [`Step::AskRecovery`].
    pub fn next(&mut self, found: Found, now: Duration) -> Step {
        match found {
            Found::Recovery(true) => Step::Leave(Outcome::Standby),
            Found::Recovery(false) => Step::AskLock,
            Found::Lock(false) => Step::Leave(Outcome::NoLock),
            Found::Lock(true) => Step::Checkpoint,
            Found::Checkpoint => Step::EndAgents,
            Found::Agents { count: 0, .. } => Step::Leave(Outcome::NoAgents),
            Found::Agents { count, transactions } => {
                let until = if transactions { DEADLINE } else { now + SESSIONS };
                *self = Self { agents: count, until };
                Step::Count
            }
            Found::Left(left) if left == 0 || now >= self.until => {
                Step::Leave(Outcome::Held(self.agents, left))
            }
            Found::Left(_) => Step::Count,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Standby => write!(out, "a standby stops, nobody waits"),
            Self::NoLock => write!(out, "the leader lock is not provably held, nobody waits"),
            Self::NoAgents => write!(out, "no pooler asks to be waited for"),
            Self::Held(agents, left) => {
                write!(out, "{agents} poolers hold their clients, {left} connections left")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &[(u64, Found)], last: Step) {
        let mut progress = Progress::default();
        let steps =
            found.iter().map(|(now, found)| progress.next(*found, Duration::from_millis(*now)));
        assert_eq!(steps.last(), Some(last));
    }

    #[test]
    fn nobody_waits_longer_than_is_of_use() {
        use Found::{Agents, Checkpoint, Left, Lock, Recovery};
        let agents = |count, transactions| Agents { count, transactions };
        check(&[(1, Recovery(true))], Step::Leave(Outcome::Standby));
        check(&[(1, Recovery(false)), (9, Lock(false))], Step::Leave(Outcome::NoLock));
        check(&[(9, Lock(true)), (60, Checkpoint)], Step::EndAgents);
        check(&[(70, agents(0, false))], Step::Leave(Outcome::NoAgents));
        check(&[(70, agents(2, true)), (75, Left(4))], Step::Count);
        check(&[(70, agents(2, true)), (90, Left(0))], Step::Leave(Outcome::Held(2, 0)));
        check(&[(70, agents(2, true)), (2_999, Left(1))], Step::Count);
        check(&[(70, agents(2, true)), (3_000, Left(1))], Step::Leave(Outcome::Held(2, 1)));
        check(&[(70, agents(1, false)), (369, Left(8))], Step::Count);
        check(&[(70, agents(1, false)), (370, Left(8))], Step::Leave(Outcome::Held(1, 8)));
    }
}
