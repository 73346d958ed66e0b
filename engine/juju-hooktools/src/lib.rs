//! Every hook tool: argv in, bytes out.
//!
//! A call goes one way: [`run`] finds the tool's row in [`spec`], reads the arguments by the row's
//! flags and hands both to the row's function, which asks the model for the calling hook. It is
//! pure but for what it asks. Paths in arguments belong to the charm's file system, so the tool's
//! own process, the crate `hooktool`, deals with them before and after: it reads `--file PATH` and
//! sends the content as standard input, sends `key#file=PATH` as `key#base64=…`, and writes
//! `--output PATH` from what comes back. `run` refuses such paths.

pub mod flags;
pub mod spec;
pub mod wire;

mod action;
mod config;
mod expire;
mod input;
mod leader;
mod log;
mod network;
mod node;
mod output;
mod ports;
mod relation;
mod secret;
mod secret_content;
mod state;
mod status;
mod storage;
mod tool;
mod unsupported;
mod yaml;

#[cfg(test)]
mod stage;

use juju_model::ToolCall;
use juju_model::tools::{Answer, ToolError};

pub use output::go_yaml;
pub use spec::TOOLS;
pub use wire::{Request, Response};

use flags::Parsed;
use input::{Input, Printed, refused, usage};
use output::Format;
use spec::{Spec, takes_content};

/// Runs a tool with its arguments and standard input against a hook's tools.
pub fn run(
    tools: &mut ToolCall,
    tool: &str,
    args: &[impl AsRef<str>],
    stdin: Option<&[u8]>,
) -> Response {
    let known = spec::find(tool).filter(|spec| spec.exists(tools.juju().rules()));
    let answered = match known {
        Some(spec) => answer(tools, spec, args, stdin),
        None => refused(format!("bad request: unknown command {tool:?}")),
    };
    answered.unwrap_or_else(Response::from)
}

impl From<ToolError> for Response {
    fn from(error: ToolError) -> Self {
        let code = if matches!(error, ToolError::Usage(_)) { 2 } else { 1 };
        Self { code, stdout: Vec::new(), stderr: format!("ERROR {error}\n").into_bytes() }
    }
}

fn answer(
    tools: &mut ToolCall,
    spec: &Spec,
    args: &[impl AsRef<str>],
    stdin: Option<&[u8]>,
) -> Answer<Response> {
    bounded(spec, args)?;
    let parsed = flags::parse(args, spec.flags);
    let parsed = parsed.map_err(|error| ToolError::Usage(error.to_string()))?;
    let stderr = deprecated(spec, &parsed);
    let stdout = printed(tools, spec, parsed, stdin)?;
    Ok(Response { code: 0, stdout, stderr })
}

fn printed(tools: &mut ToolCall, spec: &Spec, parsed: Parsed, stdin: Option<&[u8]>) -> Printed {
    if parsed.help {
        return Ok(spec.help(tools.hook_storage().as_deref()).into_bytes());
    }
    if parsed.text("output").is_some() {
        return usage("cannot write --output here: the hook tool's own process does it");
    }
    let by_agent = takes_content(spec.name);
    if !by_agent && parsed.text("file").is_some_and(|path| path != "-") {
        return usage("cannot read --file here: the hook tool's own process sends it");
    }
    let format = Format::of(spec.formats, parsed.given("format").map(|given| given.value))?;
    (spec.run)(tools, &Input { parsed, stdin, format })
}

/// The word about a `--format` that is read and ignored.
fn deprecated(spec: &Spec, parsed: &Parsed) -> Vec<u8> {
    let ignores = spec.flags.contains(&spec::IGNORED_FORMAT);
    if !ignores || parsed.text("format").is_none() {
        return Vec::new();
    }
    format!("--format flag deprecated for command {:?}", spec.name).into_bytes()
}

/// The longest argument, and all of them together, that a process can be started with. What is
/// longer comes from no hook tool.
const ARGUMENT_MAX: usize = (128 << 10) - 1;
const ARGUMENTS_MAX: usize = 2 << 20;

