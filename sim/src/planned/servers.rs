//! Two servers of PostgreSQL, the leader lock, Patroni's stop, and `before_stop` before it.

use std::time::Duration;

use before_stop::decide::{DEADLINE, Found, Progress, Step};
use pooler_agent::machine::Instance;

use super::{Event, Flaw};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// When the event begins.
pub(super) const BEGIN: Duration = ms(1000);
/// How long a lock lives, and how much of it must be left (`before-stop`'s `lock.rs`).
const TTL: Duration = ms(20_000);
const LEFT: Duration = ms(5000);
/// When Patroni ends `before_stop`: its command has `timeout` around it.
const TIMEOUT: Duration = ms(4000);
/// A stop, a start, and what a new leader needs.
const STOP: Duration = ms(200);
const START: Duration = ms(600);
const PROMOTION: Duration = ms(150);
/// How long nobody takes over.
const NOBODY: Duration = ms(60_000);
/// When Patroni is back after its death.
const PATRONI: Duration = ms(1000);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    up: bool,
    recovery: bool,
    starts: u64,
}

/// `before_stop`, at a step.
#[derive(Debug)]
struct Trigger {
    progress: Progress,
    step: Step,
    ready: Duration,
    begun: Duration,
}

/// What happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The stop's signal: sessions end.
    Stop,
    /// The server is down, and the lock is free.
    Down,
    /// The service leads to the other server.
    Leads(usize),
    /// A server takes writes.
    Promoted(usize),
    /// A server starts.
    Starts(usize, bool),
    /// The lock expires.
    Expires,
}

/// What reached the poolers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The server ended the agents' sessions.
    AgentsEnded,
    /// The server ended every session, or broke with them.
    Gone { broken: bool },
}

#[derive(Debug)]
pub(super) struct Servers {
    event: Event,
    flaw: Option<Flaw>,
    servers: [Server; 2],
    /// The one that the service leads to.
    behind: usize,
    trigger: Option<Trigger>,
    due: Vec<(Duration, Due)>,
    lock_until: Duration,
    patroni_lives: bool,
    pub(super) wrong: Vec<String>,
    /// When a primary served again after the event.
    pub(super) served_again: Option<Duration>,
    stopped: bool,
}

impl Servers {
    pub(super) fn new(event: Event, flaw: Option<Flaw>) -> Self {
        let server = |recovery| Server { up: true, recovery, starts: 1 };
        let left = if event == Event::LockExpires { ms(2000) } else { TTL };
        Self {
            event,
            flaw,
            servers: [server(false), server(true)],
            behind: 0,
            trigger: None,
            due: Vec::new(),
            lock_until: BEGIN + left,
            patroni_lives: true,
            wrong: Vec::new(),
            served_again: None,
            stopped: false,
        }
    }

    /// Whether a login gets in, and whether what comes then may write.
    pub(super) fn answers(&self) -> bool {
        self.servers[self.behind].up
    }

    pub(super) fn writes(&self) -> bool {
        self.answers() && !self.servers[self.behind].recovery
    }

    /// The run of the server that is reached, if it takes writes.
    pub(super) fn primary(&self) -> Option<Instance> {
        let starts = self.servers[self.behind].starts;
        self.writes().then(|| Instance(format!("{}/{starts}", self.behind)))
    }

    /// The same as the agent sees it.
    pub(super) fn seen(&self) -> Option<Instance> {
        let blind = self.flaw == Some(Flaw::InRecovery) && self.answers();
        self.primary().or_else(|| blind.then(|| Instance(format!("{}/blind", self.behind))))
    }

    /// Whether nothing is left to happen.
    pub(super) fn is_over(&self) -> bool {
        self.trigger.is_none() && self.due.is_empty() && self.writes()
    }

    /// What happens by now; `left` are the connections of poolers to the primary. Whether a step
    /// was taken, and what reached the poolers.
    pub(super) fn turn(&mut self, now: Duration, left: u32) -> (bool, Option<Heard>) {
        if now == BEGIN {
            return self.begin(now);
        }
        if let Some(done) = self.trigger(now, left) {
            return done;
        }
        let Some(at) = self.due.iter().position(|(when, _)| *when <= now) else {
            return (false, None);
        };
        let (_, due) = self.due.remove(at);
        let heard = self.happen(due, now);
        if self.servers.iter().filter(|server| server.up && !server.recovery).count() > 1 {
            self.wrong.push("two servers take writes".to_owned());
        }
        if self.served_again.is_none() && self.stopped && self.writes() {
            self.served_again = Some(now);
        }
        (true, heard)
    }

    fn begin(&mut self, now: Duration) -> (bool, Option<Heard>) {
        match self.event {
            Event::Crash | Event::Lost => {
                (self.servers[0].up, self.stopped) = (false, true);
                self.due = match self.event {
                    Event::Crash => vec![(now + ms(2000), Due::Starts(0, false))],
                    _ => vec![(now + TTL, Due::Expires)],
                };
                (true, Some(Heard::Gone { broken: true }))
            }
            _ => {
                let progress = Progress::default();
                let (step, ready) = (Step::AskRecovery, now + ms(5));
                self.trigger = Some(Trigger { progress, step, ready, begun: now });
                // Nobody renews the lock while Patroni ends.
                if matches!(self.event, Event::Terminated | Event::LockExpires) {
                    self.due.push((self.lock_until, Due::Expires));
                }
                (true, None)
            }
        }
    }

