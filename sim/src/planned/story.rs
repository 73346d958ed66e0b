//! One event and one death, from begin to end, and what must hold.

use std::fmt;
use std::time::Duration;

use pooler_agent::machine::Cause;

use super::agent::{Agent, LONGEST};
use super::clients::{Client, Failure};
use super::pooler::Process;
use super::servers::{BEGIN, Heard, Servers};
use super::{Event, Flaw, Victim};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The pause between two looks.
const TICK: Duration = ms(5);
/// The same while everything waits.
const LONG_TICK: Duration = ms(20);
/// How long everything must be well at the end.
const QUIET: Duration = ms(1500);
/// The longest story.
const END: Duration = ms(110_000);
/// What a client may wait longer than the longest pause, for the looks of all on the way.
const SLACK: Duration = ms(600);
/// How soon clients go on once a primary serves.
const PROMPT: Duration = ms(3000);
/// How soon after a crash nobody is sent away any more.
const SUDDEN: Duration = ms(150);
/// When the pooler's container is back.
const BACK: Duration = ms(1000);

/// An event, and who dies at which step of it.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// What happens to the primary.
    pub event: Event,
    /// Whether a transaction is longer than everything.
    pub long: bool,
    /// A planted fault.
    pub flaw: Option<Flaw>,
    /// Who dies, after so many steps.
    pub death: Option<(Victim, u32)>,
}

impl fmt::Display for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.event)?;
        if self.long {
            write!(out, " with a long transaction")?;
        }
        self.death.map_or(Ok(()), |(victim, step)| write!(out, ", {victim:?} dies at {step}"))
    }
}

/// How it went.
#[derive(Debug, Default)]
pub struct Played {
    /// Steps of the agent, its lease, `before_stop` and Patroni.
    pub steps: u32,
    /// The longest that clients were held, in milliseconds.
    pub longest: u64,
    /// What is wrong.
    pub wrong: Vec<String>,
}

struct World {
    now: Duration,
    servers: Servers,
    agent: Agent,
    processes: Vec<Process>,
    clients: Vec<Client>,
    failures: Vec<Failure>,
    steps: u32,
    /// A process that the charm restarts when the other is back.
    well_since: Duration,
}

impl Story {
    /// Plays it.
    pub fn play(&self) -> Played {
        let clients = (0..2).flat_map(|process| Client::all(process, self.long && process == 0));
        let mut world = World {
            now: Duration::ZERO,
            servers: Servers::new(self.event, self.flaw),
            agent: Agent::new(self.flaw),
            processes: vec![Process::new(), Process::new()],
            clients: clients.collect(),
            failures: Vec::new(),
            steps: 0,
            well_since: Duration::ZERO,
        };
        while !world.has_ended() {
            if world.turn() && self.death.is_some_and(|(_, step)| step == world.steps) {
                self.strike(&mut world);
            }
        }
        self.judge(world)
    }

    fn strike(&self, world: &mut World) {
        let Some((victim, _)) = self.death else { return };
        let now = world.now;
        match victim {
            Victim::Agent => world.agent.kill(Some(now)),
            Victim::AgentForGood => world.agent.kill(None),
            Victim::Lease => world.agent.kill_leases(),
            Victim::AgentAndLease => {
                world.agent.kill(Some(now));
                world.agent.kill_leases();
            }
            Victim::Trigger => world.servers.kill_trigger(now),
            Victim::Patroni => world.servers.kill_patroni(now),
            Victim::Process => world.processes[0].kill(now),
            Victim::ProcessTerminated | Victim::Hook => {
                world.processes[0].terminate(now, self.flaw == Some(Flaw::EndsHeld));
            }
            Victim::Container => {
                world.processes.iter_mut().for_each(|process| process.kill(now));
                world.agent.kill(Some(now + BACK));
                world.agent.lose_memory();
            }
        }
    }

