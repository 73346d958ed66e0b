//! The agent's loop: observes, has [`machine::next`] decide, and carries that out.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::config::Config;
use crate::console::{Ended, Pausing};
use crate::lease::Lease;
use crate::machine::{
    self, Bounds, Cause, Command, Hold, HoldStep, Observation, Phase, Reason, ReleaseStep,
};
use crate::primary::{self, Session};
use crate::state::StateFile;
use crate::trace::{Trace, TraceFile};

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
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Duration {
        self.base + instant.saturating_duration_since(self.start)
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
    /// The pause that is on, and the one before it.
    trace: Option<Trace>,
    traces: TraceFile,
}

impl<'a> Agent<'a> {
    fn new(path: &'a Path, config: Config) -> Self {
        let (bounds, clock) = (config.bounds(), Clock::new());
        let (state, traces) = (StateFile::beside(path), TraceFile::beside(path));
        let (session, pause, trace) = (None, None, None);
        Self { path, config, bounds, clock, state, session, pause, trace, traces }
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

    /// Takes the steps that hold clients.
    fn hold(&mut self, hold: &Hold, gated: bool) -> std::io::Result<()> {
        let held = self.clock.now().saturating_sub(hold.since);
        let left = self.bounds.total.saturating_sub(held);
        let mut lease = None;
        for step in HoldStep::ORDER {
            match step {
                HoldStep::WriteDown => self.state.write(hold)?,
                HoldStep::StartLease => lease = Some(Lease::start(self.path, hold, left)?),
                HoldStep::Pause => {
                    let (folders, port) = (&self.config.processes, self.config.listen_port);
                    let pausing = Pausing::begin(folders, port, gated);
                    self.pause = lease.take().map(|lease| (pausing, lease));
                }
            }
        }
        let why = match hold.cause {
            Cause::Terminated => "the primary ended the session",
            Cause::Lost => "the session with the primary broke",
        };
        say(&format!("holding clients: {why}"));
        let trace = Trace::begin(hold, held, self.bounds.total);
        self.show(&trace);
        self.trace = Some(trace);
        Ok(())
    }

    /// Has the charm see how far a pause has come.
    fn show(&self, trace: &Trace) {
        if let Err(error) = self.traces.write(trace) {
            say(&format!("cannot show the pause: {error}"));
        }
    }

    /// Takes the steps that let clients go; what cannot be resumed, the lease resumes, which finds
    /// the pause written down.
    async fn let_go(&self, pausing: Pausing, lease: Lease) -> Ended {
        let (mut pausing, mut lease, mut ended) = (Some(pausing), Some(lease), Ended::default());
        for step in ReleaseStep::ORDER {
            match step {
                ReleaseStep::Resume => {
                    let Some(pausing) = pausing.take() else { break };
                    ended = pausing.end(self.config.listen_port, self.config.pools).await;
                    if !ended.unresumed.is_empty() {
                        break;
                    }
                }
                ReleaseStep::EndLease => lease.take().into_iter().for_each(Lease::end),
                ReleaseStep::Forget => {
                    if let Err(error) = self.state.remove() {
                        say(&format!("cannot remove the pause that is over: {error}"));
                    }
                }
            }
        }
        ended
    }

    async fn release(&mut self, before: &Phase, reason: Reason) {
        let Some((pausing, lease)) = self.pause.take() else { return };
        let since = match before {
            Phase::Holding(hold) => hold.since,
            Phase::Searching | Phase::Following(_) => self.clock.now(),
        };
        let decided = self.clock.now().saturating_sub(since);
        let ended = self.let_go(pausing, lease).await;
        let held = self.clock.now().saturating_sub(since);
        if let Some(trace) = self.trace.take() {
            let paused = ended.paused.map(|at| self.clock.at(at).saturating_sub(since));
            self.show(&Trace {
                paused: paused.and_then(Trace::at),
                decided: Trace::at(decided),
                resumed: Trace::at(held),
                reason: Some(reason),
                cut_logins: ended.cut_logins,
                failed: (ended.unpaused.len() + ended.unresumed.len()) as u64,
                ..trace
            });
        }
        for error in ended.unpaused.iter().chain(&ended.unresumed) {
            say(&error.to_string());
        }
        let held = held.as_millis();
        let why = match reason {
            Reason::NewPrimary => "a primary serves again",
            Reason::SamePrimary => "the same primary serves on",
            Reason::Deadline => "no primary came in time",
        };
        say(&format!("clients go on after {held} ms: {why}; {} logins cut", ended.cut_logins));
    }
}
