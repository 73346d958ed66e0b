//! The one port to Juju: calling a hook tool, and the sockets that Juju mounts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::inputs::Inputs;

/// Calls hook tools. The real one starts a process; tests use the `World` of
/// the crate `juju-charm-testing`.
pub trait Tools {
    /// Calls `tool` with `args` and `stdin`, and returns what it printed.
    ///
    /// # Errors
    /// When the tool cannot be started or refuses the call.
    fn call(&mut self, tool: &str, args: &[&str], stdin: Option<&str>)
    -> Result<String, ToolError>;

    /// Calls a tool that takes `content` from a file which Juju's agent opens by its absolute
    /// path: `secret-add` and `secret-set` read no standard input.
    ///
    /// # Errors
    /// When the file cannot be written, and as [`Tools::call`].
    fn call_with_file(
        &mut self,
        tool: &str,
        args: &[&str],
        content: &str,
    ) -> Result<String, ToolError>;

    /// A client of the Pebble behind a socket that Juju mounts.
    fn pebble(&self, socket: &Path) -> pebble_client::Client {
        pebble_client::Client::new(socket)
    }

    /// A line on the calls made so far, or `None` where none was asked for.
    fn totals(&self) -> Option<String> {
        None
    }
}

/// Why a tool call failed. Arguments and input are left out: they may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The tool is not on PATH or could not be run.
    #[error("cannot run the hook tool {tool}: run the charm by way of Juju")]
    Run {
        /// The tool's name.
        tool: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file with a tool's input could not be written.
    #[error("cannot write the input of {tool}; see that {} can be written", folder.display())]
    Input {
        /// The tool's name.
        tool: String,
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The tool ended with another code than 0.
    #[error("cannot call {tool}: {message}")]
    Refused {
        /// The tool's name.
        tool: String,
        /// 1 for a refused call, 2 for a wrong argument.
        code: i32,
        /// What it printed on stderr, without `ERROR `.
        message: String,
    },
}

impl ToolError {
    fn says(&self, words: &[&str]) -> bool {
        match self {
            Self::Refused { message, .. } => {
                let message = message.to_lowercase();
                words.iter().any(|word| message.contains(word))
            }
            Self::Run { .. } | Self::Input { .. } => false,
        }
    }

    /// Whether Juju knows no such relation or secret.
    pub fn is_not_found(&self) -> bool {
        self.says(&["not found"])
    }

    /// Whether the controller has removed a relation that the agent still lists: seen in 4.0 while
    /// an application goes.
    pub fn is_relation_gone(&self) -> bool {
        self.says(&["relation by key: relation not found"])
    }

    /// Whether Juju does not let this unit do that.
    pub fn is_denied(&self) -> bool {
        self.says(&["permission denied", "access denied", "is not allowed to"])
    }

    /// Whether only the leader may do that.
    pub fn is_not_leader(&self) -> bool {
        self.says(&["not the leader", "cannot write relation settings", "lease not held"])
    }
}

/// The real hook tools: one process per call.
#[derive(Debug)]
pub struct Processes {
    inputs: Inputs,
    trace: bool,
    began: Instant,
    calls: BTreeMap<String, (u32, Duration)>,
}

impl Processes {
    /// The tools on `PATH`; `trace` asks for totals at the end of the hook. Files for the agent
    /// lie below `folder` while it reads them.
    pub fn new(folder: &Path, trace: bool) -> Self {
        Self { inputs: Inputs::new(folder), trace, began: Instant::now(), calls: BTreeMap::new() }
    }
}

impl Tools for Processes {
    fn call(
        &mut self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        let began = Instant::now();
        let answer = spawn(tool, args, stdin);
        let entry = self.calls.entry(tool.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += began.elapsed();
        answer
    }

    fn call_with_file(
        &mut self,
        tool: &str,
        args: &[&str],
        content: &str,
    ) -> Result<String, ToolError> {
        let unwritten =
            |(folder, source)| ToolError::Input { tool: tool.to_owned(), folder, source };
        let file = self.inputs.write(content).map_err(unwritten)?;
        let path = file.path().to_string_lossy();
        self.call(tool, &[args, &["--file", path.as_ref()]].concat(), None)
    }

    fn totals(&self) -> Option<String> {
        self.trace.then(|| {
            let calls: u32 = self.calls.values().map(|(calls, _)| calls).sum();
            let time: Duration = self.calls.values().map(|(_, time)| time).sum();
            let each: Vec<String> = self
                .calls
                .iter()
                .map(|(tool, (calls, time))| format!("{tool} {calls} ({} ms)", time.as_millis()))
                .collect();
            // What is neither the tools' time nor work of its own, a hook has waited for others:
            // for Pebble, for servers.
            let waited = self.began.elapsed().saturating_sub(time + worked());
            format!(
                "Hook tools: {calls} calls, {} ms; waited {} ms; peak memory {} KiB: {}",
                time.as_millis(),
                waited.as_millis(),
                peak_memory_kib(),
                each.join(", ")
            )
        })
    }
}

/// How long this process, which has one thread, was on a processor.
fn worked() -> Duration {
    let status = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = status.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// The most memory this process has had resident; 0 where the kernel does not say.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn spawn(tool: &str, args: &[&str], stdin: Option<&str>) -> Result<String, ToolError> {
    let run = |source| ToolError::Run { tool: tool.to_owned(), source };
    let mut child = Command::new(tool)
        .args(args)
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(run)?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // A tool that refuses its arguments does not read its input; its exit code reports it.
        match pipe.write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(run(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let message = message.trim();
    Err(ToolError::Refused {
        tool: tool.to_owned(),
        code: output.status.code().unwrap_or(-1),
        message: message.strip_prefix("ERROR ").unwrap_or(message).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: [bool; 3]) {
        let (tool, message) = ("secret-get".to_owned(), message.to_owned());
        let error = ToolError::Refused { tool, code: 1, message };
        assert_eq!(
            [error.is_denied(), error.is_not_found(), error.is_not_leader()],
            expected,
            "{error}"
        );
    }

    /// The words of 3.6 and of 4.0.
    #[test]
    fn every_juju_is_understood() {
        const DENIED: [bool; 3] = [true, false, false];
        const NOT_FOUND: [bool; 3] = [false, true, false];
        const NOT_LEADER: [bool; 3] = [false, false, true];
        check("permission denied", DENIED);
        check("\"probe2/0\" is not allowed to read this secret", DENIED);
        check("\"probe/0\" is not allowed to manage this secret", DENIED);
        check("secret \"cmo1p6a3c19tm83dul70\" not found", NOT_FOUND);
        check("consumer label \"mine\" not found", NOT_FOUND);
        check("relation unit not found", NOT_FOUND);
        check("getting application \"x\" not found", NOT_FOUND);
        check("this unit is not the leader", NOT_LEADER);
        check("lease not held", NOT_LEADER);
        check("open -: no such file or directory", [false; 3]);
    }

    #[track_caller]
    fn check_gone(message: &str, expected: bool) {
        let (tool, message) = ("relation-get".to_owned(), message.to_owned());
        assert_eq!(ToolError::Refused { tool, code: 1, message }.is_relation_gone(), expected);
    }

    #[test]
    fn a_relation_that_is_gone_is_not_one_that_never_was() {
        check_gone("getting regular relation by key: relation not found", true);
        check_gone("invalid value \"99\" for option -r: relation not found", false);
        check_gone("relation unit not found", false);
    }

    #[test]
    fn input_output_and_refusals_pass_through() {
        let folder = tempfile::tempdir().unwrap();
        let mut tools = Processes::new(folder.path(), true);
        assert_eq!(tools.call("cat", &[], Some("hidden")).ok().as_deref(), Some("hidden"));
        let script = "echo 'ERROR relation not found' >&2; exit 2";
        let refused = tools.call("sh", &["-c", script], Some("unread"));
        assert!(refused.is_err_and(|error| error.is_not_found()));
        assert!(tools.call("no-such-tool", &[], None).is_err());
        assert!(tools.totals().is_some_and(|line| line.starts_with("Hook tools: 3 calls")));
    }

    #[test]
    fn a_tool_reads_a_file_that_is_its_owners_alone_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut tools = Processes::new(folder.path(), false);
        let script = "stat -c %a $2 ${2%/*} && cat $2";
        let printed = tools.call_with_file("sh", &["-c", script, "sh"], "hidden").unwrap();
        assert_eq!(printed, "600\n700\nhidden");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let refused = tools.call_with_file("false", &[], "hidden");
        assert!(refused.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
