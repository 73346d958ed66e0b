//! Runs a program inside a container: hooks, actions, shells.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Longest piece of a line that is passed on whole.
const LONGEST: u64 = 64 * 1024;

/// How long after the program's end its last lines may still arrive. Children that it left
/// behind may hold the streams open for ever.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A program to run inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// Full path of the program in the container, then its arguments.
    pub argv: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Full path of the folder that it starts in. It must exist.
    pub cwd: PathBuf,
}

/// A line that the program wrote, without its end; bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// From standard output.
    Out(String),
    /// From standard error.
    Err(String),
}

/// A program running inside a container. Dropping it ends the program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<Line>,
}

/// Starts `command` in the namespaces of the process `pid`.
pub(crate) fn start(nsenter: &Path, pid: i32, command: &HookCommand) -> io::Result<Running> {
    // The folder is opened before the container is entered, hence the way round.
    let cwd = command.cwd.strip_prefix("/").unwrap_or(&command.cwd);
    let mut folder = std::ffi::OsString::from("--wd=");
    folder.push(Path::new("/proc").join(pid.to_string()).join("root").join(cwd));
    let mut child = Command::new(nsenter)
        .args(["--target", &pid.to_string()])
        .args(["--mount", "--net", "--pid", "--uts", "--ipc", "--root"])
        .arg(folder)
        .arg("--")
        .args(&command.argv)
        .env_clear()
        .envs(&command.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (sender, lines) = mpsc::channel(256);
    if let Some(stream) = child.stdout.take() {
        tokio::spawn(read(stream, sender.clone(), Line::Out));
    }
    if let Some(stream) = child.stderr.take() {
        tokio::spawn(read(stream, sender, Line::Err));
    }
    Ok(Running { child, lines })
}

impl Running {
    /// Waits for the program's end, handing over each line as it comes. The exit code is the
    /// program's; 127 and 126 mean that it was not found or could not be started.
    pub async fn wait(mut self, mut on_line: impl FnMut(Line)) -> io::Result<ExitStatus> {
        let status = loop {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => on_line(line),
                status = self.child.wait() => break status?,
            }
        };
        while let Ok(Some(line)) = tokio::time::timeout(LAST_LINES, self.lines.recv()).await {
            on_line(line);
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn read(stream: impl AsyncRead + Unpin, lines: mpsc::Sender<Line>, kind: fn(String) -> Line) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut bytes = Vec::new();
        match (&mut stream).take(LONGEST).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        // Nobody listens any more; the program must not block on a full pipe all the same.
        let _ = lines.send(kind(String::from_utf8_lossy(&bytes).into_owned())).await;
    }
}
