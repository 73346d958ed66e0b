//! One PgBouncer process under Pebble, which ends between transactions.
//!
//! SIGTERM lets PgBouncer wait for clients that never leave (or, before 1.23, end at once), and
//! SIGKILL then cuts them off wherever they stand. Here SIGTERM takes the process out of the port,
//! gives clients a while to leave, and ends it when the last open transaction has. SIGHUP is handed
//! on. The process dies with this one, so that Pebble never starts a second beside it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::console::Console;
use crate::run::say;
use crate::state::StateFile;

/// The word by which the program starts as this.
pub(crate) const WORD: &str = "serve";
/// The word by which it starts as what becomes PgBouncer.
pub(crate) const BECOME: &str = "pgbouncer";
/// PgBouncer.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// How long a pause of the agent is waited for: after SIGTERM a process refuses RESUME.
const HELD: Duration = Duration::from_secs(6);
/// How long clients have to leave by themselves.
const LEAVE: Duration = Duration::from_secs(2);
/// How long transactions have to end after that. With what comes before it is less than the
/// service's `kill-delay`.
const TRANSACTIONS: Duration = Duration::from_secs(12);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Becomes PgBouncer, which is killed when the process that started it dies.
pub(crate) fn become_pgbouncer(ini: &Path) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot bind PgBouncer to its guardian: {error}"))?;
    let error = std::process::Command::new(PROGRAM).arg(ini).exec();
    Err(format!("cannot start {PROGRAM}: {error}"))
}

/// Runs PgBouncer with this configuration until it ends; `agent` is the path of the agent's
/// configuration, beside which a pause is written down.
pub(crate) fn run(ini: &Path, agent: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start PgBouncer: {error}"))?;
    let status = runtime.block_on(serve(ini, agent)).map_err(|error| error.to_string())?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("PgBouncer ended: {status}")),
    }
}

async fn serve(ini: &Path, agent: &Path) -> std::io::Result<ExitStatus> {
    let (mut end, mut reload) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut command = Command::new(std::env::current_exe()?);
    // A group of its own: Pebble signals the whole group of a service.
    let mut child = command.arg(BECOME).arg(ini).process_group(0).spawn()?;
    let process = Process::of(&child, ini, agent);
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = reload.recv() => process.signal(Signal::HUP),
            _ = end.recv() => break,
        }
    }
    tokio::select! {
        status = child.wait() => return status,
        () = process.drain() => {}
        // A second SIGTERM means: at once.
        _ = end.recv() => {}
    }
    finish(&process, child, end).await
}

/// The second SIGTERM ends every release at once.
async fn finish(
    process: &Process,
    mut child: Child,
    mut end: Signals,
) -> std::io::Result<ExitStatus> {
    loop {
        process.signal(Signal::TERM);
        tokio::select! {
            status = child.wait() => return status,
            _ = end.recv() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// The process that is served by.
struct Process {
    pid: Option<Pid>,
    folder: PathBuf,
    hold: StateFile,
}

impl Process {
    fn of(child: &Child, ini: &Path, agent: &Path) -> Self {
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let folder = ini.parent().unwrap_or(Path::new("/")).to_owned();
        Self { pid: raw.and_then(Pid::from_raw), folder, hold: StateFile::beside(agent) }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended, which its end says.
        self.pid.and_then(|pid| kill_process(pid, signal).ok());
    }

    /// Returns when no client is in a transaction, or when that takes too long.
    async fn drain(&self) {
        if timeout(HELD, self.resumed()).await.is_err() {
            say("PgBouncer ends while its clients are held");
        }
        let console = match self.console().await {
            Ok(console) => console,
            Err(words) => return say(&format!("cannot drain PgBouncer: {words}")),
        };
        match console.waits_for_clients().await {
            Ok(true) => {
                self.signal(Signal::TERM);
                // Who is left after that goes on until its transaction ends.
                timeout(LEAVE, console.alone()).await.ok();
            }
            Ok(false) => {}
            Err(error) => say(&error.to_string()),
        }
        match timeout(TRANSACTIONS, console.pause()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => say(&error.to_string()),
            Err(_) => say("transactions that did not end in time are cut off with PgBouncer"),
        }
    }

    /// Waits until the agent holds no clients.
    async fn resumed(&self) {
        while self.hold.read().is_some() {
            sleep(LOOK).await;
        }
    }

    /// Opens the console by the process' socket: a port that was changed is in the file already,
    /// and not yet in the process.
    async fn console(&self) -> Result<Console, String> {
        let entries = std::fs::read_dir(&self.folder).map_err(|error| error.to_string())?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let port = names.into_iter().find_map(|name| port(&name));
        let port = port.ok_or_else(|| format!("{} has no socket", self.folder.display()))?;
        Console::open(&self.folder, port).await.map_err(|error| error.to_string())
    }
}

/// The port in the name of a socket.
fn port(name: &str) -> Option<u16> {
    name.strip_prefix(".s.PGSQL.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_says_its_port() {
        assert_eq!(port(".s.PGSQL.6432"), Some(6432));
        for other in [".s.PGSQL.6432.lock", "pgbouncer.ini", ".s.PGSQL."] {
            assert_eq!(port(other), None);
        }
    }
}
