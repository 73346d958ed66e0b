//! Planned stops and crashes of a primary, in milliseconds: the agent of a pooler, its lease,
//! Patroni's `before_stop`, and the death of each at each step.
//!
//! What decides is the programs' own: [`pooler_agent::machine`] and [`before_stop::decide`]. The
//! pooler's clients are those of the simulated PgBouncer, which keeps the contract of the real one.

mod agent;
mod clients;
mod pooler;
mod servers;
mod story;

use std::collections::BTreeMap;

pub use story::{Played, Story};

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The lead is handed over.
    Switchover,
    /// The primary is restarted.
    Restart,
    /// Patroni gets SIGTERM: it renews the lock no more, and another member leads.
    Terminated,
    /// It stops, and nobody takes over for longer than clients are held.
    NobodyTakesOver,
    /// It stops with a lock that is about to expire.
    LockExpires,
    /// A standby stops.
    StandbyStops,
    /// The primary crashes, and is started again.
    Crash,
    /// The primary crashes, and another member leads when the lock has expired.
    Lost,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Switchover,
        Self::Restart,
        Self::Terminated,
        Self::NobodyTakesOver,
        Self::LockExpires,
        Self::StandbyStops,
        Self::Crash,
        Self::Lost,
    ];

    /// Whether Patroni stops it, which `before_stop` precedes.
    fn is_stop(self) -> bool {
        !matches!(self, Self::Crash | Self::Lost)
    }

    /// Whether no client may notice it.
    fn is_unnoticed(self) -> bool {
        matches!(self, Self::Switchover | Self::Restart | Self::Terminated | Self::StandbyStops)
    }
}

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The agent; Pebble starts it again.
    Agent,
    /// The agent, for good.
    AgentForGood,
    /// The lease.
    Lease,
    /// The agent and the lease; Pebble starts the agent again.
    AgentAndLease,
    /// `before_stop`.
    Trigger,
    /// Patroni; PostgreSQL goes on with what it does.
    Patroni,
    /// A PgBouncer process, by SIGKILL.
    Process,
    /// A PgBouncer process gets SIGTERM, as in a restart.
    ProcessTerminated,
    /// The charm's hook, after it asked for the restart of one process of two.
    Hook,
    /// The pooler's container.
    Container,
}

impl Victim {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Agent,
        Self::AgentForGood,
        Self::Lease,
        Self::AgentAndLease,
        Self::Trigger,
        Self::Patroni,
        Self::Process,
        Self::ProcessTerminated,
        Self::Hook,
        Self::Container,
    ];
}

/// A fault that is planted in the agent, the lease or `before_stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The agent takes the server that it followed for another.
    SameInstance,
    /// It takes a server in recovery for the primary.
    InRecovery,
    /// It pauses without a lease.
    NoLease,
    /// It pauses before it has a lease.
    LeaseLast,
    /// It forgets a pause before it ends it.
    ForgetsFirst,
    /// It does not look for a pause when it starts.
    NoMemory,
    /// Its own clock does not end a pause.
    NoClock,
    /// It pauses while logins are in flight.
    NoGate,
    /// `before_stop` has no deadline.
    NoDeadline,
    /// `before_stop` does not look for the lock.
    NoLock,
    /// A process that gets SIGTERM does not wait for the end of a pause.
    EndsHeld,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::SameInstance,
        Self::InRecovery,
        Self::NoLease,
        Self::LeaseLast,
        Self::ForgetsFirst,
        Self::NoMemory,
        Self::NoClock,
        Self::NoGate,
        Self::NoDeadline,
        Self::NoLock,
        Self::EndsHeld,
    ];

    /// Where it shows first: in what event, with a long transaction or without, by whose death.
    fn shows(self) -> (Event, bool, Victim) {
        match self {
            Self::NoClock => (Event::NobodyTakesOver, false, Victim::Lease),
            Self::NoDeadline => (Event::Terminated, true, Victim::Agent),
            Self::NoLock => (Event::LockExpires, true, Victim::Agent),
            Self::NoLease => (Event::Switchover, false, Victim::AgentForGood),
            Self::EndsHeld => (Event::Switchover, false, Victim::ProcessTerminated),
            _ => (Event::Switchover, false, Victim::Agent),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameInstance => "planned: clients go on with the server that is to stop",
            Self::InRecovery => "planned: clients go on with a server in recovery",
            Self::NoLease => "planned: a pause without a lease",
            Self::LeaseLast => "planned: a pause before its lease",
            Self::ForgetsFirst => "planned: a pause is forgotten before its end",
            Self::NoMemory => "planned: an agent that starts finds no pause",
            Self::NoClock => "planned: the agent's clock ends no pause",
            Self::NoGate => "planned: a pause cuts logins in flight",
            Self::NoDeadline => "planned: before_stop has no deadline",
            Self::NoLock => "planned: before_stop needs no lock",
            Self::EndsHeld => "planned: a process ends while its clients are held",
        }
    }
}

/// What playing many stories gave.
#[derive(Debug, Default)]
pub struct Tally {
    /// Stories.
    pub stories: u64,
    /// Deaths in them, by who died.
    pub deaths: BTreeMap<Victim, u64>,
    /// The longest that clients were held, in milliseconds.
    pub longest: u64,
    /// What went wrong, and where.
    pub wrong: Vec<String>,
}

/// Plays every event, with and without a long transaction, and every death at each `every`th step;
/// no further than the first that goes wrong where `first` is enough.
pub fn exhaust(flaw: Option<Flaw>, every: usize, first: bool) -> Tally {
    let mut tally = Tally::default();
    let both = |event| [(event, false), (event, true)];
    let mut events: Vec<(Event, bool)> = Event::ALL.into_iter().flat_map(both).collect();
    let shows = flaw.map(Flaw::shows);
    let is_later = |event, long| shows.is_some_and(|shows| (shows.0, shows.1) != (event, long));
    events.sort_by_key(|(event, long)| is_later(*event, *long));
    let mut victims = Victim::ALL;
    victims.sort_by_key(|victim| shows.is_some_and(|shows| shows.2 != *victim));
    for (event, long) in events {
        let story = Story { event, long, flaw, death: None };
        let steps = tally.play(&story);
        for victim in victims {
            for step in (1..=steps).step_by(every.max(1)) {
                if first && !tally.wrong.is_empty() {
                    return tally;
                }
                tally.play(&Story { death: Some((victim, step)), ..story });
            }
        }
    }
    tally
}

impl Tally {
    /// Plays one; how many steps it had.
    fn play(&mut self, story: &Story) -> u32 {
        let played = story.play();
        self.stories += 1;
        self.longest = self.longest.max(played.longest);
        if let Some((victim, _)) = story.death {
            *self.deaths.entry(victim).or_default() += 1;
        }
        let wrong = played.wrong.iter().map(|wrong| format!("{story}: {wrong}"));
        self.wrong.extend(wrong);
        played.steps
    }
}
