//! Probes of a container, as Juju sets them up and kubelet plays them.

use std::time::{Duration, Instant};

/// How long an answer may take.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the Pebble of the charm's container answers; those of workloads have the next ports.
pub const PROBE_PORT: u16 = 38812;

/// What a container is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Whether it has started. The others wait for it.
    Startup,
    /// Whether it is to go on.
    Liveness,
    /// Whether it takes traffic.
    Readiness,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The level of Pebble's checks that is asked for.
    pub fn level(self) -> &'static str {
        match self {
            Self::Startup | Self::Liveness => "alive",
            Self::Readiness => "ready",
        }
    }

    /// From one question to the next.
    pub fn period(self) -> Duration {
        match self {
            Self::Startup => Duration::from_secs(1),
            Self::Liveness | Self::Readiness => Duration::from_secs(5),
        }
    }

    /// How many bad answers in a row count. A single good one does.
    pub fn failures(self) -> u32 {
        match self {
            Self::Startup => 30,
            Self::Liveness => 3,
            Self::Readiness => 1,
        }
    }
}

/// What the answers of a container that runs have been.
#[derive(Debug, Clone)]
pub struct Probes {
    startup: Series,
    liveness: Series,
    readiness: Series,
    started: bool,
    ready: bool,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    due: Instant,
    failures: u32,
}

impl Probes {
    /// Those of a container that starts.
    pub fn new(now: Instant) -> Self {
        let series = Series { due: now, failures: 0 };
        Self { startup: series, liveness: series, readiness: series, started: false, ready: false }
    }

    /// Whether it has passed its startup probe.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Whether it takes traffic.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// What is to be asked next, and when.
    pub fn next(&self) -> (Probe, Instant) {
        if !self.started {
            return (Probe::Startup, self.startup.due);
        }
        if self.liveness.due < self.readiness.due {
            (Probe::Liveness, self.liveness.due)
        } else {
            (Probe::Readiness, self.readiness.due)
        }
    }

    /// Notes an answer; whether the container is to be restarted for it. Nothing is known where
    /// this machine could not ask.
    #[must_use]
    pub fn answered(&mut self, probe: Probe, healthy: Option<bool>, now: Instant) -> bool {
        let series = match probe {
            Probe::Startup => &mut self.startup,
            Probe::Liveness => &mut self.liveness,
            Probe::Readiness => &mut self.readiness,
        };
        series.due = now + probe.period();
        let Some(healthy) = healthy else { return false };
        series.failures = if healthy { 0 } else { series.failures + 1 };
        let failed = series.failures >= probe.failures();
        match probe {
            Probe::Startup if healthy => {
                self.started = true;
                // Kubelet asks at once, so that traffic need not wait for the period.
                self.readiness.due = now;
                self.liveness.due = now + Probe::Liveness.period();
                false
            }
            Probe::Readiness => {
                if healthy || failed {
                    self.ready = healthy;
                }
                false
            }
            Probe::Startup | Probe::Liveness => failed,
        }
    }
}

/// The check of the charm's own Pebble that asks whether its agent is ready: it passes at first,
/// fails when it has failed three times, ten seconds apart, and passes with the first good answer.
#[derive(Debug, Clone)]
pub struct AgentCheck {
    due: Instant,
    failures: u32,
}

/// From one question of the agent's check to the next.
const CHECK_PERIOD: Duration = Duration::from_secs(10);
/// How many bad answers in a row fail it.
const CHECK_THRESHOLD: u32 = 3;

impl AgentCheck {
    /// The check of an agent that starts.
    pub fn new(now: Instant) -> Self {
        Self { due: now + CHECK_PERIOD, failures: 0 }
    }

    /// Whether the check passes, with what the agent says of itself now.
    pub fn passes(&mut self, is_ready: bool, now: Instant) -> bool {
        while self.due <= now {
            self.due += CHECK_PERIOD;
            self.failures = if is_ready { 0 } else { self.failures + 1 };
        }
        self.failures < CHECK_THRESHOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each probe as it comes due; what there is after so many seconds: whether it is
    /// started, whether it is ready, and after how many seconds it was to be restarted.
    #[track_caller]
    fn check(seconds: u64, answer: impl Fn(Probe, u64) -> bool, want: (bool, bool, Option<u64>)) {
        let begun = Instant::now();
        let mut probes = Probes::new(begun);
        let mut restarted = None;
        loop {
            let (probe, at) = probes.next();
            let passed = (at - begun).as_secs();
            if passed > seconds || restarted.is_some() {
                break;
            }
            let healthy = answer(probe, passed);
            if probes.answered(probe, Some(healthy), at) {
                restarted = Some(passed);
            }
        }
        assert_eq!((probes.is_started(), probes.is_ready(), restarted), want);
    }

    #[test]
    fn a_container_that_is_well_is_ready_at_once() {
        check(0, |_, _| true, (true, true, None));
        check(100, |_, _| true, (true, true, None));
        check(3, |_, at| at >= 2, (true, true, None));
    }

    #[test]
    fn a_container_that_does_not_start_is_restarted() {
        check(28, |_, _| false, (false, false, None));
        check(100, |_, _| false, (false, false, Some(29)));
        check(100, |probe, at| probe != Probe::Startup || at >= 29, (true, true, None));
    }

    #[test]
    fn liveness_restarts_after_three_failures_in_a_row() {
        check(100, |probe, _| probe != Probe::Liveness, (true, true, Some(15)));
        check(100, |probe, at| probe != Probe::Liveness || at % 15 == 0, (true, true, None));
    }

    #[test]
    fn readiness_follows_a_single_answer() {
        check(9, |probe, at| probe != Probe::Readiness || at < 5, (true, false, None));
        check(11, |probe, at| probe != Probe::Readiness || at != 5, (true, true, None));
    }

    #[test]
    fn what_could_not_be_asked_changes_nothing() {
        let begun = Instant::now();
        let mut probes = Probes::new(begun);
        for probe in Probe::ALL {
            assert!(!probes.answered(probe, Some(true), begun));
        }
        for _ in 0..100 {
            let (probe, at) = probes.next();
            assert!(!probes.answered(probe, None, at));
        }
        assert!(probes.is_started() && probes.is_ready());
    }

    #[test]
    fn an_agent_may_be_late_for_thirty_seconds() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut check = AgentCheck::new(begun);
        assert!(check.passes(false, at(29)));
        assert!(!check.passes(false, at(30)));
        assert!(!check.passes(true, at(35)), "it is asked each ten seconds");
        assert!(check.passes(true, at(40)));
    }
}
