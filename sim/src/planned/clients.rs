//! Clients of a pooler: what they do in turn, and what becomes of it.

use std::time::Duration;

use super::pooler::Process;
use super::servers::{BEGIN, Servers};
use crate::far::pgbouncer::{Id, Request};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// When a client that was sent away comes again.
const AGAIN: Duration = ms(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It has no connection until then.
    Away(Duration),
    /// It asks for nothing until then.
    Thinks(Duration),
    Asks(Request, Duration),
    /// It is in a transaction until then.
    Works(Duration),
}

/// How a client fared.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) at: Duration,
    pub(super) inside: bool,
    pub(super) why: String,
}

#[derive(Debug)]
pub(super) struct Client {
    /// The process that it prefers, and the one that it is at, in which of its starts.
    prefers: usize,
    at: Option<(usize, u64, Id)>,
    doing: Doing,
    work: Duration,
    thinks: Duration,
    reconnects: bool,
    /// When it was last served.
    pub(super) served: Duration,
    pub(super) longest: Duration,
    /// The latest time at which one that had waited since before that was served.
    pub(super) late: Option<(Duration, Duration)>,
}

impl Client {
    fn of(prefers: usize, first: u64, work: u64, thinks: u64) -> Self {
        Self {
            prefers,
            at: None,
            doing: Doing::Away(ms(first)),
            work: ms(work),
            thinks: ms(thinks),
            reconnects: false,
            served: Duration::ZERO,
            longest: Duration::ZERO,
            late: None,
        }
    }

    /// Those of one process: steady, slow and reconnecting ones, many that ask rarely, and more at
    /// the time at which the pools are paused. A long transaction spans the event.
    pub(super) fn all(prefers: usize, long: bool) -> Vec<Self> {
        let number = |number: usize| u64::try_from(number).unwrap_or_default();
        let mut all: Vec<Self> = (0..4).map(|i| Self::of(prefers, 5 * i, 10, 20)).collect();
        all.extend((0..3).map(|i| Self::of(prefers, 40 * i, 200, 50)));
        all.extend((0..3).map(|i| {
            let client = Self::of(prefers, 10 * i + 5, 10, 15);
            Self { reconnects: true, ..client }
        }));
        all.extend((0..60).map(|i| Self::of(prefers, 15 * i + 5 * number(prefers), 5, 745)));
        let begin = u64::try_from(BEGIN.as_millis()).unwrap_or_default();
        all.extend((0..20).map(|_| {
            let client = Self::of(prefers, 10, 50, 200);
            Self { served: ms(begin + 60), ..client }
        }));
        all.extend(long.then(|| Self::of(prefers, begin - 50, 30_000, 10)));
        all
    }

    /// Since when it waits for an answer.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        match self.doing {
            Doing::Asks(_, since) => Some(since),
            Doing::Away(_) | Doing::Thinks(_) | Doing::Works(_) => None,
        }
    }

    /// What it does by now, and how it failed if it did.
    pub(super) fn turn(
        &mut self,
        now: Duration,
        processes: &mut [Process],
        servers: &Servers,
    ) -> Option<Failure> {
        let Some((index, starts, id)) = self.at else {
            self.connect(now, processes);
            return None;
        };
        let process = &mut processes[index];
        let here = process.starts == starts;
        let ended = || Some(Err("server closed the connection unexpectedly".to_owned()));
        let answer = if here { process.traffic.answer(id) } else { ended() };
        match (answer, self.doing) {
            (Some(Err(why)), doing) => {
                self.note_wait(now);
                process.traffic.leave(id);
                (self.at, self.doing) = (None, Doing::Away(now + AGAIN));
                let inside = matches!(doing, Doing::Works(_) | Doing::Asks(Request::Commit, _));
                return Some(Failure { at: now, inside, why });
            }
            (Some(Ok(_)), Doing::Asks(request, _)) => {
                self.note_wait(now);
                if request == Request::Begin && !servers.writes() {
                    process.traffic.leave(id);
                    (self.at, self.doing) = (None, Doing::Away(now + AGAIN));
                    let why = "cannot write in a read-only transaction".to_owned();
                    return Some(Failure { at: now, inside: false, why });
                }
                self.go_on(request, now, processes);
            }
            (_, Doing::Thinks(until)) if until <= now => self.ask(Request::Begin, now, processes),
            (_, Doing::Works(until)) if until <= now => self.ask(Request::Commit, now, processes),
            _ => {}
        }
        None
    }

    fn note_wait(&mut self, now: Duration) {
        if let Doing::Asks(_, since) = self.doing {
            self.longest = self.longest.max(now - since);
            if self.late.is_none_or(|(_, at)| at < now) && now - since > ms(300) {
                self.late = Some((since, now));
            }
        }
    }

    fn go_on(&mut self, request: Request, now: Duration, processes: &mut [Process]) {
        self.doing = match request {
            // Those that come when the pools are paused think until then.
            Request::Welcome => Doing::Thinks(self.served.max(now)),
            Request::Begin => Doing::Works(now + self.work),
            Request::Commit | Request::Query => {
                self.served = now;
                Doing::Thinks(now + self.thinks)
            }
        };
        if self.reconnects
            && request == Request::Commit
            && let Some((index, _, id)) = self.at.take()
        {
            processes[index].traffic.leave(id);
            self.doing = Doing::Away(now + self.thinks);
        }
    }

    fn ask(&mut self, request: Request, now: Duration, processes: &mut [Process]) {
        if let Some((index, _, id)) = self.at {
            processes[index].traffic.ask(id, request, now);
            self.doing = Doing::Asks(request, now);
        }
    }

    /// Comes in through whichever process takes it.
    fn connect(&mut self, now: Duration, processes: &mut [Process]) {
        if !matches!(self.doing, Doing::Away(until) if until <= now) {
            return;
        }
        let pool = || ("app".to_owned(), "client".to_owned());
        for index in [self.prefers, (self.prefers + 1) % processes.len()] {
            if let Some(id) = processes[index].traffic.connect(pool(), now) {
                self.at = Some((index, processes[index].starts, id));
                self.doing = Doing::Asks(Request::Welcome, now);
                return;
            }
        }
    }
}
