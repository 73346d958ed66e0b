//! Runs the system's own programs (`ip`, `nft`, `runc`) and keeps what they complain about.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A program of this machine that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program is not installed.
    #[error("cannot find the program {0}: install it and try again")]
    Missing(String),
    /// The operating system refused to start it.
    #[error("cannot start {program}: {source}")]
    Start {
        /// File name of the program.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The program ended with an error.
    #[error("cannot run {program} {args}: {complaint}")]
    Failed {
        /// File name of the program.
        program: String,
        /// Its arguments, joined by spaces.
        args: String,
        /// What it wrote to standard error.
        complaint: String,
    },
}

/// The full path of `program`, looked up in `PATH` and the two folders of system programs.
pub(crate) fn find(program: &str) -> Result<PathBuf, CommandError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| CommandError::Missing(program.to_owned()))
}

/// Runs `program`, feeds it `input`, waits for its end and returns its standard output.
pub(crate) async fn run(
    program: &Path,
    args: &[&str],
    input: Option<&str>,
) -> Result<String, CommandError> {
    let name = || program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let start = |source| CommandError::Start { program: name(), source };
    let mut child = Command::new(program)
        .args(args)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends before it has read everything says why on standard error.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(CommandError::Failed {
        program: name(),
        args: args.join(" "),
        complaint: format!(
            "{} ({})",
            String::from_utf8_lossy(&output.stderr).trim(),
            output.status
        ),
    })
}
