//! The last pause, step by step, in a file in memory that the charm shows.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::machine::{Cause, Hold, Reason};
use crate::state;

/// One pause, in milliseconds from its begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// How the session with the primary ended.
    pub cause: Cause,
    /// When clients go on at the latest.
    pub longest: u64,
    /// When every process was paused: its transactions had ended.
    pub paused: Option<u64>,
    /// When a primary was seen, or the time was up.
    pub decided: Option<u64>,
    /// When every process was resumed; none while clients are held.
    pub resumed: Option<u64>,
    /// Why clients go on.
    pub reason: Option<Reason>,
    /// Logins in flight that the pause closed.
    pub cut_logins: u64,
    /// Processes that could not be paused or resumed.
    pub failed: u64,
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Trace {
    /// Of a pause that has begun so long ago.
    pub(crate) fn begin(hold: &Hold, held: Duration, longest: Duration) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            began: milliseconds(now.saturating_sub(held)),
            cause: hold.cause,
            longest: milliseconds(longest),
            paused: None,
            decided: None,
            resumed: None,
            reason: None,
            cut_logins: 0,
            failed: 0,
        }
    }

    /// When a process was paused, or a primary seen, that began so long ago.
    pub(crate) fn at(held: Duration) -> Option<u64> {
        Some(milliseconds(held))
    }

    /// For how many more seconds clients may be held `now`, in milliseconds since 1970; none when
    /// they are not.
    pub fn left(&self, now: u64) -> Option<u64> {
        let end = self.began.saturating_add(self.longest);
        (self.resumed.is_none() && now < end).then(|| (end - now).div_ceil(1000))
    }
}

/// Where traces are written.
#[derive(Debug, Clone)]
pub(crate) struct TraceFile(PathBuf);

impl TraceFile {
    /// The file of the agent whose configuration is at `config`.
    pub(crate) fn beside(config: &Path) -> Self {
        Self(config.with_extension("last"))
    }

    /// Replaces the trace.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, trace: &Trace) -> std::io::Result<()> {
        state::replace(&self.0, &serde_json::to_vec(trace)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Instance;

    #[test]
    fn a_pause_that_is_on_says_how_long_it_may_last() {
        let hold = Hold { since: Duration::ZERO, last: Instance("a".into()), cause: Cause::Lost };
        let trace =
            Trace { began: 10_000, ..Trace::begin(&hold, Duration::ZERO, Duration::from_secs(45)) };
        let resumed = Trace { resumed: Some(900), ..trace.clone() };
        for (trace, now, left) in [
            (&trace, 10_000, Some(45)),
            (&trace, 14_100, Some(41)),
            (&trace, 54_999, Some(1)),
            (&trace, 55_000, None),
            (&resumed, 14_000, None),
        ] {
            assert_eq!(trace.left(now), left, "{now}");
        }
    }
}
