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
        Some(spec) => answer(context, spec, args, stdin),
        None => refused(format!("bad request: unknown command {tool:?}")),
    };
    match printed {
        Ok(stdout) => Output { code: 0, stdout, stderr: Vec::new() },
        Err(error) => {
            let code = if matches!(error, ToolError::Usage(_)) { 2 } else { 1 };
            Output { code, stdout: Vec::new(), stderr: format!("ERROR {error}\n").into_bytes() }
        }
    }
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
}
