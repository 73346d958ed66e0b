//! One program of Kubernetes, at work until it is dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::BUILT;

/// How many lines of its log are printed when it ended.
const LAST_LINES: usize = 20;

/// Where a program is: built here, or unpacked from Debian's package.
pub(super) fn path(name: &str) -> PathBuf {
    let built = Path::new(BUILT).join(name);
    if built.exists() { built } else { Path::new(BUILT).join("debian/usr/bin").join(name) }
}

/// A program that runs.
pub(super) struct Program {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Program {
    /// Starts it with its log in `folder`.
    pub(super) fn start(folder: &Path, name: &'static str, arguments: &[String]) -> Result<Self> {
        let program = path(name);
        ensure!(program.exists(), "cannot start {name}: it is not there; see `tools/setup`");
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, log, child })
    }

    /// Whether it still runs; the error has the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}:\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}
