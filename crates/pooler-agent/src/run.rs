//! The agent's loop: observes, has [`machine::next`] decide, and carries that out.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::config::Config;
use crate::console::Pausing;
use crate::lease::Lease;
use crate::machine::{self, Bounds, Cause, Command, Hold, Observation, Phase, Reason};
use crate::primary::{self, Session};
use crate::state::StateFile;

/// The pause between two looks for a primary while clients are held.
const PROBE: Duration = Duration::from_millis(20);
/// The same while none is.
const SEARCH: Duration = Duration::from_millis(500);

/// Runs until the process gets a signal to end. A pause that is on then stays: the next agent finds it.
pub(crate) fn run(path: &Path) -> Result<(), String> {
    let config = Config::read(path).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the agent: {error}"))?;
    runtime.block_on(async {
        let end = signal(SignalKind::terminate());
        let mut end = end.map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;
        tokio::select! {
            _ = end.recv() => Ok(()),
            never = Agent::new(path, config).run() => never,
        }
    })
}

/// Writes a line for the operator; lost where standard error is closed.
pub(crate) fn say(words: &str) {
    writeln!(std::io::stderr(), "pooler-agent: {words}").ok();
}

/// Time that goes on over restarts of the agent: since the machine was started.
struct Clock {
    base: Duration,
    start: Instant,
}

impl Clock {
    fn new() -> Self {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        Self { base: Duration::from_secs_f64(seconds), start: Instant::now() }
    }

    fn now(&self) -> Duration {
        self.base + self.start.elapsed()
    }
}

struct Agent<'a> {
    path: &'a Path,
    config: Config,
    bounds: Bounds,
    clock: Clock,
    state: StateFile,
    session: Option<Session>,
    pause: Option<(Pausing, Lease)>,
}

impl<'a> Agent<'a> {
    fn new(path: &'a Path, config: Config) -> Self {
        let (bounds, state) = (config.bounds(), StateFile::beside(path));
        Self { path, config, bounds, clock: Clock::new(), state, session: None, pause: None }
    }

    async fn run(mut self) -> Result<(), String> {
        let mut phase = match self.state.read() {
            Some(hold) => self.go_on(hold),
            None => Phase::Searching,
        };
        loop {
            let observation = self.observe(&phase).await;
            let before = phase.clone();
            let (next, command) = machine::next(phase, observation, self.clock.now(), &self.bounds);
            phase = next;
            match command {
                Some(Command::Hold(hold)) => {
                    if let Err(error) = self.hold(&hold, hold.cause == Cause::Terminated) {
                        say(&format!("cannot hold clients: {error}"));
                        phase = Phase::Searching;
                    }
                }
                Some(Command::Release(reason)) => self.release(&before, reason).await,
                None => {}
            }
        }
    }

    /// Goes on with the pause of an agent before this one.
    fn go_on(&mut self, hold: Hold) -> Phase {
        match self.hold(&hold, false) {
            Ok(()) => Phase::Holding(hold),
            Err(error) => {
                say(&format!("cannot go on holding clients: {error}"));
                Phase::Searching
            }
        }
    }

    async fn observe(&mut self, phase: &Phase) -> Observation {
        let pause = match phase {
            Phase::Following(_) => {
                return match self.session.take() {
                    Some(session) => Observation::Ended(session.ended().await),
                    None => Observation::Ended(Cause::Lost),
                };
            }
            Phase::Searching => SEARCH,
            Phase::Holding(_) => PROBE,
        };
        sleep(pause).await;
        let (observation, session) = primary::probe(&self.config).await;
        self.session = session;
        observation
    }

    /// Writes the pause down, starts its lease, then pauses.
    fn hold(&mut self, hold: &Hold, gated: bool) -> std::io::Result<()> {
        let held = self.clock.now().saturating_sub(hold.since);
        let left = self.bounds.total.saturating_sub(held);
        self.state.write(hold)?;
        let lease = Lease::start(self.path, hold, left)?;
        let pausing = Pausing::begin(&self.config.processes, self.config.listen_port, gated);
        self.pause = Some((pausing, lease));
        let why = match hold.cause {
            Cause::Terminated => "the primary ended the session",
            Cause::Lost => "the session with the primary broke",
        };
        say(&format!("holding clients: {why}"));
        Ok(())
    }

    async fn release(&mut self, before: &Phase, reason: Reason) {
        let Some((pausing, lease)) = self.pause.take() else { return };
        let ended = pausing.end(self.config.listen_port, self.config.pools).await;
        for error in ended.unpaused.iter().chain(&ended.unresumed) {
            say(&error.to_string());
        }
        // What was not resumed, the lease resumes: it finds the pause written down.
        if ended.unresumed.is_empty() {
            lease.end();
            if let Err(error) = self.state.remove() {
                say(&format!("cannot remove the pause that is over: {error}"));
            }
        }
        let held = match before {
            Phase::Holding(hold) => self.clock.now().saturating_sub(hold.since).as_millis(),
            Phase::Searching | Phase::Following(_) => 0,
        };
        let why = match reason {
            Reason::NewPrimary => "a primary serves again",
            Reason::SamePrimary => "the same primary serves on",
            Reason::Deadline => "no primary came in time",
        };
        say(&format!("clients go on after {held} ms: {why}; {} logins cut", ended.cut_logins));
    }
}
