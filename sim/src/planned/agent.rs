//! The agent of a pooler and its leases, one step after the other.

use std::collections::VecDeque;
use std::time::Duration;

use pooler_agent::machine::{
    self, Bounds, Cause, Command, Hold, HoldStep, Observation, Phase, Reason, ReleaseStep,
};

use super::Flaw;
use super::pooler::{LIMITS, Process};
use super::servers::Servers;
use crate::far::pgbouncer::Id;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// When Pebble starts it again.
const BACK: Duration = ms(100);
/// As in the agent: the pauses between two looks, and how long logins in flight are waited for.
const PROBE: Duration = ms(20);
const SEARCH: Duration = ms(500);
const GATE: Duration = ms(300);
/// The longest pause, and that without a stop.
pub(super) const LONGEST: Duration = ms(45_000);
pub(super) const UNSTOPPED: Duration = ms(6000);

/// What is to be done to which process.
#[derive(Debug, Clone, PartialEq)]
enum Do {
    WriteDown(Hold),
    StartLease(Hold),
    Narrow(usize),
    Await(usize, Duration),
    Pause(usize),
    Resume(usize),
    EndLease,
    Forget,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    since: Duration,
    ends: Duration,
    /// The next process that it resumes.
    next: usize,
}

#[derive(Debug)]
pub(super) struct Agent {
    flaw: Option<Flaw>,
    bounds: Bounds,
    lives: bool,
    back: Option<Duration>,
    phase: Phase,
    look: Duration,
    heard: Option<Cause>,
    todo: VecDeque<Do>,
    consoles: Vec<Option<Id>>,
    /// What the file says.
    pub(super) written: Option<Hold>,
    leases: Vec<Lease>,
    pub(super) wrong: Vec<String>,
    /// Processes whose pause this agent could not end.
    pub(super) refused: bool,
}

