//! The end of a pause that its own agent did not end: a process of its own that waits until the
//! longest pause is over and then needs nothing but signals.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{Hold, is_leased};
use crate::state::StateFile;

/// The word by which the program starts as a lease.
pub(crate) const WORD: &str = "lease";

/// A lease that runs.
pub(crate) struct Lease(Child);

impl Lease {
    /// Starts the process, before the pause begins. It is in a group of its own, so that it
    /// outlives an agent that is ended with its whole group.
    ///
    /// # Errors
    /// When no process can be started; there must be no pause then.
    pub(crate) fn start(config: &Path, hold: &Hold, left: Duration) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command
            .arg(WORD)
            .arg(config)
            .arg(left.as_millis().to_string())
            .arg(hold.since.as_millis().to_string())
            .stdin(Stdio::null())
            .process_group(0);
        command.spawn().map(Self)
    }

    /// Ends the process: the pause is over.
    pub(crate) fn end(mut self) {
        // It may have ended by itself, which is as good.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the process does: waits, and resumes what the same pause still holds.
pub(crate) fn run(config: &Path, left: Duration, since: Duration, processes: &[PathBuf]) {
    std::thread::sleep(left);
    if !is_leased(StateFile::beside(config).read().as_ref(), since) {
        return;
    }
    for folder in processes {
        let Some(pid) = pgbouncer(folder) else { continue };
        // SIGHUP puts the sizes of pools back, SIGUSR2 resumes; unpaused, it does nothing.
        kill_process(pid, Signal::HUP).ok();
        kill_process(pid, Signal::USR2).ok();
    }
    StateFile::beside(config).remove().ok();
}

/// The process of this folder, if its pid is still PgBouncer's.
fn pgbouncer(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("pgbouncer.pid")).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).ok()?;
    (name.trim() == "pgbouncer").then_some(pid)
}
