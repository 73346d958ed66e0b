//! First processes of containers: distinguished from later processes with the same PID.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
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

/// How long after the system refused to say whether a process runs it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Process {
    /// The process with that number, if it runs.
    ///
    /// # Errors
    /// When the system does not say, for instance because no more files may be open. That is
    /// never a sign that the process has ended.
    pub(crate) fn find(pid: i32) -> io::Result<Option<Self>> {
        let started = running(std::fs::read_to_string(format!("/proc/{pid}/stat")))?;
        Ok(started.map(|started| Self { pid, started }))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// As [`Process::find`].
    pub(crate) fn alive(self) -> io::Result<bool> {
        Ok(Self::find(self.pid)? == Some(self))
    }

    /// A handle that stays with this process; `None` when it has ended.
    fn handle(self) -> io::Result<Option<OwnedFd>> {
        let pid = Pid::from_raw(self.pid).ok_or(io::ErrorKind::InvalidInput)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(self.alive()?.then_some(handle)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for its end. While the system does not say whether it runs, it does.
    pub(crate) async fn ended(self) {
        loop {
            let over = match self.handle() {
                Ok(Some(handle)) => gone(handle).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            let Err(error) = over else { return };
            tracing::warn!(%error, pid = self.pid, "cannot watch a process, it counts as running");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Asks it to end, and ends it when `grace` has passed.
    pub(crate) async fn stop(self, grace: Duration) -> io::Result<()> {
        let Some(handle) = self.handle()? else { return Ok(()) };
        if !grace.is_zero() && pidfd_send_signal(&handle, Signal::TERM).is_ok() {
            let patient = tokio::time::timeout(grace, gone(handle.try_clone()?));
            if let Ok(ended) = patient.await {
                return ended;
            }
        }
        match pidfd_send_signal(&handle, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => gone(handle).await,
            Err(error) => Err(error.into()),
        }
    }
}

// The call is deprecated because a type may close its descriptor too early; `OwnedFd` never
// does, and the replacement is unsafe.
#[allow(deprecated)]
async fn gone(handle: OwnedFd) -> io::Result<()> {
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
    handle.readable().await.map(drop)
}

/// When the process started whose `/proc/<pid>/stat` was read; `None` when it has ended.
fn running(stat: io::Result<String>) -> io::Result<Option<u64>> {
    match stat {
        Ok(stat) => started(&stat).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the system's line about it is malformed")
        }),
        // The folder is gone, or went while it was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The start time in a line of `/proc/<pid>/stat`, or that the process has ended.
fn started(stat: &str) -> Option<Option<u64>> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return Some(None);
    }
    fields.nth(18)?.parse().ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stat: Result<&str, Errno>, expected: Result<Option<u64>, ()>) {
        let stat = stat.map(str::to_owned).map_err(io::Error::from);
        assert_eq!(running(stat).map_err(drop), expected);
    }

    #[test]
    fn the_start_time_is_the_twenty_second_field() {
        let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        check(Ok(&format!("7 (a) b) S {rest}")), Ok(Some(4242)));
        check(Ok(&format!("7 (a) Z {rest}")), Ok(None));
    }

    #[test]
    fn only_a_missing_process_has_ended() {
        check(Err(Errno::NOENT), Ok(None));
        check(Err(Errno::SRCH), Ok(None));
        for error in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ACCESS, Errno::IO] {
            check(Err(error), Err(()));
        }
        check(Ok(""), Err(()));
        check(Ok("7 (a) S 1"), Err(()));
    }

    #[test]
    fn this_process_runs() {
        let own = Process::find(i32::try_from(std::process::id()).unwrap()).unwrap().unwrap();
        assert!(own.alive().unwrap());
        assert!(!Process { started: own.started + 1, ..own }.alive().unwrap());
    }
}