impl Agent {
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        let mut bounds = Bounds::new(LONGEST, UNSTOPPED);
        if flaw == Some(Flaw::NoClock) {
            bounds.total = Duration::MAX;
        }
        Self {
            flaw,
            bounds,
            lives: true,
            back: None,
            phase: Phase::Searching,
            look: Duration::ZERO,
            heard: None,
            todo: VecDeque::new(),
            consoles: Vec::new(),
            written: None,
            leases: Vec::new(),
            wrong: Vec::new(),
            refused: false,
        }
    }

    /// Whether nothing is held, and nothing is left to be done.
    pub(super) fn rests(&self) -> bool {
        self.todo.is_empty() && self.leases.is_empty() && !matches!(self.phase, Phase::Holding(_))
    }

    /// Whether it has a session that can be ended.
    pub(super) fn hear(&mut self, cause: Cause) {
        if self.lives && matches!(self.phase, Phase::Following(_)) {
            self.heard.get_or_insert(cause);
        }
    }

    /// It dies; Pebble starts it again, or not.
    pub(super) fn kill(&mut self, back: Option<Duration>) {
        self.lives = false;
        self.back = back.map(|now| now + BACK);
        self.phase = Phase::Searching;
        self.todo.clear();
        self.heard = None;
        self.consoles.clear();
    }

    /// Its leases die.
    pub(super) fn kill_leases(&mut self) {
        self.leases.clear();
    }

    /// The container has ended: what was in memory is gone.
    pub(super) fn lose_memory(&mut self) {
        self.written = None;
        self.leases.clear();
    }

    /// One step, if one is due.
    pub(super) fn turn(
        &mut self,
        now: Duration,
        servers: &Servers,
        processes: &mut [Process],
    ) -> bool {
        if !self.lives {
            return self.back.is_some_and(|back| back <= now) && self.start(now, processes.len());
        }
        if let Some(next) = self.todo.pop_front() {
            return self.act(next, now, processes);
        }
        let Some(observation) = self.observe(now, servers) else { return false };
        let last = match &self.phase {
            Phase::Holding(hold) => Some(hold.clone()),
            Phase::Searching | Phase::Following(_) => None,
        };
        let (phase, command) = machine::next(self.phase.clone(), observation, now, &self.bounds);
        self.phase = phase;
        match command {
            Some(Command::Hold(hold)) => {
                let gated = hold.cause == Cause::Terminated && self.flaw != Some(Flaw::NoGate);
                self.hold(&hold, gated, now, processes.len());
            }
            Some(Command::Release(reason)) => {
                self.judge(reason, last.as_ref(), servers);
                self.release(processes.len());
            }
            None => return false,
        }
        true
    }

    fn start(&mut self, now: Duration, processes: usize) -> bool {
        (self.lives, self.back, self.look) = (true, None, now);
        let found = self.written.clone().filter(|_| self.flaw != Some(Flaw::NoMemory));
        if let Some(hold) = found {
            self.hold(&hold, false, now, processes);
            self.phase = Phase::Holding(hold);
        }
        true
    }

    fn observe(&mut self, now: Duration, servers: &Servers) -> Option<Observation> {
        if let Phase::Following(_) = self.phase {
            return self.heard.take().map(Observation::Ended);
        }
        if now < self.look {
            return None;
        }
        let holds = matches!(self.phase, Phase::Holding(_));
        self.look = now + if holds { PROBE } else { SEARCH };
        let Some(mut seen) = servers.seen() else { return Some(Observation::NoPrimary) };
        if holds && self.flaw == Some(Flaw::SameInstance) {
            seen.0.push('*');
        }
        Some(Observation::Primary(seen))
    }

    /// That clients go on with a primary only.
    fn judge(&mut self, reason: Reason, last: Option<&Hold>, servers: &Servers) {
        let primary = servers.primary();
        let another = primary.as_ref().is_some_and(|now| last.is_none_or(|hold| hold.last != *now));
        let right = match reason {
            Reason::NewPrimary => another,
            Reason::SamePrimary => primary.is_some(),
            Reason::Deadline => true,
        };
        if !right {
            self.wrong.push(format!("clients go on with {primary:?}, held for {last:?}"));
        }
    }

    fn hold(&mut self, hold: &Hold, gated: bool, now: Duration, processes: usize) {
        let mut order = HoldStep::ORDER;
        if self.flaw == Some(Flaw::LeaseLast) {
            order.rotate_right(1);
        }
        self.consoles = vec![None; processes];
        for step in order {
            match step {
                HoldStep::WriteDown => self.todo.push_back(Do::WriteDown(hold.clone())),
                HoldStep::StartLease if self.flaw == Some(Flaw::NoLease) => {}
                HoldStep::StartLease => self.todo.push_back(Do::StartLease(hold.clone())),
                HoldStep::Pause => {
                    for process in 0..processes {
                        if gated {
                            self.todo.push_back(Do::Narrow(process));
                            self.todo.push_back(Do::Await(process, now));
                        }
                        self.todo.push_back(Do::Pause(process));
                    }
                }
            }
        }
    }

    fn release(&mut self, processes: usize) {
        let mut order = ReleaseStep::ORDER;
        if self.flaw == Some(Flaw::ForgetsFirst) {
            order.reverse();
        }
        for step in order {
            match step {
                ReleaseStep::Resume => self.todo.extend((0..processes).map(Do::Resume)),
                ReleaseStep::EndLease => self.todo.push_back(Do::EndLease),
                ReleaseStep::Forget => self.todo.push_back(Do::Forget),
            }
        }
    }

    fn act(&mut self, next: Do, now: Duration, processes: &mut [Process]) -> bool {
        match next {
            Do::WriteDown(hold) => self.written = Some(hold),
            Do::StartLease(hold) => {
                let ends = hold.since + LONGEST;
                self.leases.push(Lease { since: hold.since, ends, next: 0 });
            }
            Do::Narrow(process) => {
                let traffic = &mut processes[process].traffic;
                let console = traffic.open_console(true);
                if let (Some(console), Some(slot)) = (console, self.consoles.get_mut(process)) {
                    *slot = Some(console);
                    traffic.command(console, "SET default_pool_size = 1");
                    traffic.command(console, "SET min_pool_size = 0");
                }
            }
            Do::Await(process, since) => {
                if processes[process].traffic.logins() > 0 && now - since < GATE {
                    self.todo.push_front(Do::Await(process, since));
                    return false;
                }
                // Nothing comes in between.
                let Some(pause) = self.todo.pop_front() else { return false };
                return self.act(pause, now, processes);
            }
            Do::Pause(process) => {
                let traffic = &mut processes[process].traffic;
                let known = self.consoles.get(process).copied().flatten();
                let console = known.or_else(|| traffic.open_console(true));
                if let (Some(console), Some(slot)) = (console, self.consoles.get_mut(process)) {
                    *slot = Some(console);
                    traffic.command(console, "PAUSE");
                }
            }
            Do::Resume(process) => self.resume(process, processes),
            Do::EndLease => self.leases.clear(),
            Do::Forget => self.written = None,
        }
        true
    }

    fn resume(&mut self, process: usize, processes: &mut [Process]) {
        let traffic = &mut processes[process].traffic;
        if let Some(console) = self.consoles.get_mut(process).and_then(Option::take) {
            traffic.leave(console);
        }
        match traffic.open_console(true) {
            Some(console) => {
                traffic.command(console, &format!("SET default_pool_size = {}", LIMITS.size));
                traffic.command(console, &format!("SET min_pool_size = {}", LIMITS.min));
                traffic.command(console, "RESUME");
                traffic.leave(console);
            }
            None => {
                self.refused |= traffic.is_paused() && !traffic.has_ended();
                // What cannot be resumed is left to the lease.
                self.todo.retain(|step| !matches!(step, Do::EndLease | Do::Forget));
            }
        }
    }

    /// One step of a lease, if one is due.
    pub(super) fn turn_leases(&mut self, now: Duration, processes: &mut [Process]) -> bool {
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.ends <= now) else {
            return false;
        };
        if !machine::is_leased(self.written.as_ref(), lease.since) {
            let since = lease.since;
            self.leases.retain(|lease| lease.since != since || lease.ends > now);
            return true;
        }
        match processes.get_mut(lease.next) {
            Some(process) => {
                process.traffic.reload();
                process.traffic.signal("SIGUSR2");
                lease.next += 1;
            }
            None => {
                self.leases.retain(|lease| lease.ends > now);
                self.written = None;
            }
        }
        true
    }
}