    /// A step of `before_stop`, or its end.
    fn trigger(&mut self, now: Duration, left: u32) -> Option<(bool, Option<Heard>)> {
        let trigger = self.trigger.as_mut()?;
        let bound = if self.flaw == Some(Flaw::NoDeadline) { Duration::MAX } else { DEADLINE };
        let since = now - trigger.begun;
        if since >= bound && !matches!(trigger.step, Step::Leave(_)) {
            self.leave(now);
            return Some((true, None));
        }
        if now < trigger.ready {
            return None;
        }
        let standby = self.event == Event::StandbyStops;
        let leaves = self.lock_until.saturating_sub(now) > LEFT;
        let found = match trigger.step {
            Step::AskRecovery => Found::Recovery(standby),
            Step::AskLock => Found::Lock(self.flaw == Some(Flaw::NoLock) || leaves),
            Step::Checkpoint => Found::Checkpoint,
            Step::EndAgents => Found::Agents { count: 1, transactions: true },
            Step::Count => Found::Left(i64::from(left)),
            Step::Leave(_) => {
                self.leave(now);
                return Some((true, None));
            }
        };
        let ended = matches!(found, Found::Agents { .. });
        let counted = trigger.step == Step::Count;
        let since = if bound == DEADLINE { since } else { Duration::ZERO };
        trigger.step = trigger.progress.next(found, since);
        trigger.ready = now + if trigger.step == Step::Checkpoint { ms(50) } else { ms(5) };
        if ended && standby {
            self.wrong.push("before_stop of a standby ended agents' sessions".to_owned());
        }
        // While it counts, everything else goes on.
        (!counted).then(|| (true, ended.then_some(Heard::AgentsEnded)))
    }

    /// `before_stop` has ended, however: Patroni stops PostgreSQL.
    fn leave(&mut self, now: Duration) {
        let Some(trigger) = self.trigger.take() else { return };
        let bound = if self.event == Event::StandbyStops { ms(300) } else { TIMEOUT };
        if now - trigger.begun > bound {
            self.wrong.push(format!("before_stop took {:?}", now - trigger.begun));
        }
        if self.patroni_lives && self.event != Event::StandbyStops {
            self.due.push((now + ms(30), Due::Stop));
        }
    }

    fn happen(&mut self, due: Due, now: Duration) -> Option<Heard> {
        match due {
            Due::Stop => {
                self.due.push((now + STOP, Due::Down));
                (self.servers[0].up, self.stopped) = (false, true);
                return Some(Heard::Gone { broken: false });
            }
            Due::Down => self.free(now),
            Due::Leads(other) => self.behind = other,
            Due::Promoted(other) => self.servers[other].recovery = false,
            Due::Starts(other, recovery) => {
                let server = &mut self.servers[other];
                *server = Server { up: true, recovery, starts: server.starts + 1 };
            }
            Due::Expires if self.servers[1].recovery => self.other(now),
            Due::Expires => {}
        }
        None
    }

    /// The primary is down: who comes next.
    fn free(&mut self, now: Duration) {
        match self.event {
            Event::Restart => self.due.push((now + START, Due::Starts(0, false))),
            Event::NobodyTakesOver => {
                self.due.push((now + NOBODY, Due::Leads(1)));
                self.due.push((now + NOBODY + PROMOTION, Due::Promoted(1)));
            }
            _ if !self.patroni_lives => {}
            _ => {
                self.due.retain(|(_, due)| *due != Due::Expires);
                self.other(now);
                self.due.push((now + ms(2000), Due::Starts(0, true)));
            }
        }
    }

    /// The other member has the lock: the service leads to it before it takes writes.
    fn other(&mut self, now: Duration) {
        self.due.push((now + ms(50), Due::Leads(1)));
        self.due.push((now + ms(50) + PROMOTION, Due::Promoted(1)));
    }

    /// `before_stop` is killed.
    pub(super) fn kill_trigger(&mut self, now: Duration) {
        self.leave(now);
    }

    /// Patroni is killed: a stop that has not begun never does, and one that has is followed by a
    /// start.
    pub(super) fn kill_patroni(&mut self, now: Duration) {
        if !self.event.is_stop() || self.event == Event::StandbyStops {
            return;
        }
        let begun = self.stopped;
        let goes_on =
            self.due.iter().any(|(_, due)| matches!(due, Due::Leads(_) | Due::Promoted(_)));
        if goes_on || self.servers[1].writes_alone() {
            return;
        }
        self.patroni_lives = false;
        self.due.retain(|(_, due)| *due == Due::Down);
        if begun {
            self.due.clear();
            self.due.push((now + PATRONI + START, Due::Starts(0, false)));
        }
    }
}

impl Server {
    fn writes_alone(self) -> bool {
        self.up && !self.recovery
    }
}