/// Refuses what the system would not let a charm pass to a tool. The content of secrets is held
/// by a bound of its own, for it may come from files.
fn bounded(spec: &Spec, args: &[impl AsRef<str>]) -> Answer<()> {
    if takes_content(spec.name) {
        return Ok(());
    }
    let long = |length: usize, most: usize| {
        refused(format!("argument list too long: {length} bytes, and at most {most} are taken"))
    };
    let total: usize = args.iter().map(|arg| arg.as_ref().len() + 1).sum();
    match args.iter().map(|arg| arg.as_ref().len()).max() {
        Some(length) if length > ARGUMENT_MAX => long(length, ARGUMENT_MAX),
        _ if total > ARGUMENTS_MAX => long(total, ARGUMENTS_MAX),
        _ => Ok(()),
    }
}

/// Reads standard input of a call ahead, so that [`run`], for which others may wait, finds it in
/// a form that is quick to read.
///
/// # Errors
/// What the tool would say of it.
pub fn read_ahead(request: &mut Request) -> Result<(), Response> {
    // A secret's file is small, and its size is part of what is said of it.
    let content = request.stdin.as_ref().filter(|_| !takes_content(&request.tool));
    let Some(content) = content else { return Ok(()) };
    let map = input::parse_file(content)?;
    request.stdin = Some(serde_json::to_vec(&map).map_err(|error| {
        Response::from(ToolError::Refused(format!("cannot read the file: {error}")))
    })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, Stage, check};

    #[test]
    fn every_tool_runs_and_has_help() {
        for tool in super::TOOLS {
            let help = Stage::at(At::Leader).call(&[tool, "--help"], None);
            assert_eq!(help.code, 0, "{tool}");
            assert!(help.stdout.starts_with(format!("Usage: {tool}").as_bytes()));
            assert!(help.stderr.is_empty());
            let bare = Stage::at(At::Leader).call(&[tool], None);
            let unknown = bare.stderr.windows(7).any(|words| words == b"unknown");
            assert!(!unknown, "{tool} is not dispatched");
            assert!(bare.code == 0 || bare.stdout.is_empty(), "{tool} printed and failed");
        }
    }

    #[test]
    fn misuse_is_exit_code_two() {
        check(&["is-leader", "--nope"], 2, "", "option provided but not defined: --nope");
        check(&["is-leader", "x", "y z"], 2, "", "unrecognized args: [\"x\" \"y z\"]");
        check(
            &["config-get", "--format", "xml"],
            2,
            "",
            "invalid value \"xml\" for option --format: unknown format \"xml\"",
        );
        check(
            &["goal-state", "--format=smart"],
            2,
            "",
            "invalid value \"smart\" for option --format: unknown format \"smart\"",
        );
        check(&["payload-register"], 1, "", "bad request: unknown command \"payload-register\"");
    }

    #[test]
    fn paths_are_not_opened_here() {
        let read = "cannot read --file here: the hook tool's own process sends it";
        check(&["relation-set", "--file", "/etc/passwd"], 2, "", read);
        let write = "cannot write --output here: the hook tool's own process does it";
        check(&["is-leader", "-o", "/tmp/x"], 2, "", write);
    }

    #[test]
    fn nothing_is_longer_than_a_process_can_be_told() {
        let text = |length: usize| "x".repeat(length);
        for tool in ["status-set", "juju-log", "action-set", "application-version-set"] {
            let long = "argument list too long: 131072 bytes, and at most 131071 are taken";
            check(&[tool, "active", &text(131_072)], 1, "", long);
        }
        check(&["juju-log", &text(131_071)], 0, "", "");
        let words = text(100_000);
        let all: Vec<&str> = std::iter::once("juju-log").chain([words.as_str(); 21]).collect();
        let long = "argument list too long: 2100021 bytes, and at most 2097152 are taken";
        check(&all, 1, "", long);
    }

    #[test]
    fn what_is_read_ahead_is_the_same() {
        let call = |stdin: &str| crate::Request {
            tool: "relation-set".to_owned(),
            stdin: Some(stdin.as_bytes().to_vec()),
            ..crate::Request::default()
        };
        let mut good = call("a: 1\nb:\n");
        crate::read_ahead(&mut good).unwrap();
        assert_eq!(good.stdin.as_deref(), Some(&b"{\"a\":\"1\",\"b\":\"\"}"[..]));
        let bad = crate::read_ahead(&mut call("- a\n")).unwrap_err();
        assert_eq!((bad.code, bad.stdout.len()), (1, 0));
    }
}
