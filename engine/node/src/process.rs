//! First processes of containers: told apart from later processes that got the same number.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process that outlives the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its number on this machine.
    pub(crate) pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub(crate) started: u64,
}

impl Process {
    /// The process with that number, if it runs.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: started(&stat)? })
    }

    /// Whether it still runs.
    pub(crate) fn alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// A handle that stays with this process; `None` when it has ended.
    fn handle(self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        self.alive().then_some(handle)
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> io::Result<()> {
        match self.handle() {
            Some(handle) => gone(handle).await,
            None => Ok(()),
        }
    }

    /// Asks it to end, and ends it when `grace` has passed.
    pub(crate) async fn stop(self, grace: Duration) -> io::Result<()> {
        let Some(handle) = self.handle() else { return Ok(()) };
        if !grace.is_zero() && pidfd_send_signal(&handle, Signal::TERM).is_ok() {
            let patient = tokio::time::timeout(grace, gone(handle.try_clone()?));
            if let Ok(ended) = patient.await {
                return ended;
            }
        }
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        gone(handle).await
    }
}

// The call is deprecated because a type may close its descriptor too early; `OwnedFd` never
// does, and the replacement is unsafe.
#[allow(deprecated)]
async fn gone(handle: OwnedFd) -> io::Result<()> {
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
    handle.readable().await.map(drop)
}

/// The start time in a line of `/proc/<pid>/stat`; `None` for a process that has ended.
fn started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stat: &str, expected: Option<u64>) {
        assert_eq!(started(stat), expected);
    }

    #[test]
    fn the_start_time_is_the_twenty_second_field() {
        let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        check(&format!("7 (a) b) S {rest}"), Some(4242));
        check(&format!("7 (a) Z {rest}"), None);
        check("", None);
    }

    #[test]
    fn this_process_runs() {
        let own = Process::find(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.alive());
        assert!(!Process { started: own.started + 1, ..own }.alive());
    }
}
