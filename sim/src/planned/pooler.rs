//! The PgBouncer processes of a unit, and how each ends under `pooler-agent serve`.

use std::time::Duration;

use pooler_agent::machine::Hold;

use crate::far::pgbouncer::{Limits, Reach, Traffic};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The settings of a process.
pub(super) const LIMITS: Limits = Limits {
    size: 40,
    min: 1,
    retry: ms(200),
    connect: ms(15_000),
    wait: ms(120_000),
    sessions: false,
};
/// When a process that has ended is started again.
const BACK: Duration = ms(500);
/// As in `pooler-agent serve`: what it waits for an end of a pause, for clients that leave, and
/// for transactions; Pebble's kill-delay.
const HELD: Duration = ms(6000);
const LEAVE: Duration = ms(2000);
const TRANSACTIONS: Duration = ms(12_000);

/// How far the end of a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    No,
    AwaitsResume(Duration),
    AwaitsLeave(Duration),
    AwaitsTransactions(Duration),
}

/// One process, under its guardian.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) traffic: Traffic,
    /// Which start of it this is.
    pub(super) starts: u64,
    ends: Ends,
    back: Option<Duration>,
    held_since: Option<Duration>,
    /// The longest pause.
    pub(super) longest: Duration,
}

impl Process {
    pub(super) fn new() -> Self {
        let traffic = Traffic::default();
        let (held_since, longest) = (None, Duration::ZERO);
        Self { traffic, starts: 1, ends: Ends::No, back: None, held_since, longest }
    }

    fn limits(&self) -> Limits {
        let set = |name: &str, otherwise: u32| {
            let text = self.traffic.set(name);
            text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
        };
        let (size, min) = (set("default_pool_size", LIMITS.size), set("min_pool_size", LIMITS.min));
        Limits { size, min, ..LIMITS }
    }

    /// What happens by now.
    pub(super) fn turn(&mut self, now: Duration, answers: bool, waits: Option<&Hold>) {
        if self.back.is_some_and(|back| back <= now) {
            let (starts, longest) = (self.starts + 1, self.longest);
            *self = Self { starts, longest, ..Self::new() };
        }
        let reach = if answers { Reach::Answers } else { Reach::Refuses };
        self.traffic.turn(now, &self.limits(), &|_| reach);
        self.drain(now, waits.is_some());
        let held = self.traffic.is_paused() && !self.traffic.has_ended();
        self.held_since = self.held_since.or(Some(now)).filter(|_| held);
        self.longest =
            self.longest.max(self.held_since.map_or(Duration::ZERO, |since| now - since));
    }

    fn drain(&mut self, now: Duration, held: bool) {
        match self.ends {
            Ends::No => {}
            Ends::AwaitsResume(since) if held && now - since < HELD => {}
            Ends::AwaitsResume(_) => {
                self.traffic.signal("SIGTERM");
                self.ends = Ends::AwaitsLeave(now);
            }
            Ends::AwaitsLeave(since) if now - since < LEAVE => {}
            Ends::AwaitsLeave(_) => {
                self.traffic.signal("SIGUSR1");
                self.ends = Ends::AwaitsTransactions(now);
            }
            Ends::AwaitsTransactions(since)
                if self.traffic.is_active() && now - since < TRANSACTIONS => {}
            Ends::AwaitsTransactions(_) => self.kill(now),
        }
    }

    /// SIGKILL, to the guardian and so to the process.
    pub(super) fn kill(&mut self, now: Duration) {
        self.traffic.end();
        self.back.get_or_insert(now + BACK);
    }

    /// SIGTERM to the guardian; `at_once` does not wait for the end of a pause.
    pub(super) fn terminate(&mut self, now: Duration, at_once: bool) {
        if self.ends != Ends::No || self.traffic.has_ended() {
            return;
        }
        self.ends = Ends::AwaitsResume(now);
        if at_once {
            self.traffic.signal("SIGTERM");
            self.ends = Ends::AwaitsLeave(now);
        }
    }
}
