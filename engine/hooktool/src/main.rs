//! Every hook tool and `juju-exec` in one binary, distinguished by the name it is called by.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::ExitCode;

use hooktool::{ClientError, Prepared};
use juju_hooktools::wire::{EXEC, Request, Response};

/// The name under which the tool comes as the first argument.
const SELF: &str = "hooktool";

fn main() -> ExitCode {
    match call() {
        Ok(code) => code,
        Err(Failure { code, message }) => {
            let _ = writeln!(std::io::stderr(), "ERROR {message}");
            ExitCode::from(code)
        }
    }
}

/// What ends a call before the agent was asked, or after it has answered.
struct Failure {
    code: u8,
    message: String,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { code: 1, message }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

fn call() -> Result<ExitCode, Failure> {
    let (tool, args) = arguments()?;
    let context = variable("JUJU_CONTEXT_ID");
    let dir = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let Prepared { request, output } = if tool == EXEC {
        let request = hooktool::prepare_exec(&args, dir, context.as_deref());
        Prepared { request: request?, output: None }
    } else {
        let context_id = context.ok_or_else(|| "JUJU_CONTEXT_ID not set".to_owned())?;
        let request = Request { context_id, dir, tool, args, stdin: None };
        hooktool::prepare(request, &mut read)?
    };
    Ok(print(ask(&request)?, output.as_deref())?)
}

/// The tool's name and its arguments.
fn arguments() -> Result<(String, Vec<String>), String> {
    let mut words = Vec::new();
    for word in std::env::args_os() {
        let text = word.into_string();
        words.push(text.map_err(|word| format!("cannot send {word:?}: it is not UTF-8"))?);
    }
    let mut words = words.into_iter();
    let path = words.next().unwrap_or_default();
    let name = Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or(SELF);
    let tool = if name == SELF { words.next() } else { Some(name.to_owned()) };
    let tool = tool.ok_or_else(|| format!("cannot run: write {SELF} <tool> <arguments>"))?;
    Ok((tool, words.collect()))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read(path: &str) -> std::io::Result<Vec<u8>> {
    if path != "-" {
        return std::fs::read(path);
    }
    let mut content = Vec::new();
    std::io::stdin().lock().read_to_end(&mut content)?;
    Ok(content)
}

/// Sends a request to the agent and waits for its answer.
fn ask(request: &Request) -> Result<Response, String> {
    let socket = match (variable("JUJU_AGENT_SOCKET_ADDRESS"), request.as_exec()) {
        (Some(socket), _) => socket,
        (None, Some((unit, _))) => hooktool::default_socket(unit),
        (None, None) => return Err("JUJU_AGENT_SOCKET_ADDRESS not set".to_owned()),
    };
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    let stream = address.and_then(|address| UnixStream::connect_addr(&address));
    let mut stream =
        stream.map_err(|error| format!("cannot reach the agent at {socket}: {error}"))?;
    request.encode(&mut stream).map_err(|error| error.to_string())?;
    Response::decode(&mut stream).map_err(|error| error.to_string())
}

/// Prints an answer; a good one goes to `--output`, if that was given.
fn print(response: Response, output: Option<&str>) -> Result<ExitCode, String> {
    let written = match output.filter(|_| response.code == 0) {
        Some(path) => std::fs::write(path, &response.stdout)
            .map_err(|error| hooktool::cannot_open(path, &error)),
        None => std::io::stdout()
            .write_all(&response.stdout)
            .map_err(|error| format!("cannot print: {error}")),
    };
    written?;
    let _ = std::io::stderr().write_all(&response.stderr);
    Ok(ExitCode::from(response.code))
}
