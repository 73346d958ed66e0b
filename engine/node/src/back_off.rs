//! How long a container waits before it is started again, as kubelet has it.

use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause. A container that ran for twice as long begins anew.
const LONGEST: Duration = Duration::from_secs(300);

/// What is remembered of a container's restarts.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackOff(Option<Last>);

#[derive(Debug, Clone, Copy)]
struct Last {
    restarted: Instant,
    pause: Duration,
}

impl BackOff {
    /// How long after its end a container is started again.
    pub fn pause(&self, ended: Instant) -> Duration {
        self.last(ended).map_or(Duration::ZERO, |last| last.pause)
    }

    /// Notes that a container which ended at `ended` is started again at `now`.
    pub fn restarted(&mut self, ended: Instant, now: Instant) {
        let pause = self.last(ended).map_or(FIRST, |last| (last.pause * 2).min(LONGEST));
        self.0 = Some(Last { restarted: now, pause });
    }

    /// The last restart, unless it was long before the container's end.
    fn last(&self, ended: Instant) -> Option<Last> {
        self.0.filter(|last| ended.saturating_duration_since(last.restarted) <= LONGEST * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses of a container that runs so many seconds each time.
    #[track_caller]
    fn check(runs: &[u64], want: &[u64]) {
        let mut back_off = BackOff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for seconds in runs {
            let ended = now + Duration::from_secs(*seconds);
            let pause = back_off.pause(ended);
            now = ended + pause;
            back_off.restarted(ended, now);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, want);
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_pauses_double() {
        check(&[1; 8], &[0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_for_ten_minutes_begins_anew() {
        check(&[1, 600, 601, 1], &[0, 10, 0, 10]);
    }
}