    /// What must hold.
    fn judge(&self, world: World) -> Played {
        let mut wrong = world.servers.wrong.clone();
        wrong.extend(world.agent.wrong.iter().cloned());
        let still =
            world.clients.iter().filter_map(|client| Some(world.now - client.waits_since()?));
        let waited = world.clients.iter().map(|client| client.longest).chain(still);
        let longest = waited.max().unwrap_or_default();
        let held = world.processes.iter().map(|process| process.longest).max().unwrap_or_default();
        // Where nobody takes over, clients that are let go wait on for a server.
        let bound = if self.event == Event::NobodyTakesOver { held } else { held.max(longest) };
        if bound > LONGEST + SLACK {
            wrong.push(format!("a client is held for {held:?} and waits for {longest:?}"));
        }
        wrong.extend(self.late(&world));
        let victim = self.death.map(|(victim, _)| victim);
        let unhurt = matches!(victim, None | Some(Victim::Lease));
        let first = |inside: bool| {
            let mut of_kind = world.failures.iter().filter(|failure| failure.inside || !inside);
            of_kind.next().map(|f| format!("at {:?} a client is sent away: {}", f.at, f.why))
        };
        let ended = matches!(victim, Some(Victim::ProcessTerminated | Victim::Hook));
        if self.event.is_unnoticed() && !self.long {
            wrong.extend(first(false).filter(|_| unhurt));
            wrong.extend(first(true).filter(|_| ended));
            if ended && world.agent.refused {
                wrong.push("a process refuses to resume".to_owned());
            }
        }
        if matches!(self.event, Event::Crash | Event::Lost) && unhurt && !self.long {
            let late = world.failures.iter().find(|failure| failure.at > BEGIN + SUDDEN);
            wrong
                .extend(late.map(|f| format!("a client that came at {:?} fails: {}", f.at, f.why)));
        }
        let longest = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        Played { steps: world.steps, longest, wrong }
    }

    /// Clients that were held after a primary served again, although an agent or a lease could let them go.
    fn late(&self, world: &World) -> Option<String> {
        if matches!(self.death, Some((Victim::AgentForGood, _))) {
            return None;
        }
        let again = world.servers.served_again?;
        let late = |client: &Client| {
            let (since, at) = client.late?;
            (since < again && at > again + PROMPT).then(|| at - again)
        };
        let latest = world.clients.iter().filter_map(late).max()?;
        Some(format!("a client is held for {latest:?} while a primary serves"))
    }
}

impl World {
    fn holds(&self) -> bool {
        self.processes.iter().any(|process| process.traffic.is_paused())
    }

    /// Whether everything is well, for a while, or never will be.
    fn has_ended(&mut self) -> bool {
        let rests = self.agent.rests() && self.agent.written.is_none();
        let served =
            |client: &Client| client.waits_since().is_none_or(|since| self.now - since < QUIET);
        let well = self.servers.is_over()
            && rests
            && !self.holds()
            && self.now > BEGIN + QUIET
            && self.clients.iter().all(served);
        if !well {
            self.well_since = self.now;
        }
        self.now - self.well_since > QUIET || self.now > END
    }

    /// Lets a little time pass; whether a step was taken.
    fn turn(&mut self) -> bool {
        let still = self.now > BEGIN + QUIET && self.holds();
        self.now += if still { LONG_TICK } else { TICK };
        let left = self.processes.iter().map(|process| process.traffic.connections()).sum();
        let (mut stepped, heard) = self.servers.turn(self.now, left);
        match heard {
            Some(Heard::AgentsEnded) => self.agent.hear(Cause::Terminated),
            Some(Heard::Gone { broken }) => {
                let cause = if broken { Cause::Lost } else { Cause::Terminated };
                self.agent.hear(cause);
                let why = "terminating connection due to administrator command";
                self.processes.iter_mut().for_each(|process| process.traffic.lose("app", why));
            }
            None => {}
        }
        if !stepped {
            stepped = self.agent.turn(self.now, &self.servers, &mut self.processes)
                || self.agent.turn_leases(self.now, &mut self.processes);
        }
        for process in &mut self.processes {
            process.turn(self.now, self.servers.answers(), self.agent.written.as_ref());
        }
        for client in &mut self.clients {
            let failure = client.turn(self.now, &mut self.processes, &self.servers);
            self.failures.extend(failure);
        }
        if stepped && self.now >= BEGIN {
            self.steps += 1;
        }
        stepped && self.now >= BEGIN
    }
}
