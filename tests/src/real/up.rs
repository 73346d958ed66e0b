//! A node that stays until it is stopped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};

use super::{FOLDER, groups, with_tools};

/// Where it is written down which program keeps the node.
const NOTES: &str = "/run/talisman-kubernetes";
/// How long the kernel may take to end everything.
const END_BOUND: Duration = Duration::from_secs(60);

/// Starts a node that outlives this program.
///
/// # Errors
/// When one runs already, or it does not become ready.
pub fn up() -> Result<()> {
    if let Some(keeper) = keeper() {
        bail!("cannot start a second node: {keeper} keeps one; `make kubernetes-down` ends it");
    }
    let notes = Path::new(NOTES);
    std::fs::create_dir_all(notes).with_context(|| format!("cannot write {NOTES}"))?;
    let log = std::fs::File::create(notes.join("log"))?;
    let mut keeper = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(["node", "sh", "-c", "echo ready; exec sleep infinity"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the node's keeper; install util-linux")?;
    std::fs::write(notes.join("keeper"), keeper.id().to_string())?;
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().context("no output")?).read_line(&mut line)?;
    if line.trim() != "ready" {
        keeper.wait()?;
        bail!("the node did not start:\n{}", std::fs::read_to_string(notes.join("log"))?);
    }
    Ok(())
}

/// Ends the node and all that it made; does nothing when there is none.
///
/// # Errors
/// When it does not end.
pub fn down() -> Result<()> {
    if let Some(keeper) = keeper() {
        let first = first(keeper);
        let done = Command::new("kill").arg(keeper.to_string()).status()?;
        ensure!(done.success(), "cannot end process {keeper}");
        let end = Instant::now() + END_BOUND;
        for process in first.into_iter().chain([keeper]) {
            while Path::new("/proc").join(process.to_string()).exists() {
                ensure!(Instant::now() < end, "process {process} does not end");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    groups::sweep();
    match std::fs::remove_dir_all(NOTES) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Becomes a command in the node's namespaces, for which the node's `kubectl` is there.
pub fn enter(command: &[OsString]) -> Error {
    let Some(first) = keeper().and_then(first) else {
        return anyhow!("cannot enter the node: there is none; `make kubernetes` starts one");
    };
    let failed = Command::new("nsenter")
        .args(["--target", &first.to_string(), "--net", "--mount", "--pid", "--uts", "--ipc"])
        .args(["--wd=/", "--"])
        .args(command)
        .env("KUBECONFIG", Path::new(FOLDER).join("kubeconfig"))
        .env("PATH", with_tools())
        .exec();
    anyhow!(failed).context("cannot enter the node; install util-linux and run this as root")
}

/// The program that keeps the node, if it runs.
fn keeper() -> Option<u32> {
    let number = std::fs::read_to_string(Path::new(NOTES).join("keeper")).ok()?.parse().ok()?;
    let line = std::fs::read_to_string(format!("/proc/{number}/cmdline")).ok()?;
    line.contains("\0node\0").then_some(number)
}

/// The first process of the namespaces: the child of the keeper's child.
fn first(keeper: u32) -> Option<u32> {
    child(child(keeper)?)
}

fn child(parent: u32) -> Option<u32> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|process: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name, in brackets, may hold anything.
        let after = text.rsplit_once(')').map(|(_, after)| after.split_whitespace().nth(1));
        after.flatten() == Some(parent.to_string().as_str())
    })
}
