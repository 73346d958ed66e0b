//! Every hook tool: argv in, bytes out.
//!
//! [`run`] is pure but for what it asks of the [`Context`]. Paths in arguments belong to the
//! charm's file system, so the tool's own process deals with them before and after ([`client`]):
//! it reads `--file PATH` and sends the content as standard input, sends `key#file=PATH` as
//! `key#base64=…`, and writes `--output PATH` from what comes back. `run` refuses such paths.

pub mod client;
pub mod flags;
pub mod spec;
pub mod wire;

mod action;
mod config;
mod expire;
mod input;
mod log;
mod network;
mod output;
mod ports;
mod relation;
mod secret;
mod secret_content;
mod state;
mod status;
mod storage;
mod unsupported;

#[cfg(test)]
mod fake;

use model::tools::{Context, ToolError};

pub use spec::TOOLS;

use input::{Input, Printed, refused, usage};
use output::Format;
use spec::Spec;

/// One call of a hook tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Standard input, where the tool asked for it (`--file -`).
    pub stdin: Option<Vec<u8>>,
}

impl From<wire::Request> for Call {
    fn from(request: wire::Request) -> Self {
        Self { tool: request.tool, args: request.args, stdin: request.stdin }
    }
}

/// What the tool prints and exits with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// 0, 1 for a refusal, 2 for wrong arguments.
    pub code: u8,
    /// Empty unless the code is 0.
    pub stdout: Vec<u8>,
    /// `ERROR <message>` and a newline, or empty.
    pub stderr: Vec<u8>,
}

impl From<Output> for wire::Response {
    fn from(output: Output) -> Self {
        Self { code: output.code, stdout: output.stdout, stderr: output.stderr }
    }
}

/// Runs a tool against a hook's context.
pub fn run(context: &mut dyn Context, call: &Call) -> Output {
    run_borrowed(context, &call.tool, &call.args, call.stdin.as_deref())
}

/// As [`run`], of a call in parts.
pub fn run_borrowed(
    context: &mut dyn Context,
    tool: &str,
    args: &[impl AsRef<str>],
    stdin: Option<&[u8]>,
) -> Output {
    let printed = match spec::find(tool) {
        Some(spec) => bounded(tool, args).and_then(|()| answer(context, spec, args, stdin)),
        None => refused(format!("bad request: unknown command {tool:?}")),
    };
    match printed {
        Ok(stdout) => Output { code: 0, stdout, stderr: Vec::new() },
        Err(error) => error.into(),
    }
}

impl From<ToolError> for Output {
    fn from(error: ToolError) -> Self {
        let code = if matches!(error, ToolError::Usage(_)) { 2 } else { 1 };
        Self { code, stdout: Vec::new(), stderr: format!("ERROR {error}\n").into_bytes() }
    }
}

/// The longest argument, and all of them together, that a process can be started with. What is
/// longer comes from no hook tool.
const ARGUMENT_MAX: usize = (128 << 10) - 1;
const ARGUMENTS_MAX: usize = 2 << 20;

/// Refuses what the system would not let a charm pass to a tool. The content of secrets is held
/// by a bound of its own, for it may come from files.
fn bounded(tool: &str, args: &[impl AsRef<str>]) -> model::tools::Answer<()> {
    if client::takes_content(tool) {
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
pub fn read_ahead(call: &mut Call) -> Result<(), Output> {
    // A secret's file is small, and its size is part of what is said of it.
    let Some(content) = call.stdin.as_ref().filter(|_| !client::takes_content(&call.tool)) else {
        return Ok(());
    };
    let map = input::parse_file(content)?;
    call.stdin = Some(serde_json::to_vec(&map).map_err(|error| {
        Output::from(ToolError::Refused(format!("cannot read the file: {error}")))
    })?);
    Ok(())
}

fn answer(
    context: &mut dyn Context,
    spec: &Spec,
    args: &[impl AsRef<str>],
    stdin: Option<&[u8]>,
) -> Printed {
    let parsed = flags::parse(args, spec.flags);
    let parsed = parsed.map_err(|error| ToolError::Usage(error.to_string()))?;
    if parsed.help {
        return Ok(spec.help(context.hook_storage().as_deref()).into_bytes());
    }
    if parsed.text("output").is_some() {
        return usage("cannot write --output here: the hook tool's own process does it");
    }
    let by_agent = client::takes_content(spec.name);
    if !by_agent && parsed.text("file").is_some_and(|path| path != "-") {
        return usage("cannot read --file here: the hook tool's own process sends it");
    }
    let format = Format::of(spec, parsed.text("format"))?;
    dispatch(context, spec.name, &Input { parsed, stdin, format })
}

fn dispatch(context: &mut dyn Context, tool: &str, input: &Input) -> Printed {
    match tool {
        "action-fail" => action::fail(context, input),
        "action-get" => action::get(context, input),
        "action-log" => action::log(context, input),
        "action-set" => action::set(context, input),
        "application-version-set" => status::version_set(context, input),
        "close-port" => ports::close(context, input),
        "config-get" => config::get(context, input),
        "credential-get" => unsupported::credential_get(),
        "goal-state" => status::goal_state(context, input),
        "is-leader" => status::is_leader(context, input),
        "juju-log" => log::write(context, input),
        "juju-reboot" => unsupported::juju_reboot(),
        "network-get" => network::get(context, input),
        "open-port" => ports::open(context, input),
        "opened-ports" => ports::opened(context, input),
        "relation-get" => relation::get(context, input),
        "relation-ids" => relation::ids(context, input),
        "relation-list" => relation::list(context, input),
        "relation-model-get" => relation::model(context, input),
        "relation-set" => relation::set(context, input),
        "resource-get" => storage::resource_get(context, input),
        "secret-add" => secret::add(context, input),
        "secret-get" => secret::get(context, input),
        "secret-grant" => secret::grant(context, input),
        "secret-ids" => secret::ids(context, input),
        "secret-info-get" => secret::info(context, input),
        "secret-remove" => secret::remove(context, input),
        "secret-revoke" => secret::revoke(context, input),
        "secret-set" => secret::set(context, input),
        "state-delete" => state::delete(context, input),
        "state-get" => state::get(context, input),
        "state-set" => state::set(context, input),
        "status-get" => status::get(context, input),
        "status-set" => status::set(context, input),
        "storage-add" => storage::add(context, input),
        "storage-get" => storage::get(context, input),
        "storage-list" => storage::list(context, input),
        "unit-get" => network::unit_get(context, input),
        other => refused(format!("bad request: unknown command {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, run_tool};

    #[test]
    fn every_tool_runs_and_has_help() {
        for tool in super::TOOLS {
            let help = run_tool(&[tool, "--help"], None);
            assert_eq!(help.code, 0, "{tool}");
            assert!(help.stdout.starts_with(format!("Usage: {tool}").as_bytes()));
            assert!(help.stderr.is_empty());
            let bare = run_tool(&[tool], None);
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
        check(&["leader-get"], 1, "", "bad request: unknown command \"leader-get\"");
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
        let call = |stdin: &str| crate::Call {
            tool: "relation-set".to_owned(),
            args: Vec::new(),
            stdin: Some(stdin.as_bytes().to_vec()),
        };
        let mut good = call("a: 1\nb:\n");
        crate::read_ahead(&mut good).unwrap();
        assert_eq!(good.stdin.as_deref(), Some(&b"{\"a\":\"1\",\"b\":\"\"}"[..]));
        let bad = crate::read_ahead(&mut call("- a\n")).unwrap_err();
        assert_eq!((bad.code, bad.stdout.len()), (1, 0));
    }
}
