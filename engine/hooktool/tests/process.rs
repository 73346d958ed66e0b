//! The hook tool's process against a socket that answers.

#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use juju_hooktools::wire::{Request, Response};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hooktool");

/// Takes one request and gives one answer.
fn answer(listener: UnixListener, response: Response) -> thread::JoinHandle<Request> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = Request::decode(&mut stream).unwrap();
        response.encode(&mut stream).unwrap();
        request
    })
}

fn command(dir: &Path, tool: &str, socket: &str) -> Command {
    let link = dir.join(tool);
    if !link.exists() {
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    }
    let mut command = Command::new(link);
    command.env_clear().current_dir(dir).env("JUJU_AGENT_SOCKET_ADDRESS", socket);
    command
}

fn run(command: &mut Command, stdin: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn response(code: u8, stdout: &str, stderr: &str) -> Response {
    Response { code, stdout: stdout.into(), stderr: stderr.into() }
}

#[test]
fn a_tool_forwards_its_call_and_prints_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.socket");
    let agent = answer(UnixListener::bind(&socket).unwrap(), response(3, "out", "err"));
    let mut call = command(dir.path(), "relation-set", socket.to_str().unwrap());
    let call = call.env("JUJU_CONTEXT_ID", "ctx").args(["-r", "1", "--file", "-"]);
    let output = run(call, "a: b\n");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out"[..], &b"err"[..]));
    let request = agent.join().unwrap();
    assert_eq!(request.tool, "relation-set");
    assert_eq!(request.context_id, "ctx");
    assert_eq!(request.args, ["-r", "1", "--file=-", "--"]);
    assert_eq!(request.stdin.as_deref(), Some(&b"a: b\n"[..]));
    assert_eq!(Path::new(&request.dir), dir.path().canonicalize().unwrap());
}

#[test]
fn standard_input_stays_where_it_is_unless_asked_for_and_output_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("hooktool-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let agent = answer(listener, response(0, "active\n", ""));
    let mut call = command(dir.path(), "hooktool", &format!("@{name}"));
    let call = call.env("JUJU_CONTEXT_ID", "ctx").args(["status-get", "--output", "out"]);
    let output = run(call, "unread");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(dir.path().join("out")).unwrap(), "active\n");
    let request = agent.join().unwrap();
    assert_eq!((request.tool.as_str(), request.stdin), ("status-get", None));
}

#[test]
fn exec_needs_no_context_and_refuses_one() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.socket");
    let agent = answer(UnixListener::bind(&socket).unwrap(), response(7, "", ""));
    let mut call = command(dir.path(), "juju-exec", socket.to_str().unwrap());
    let output = run(call.args(["-u", "pg/0", "JUJU_DISPATCH_PATH=hooks/x dispatch"]), "");
    assert_eq!(output.status.code(), Some(7));
    let request = agent.join().unwrap();
    assert_eq!(request.as_exec(), Some(("pg/0", "JUJU_DISPATCH_PATH=hooks/x dispatch")));
    let mut call = command(dir.path(), "juju-exec", socket.to_str().unwrap());
    let output = run(call.env("JUJU_CONTEXT_ID", "ctx").args(["pg/0", "true"]), "");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"ERROR juju-exec cannot be called from within a hook"));
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&mut command(dir.path(), "is-leader", "/nowhere"), "");
    assert_eq!(output.stderr, b"ERROR JUJU_CONTEXT_ID not set\n");
    let mut call = command(dir.path(), "is-leader", "/nowhere");
    let output = run(call.env("JUJU_CONTEXT_ID", "ctx"), "");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"ERROR cannot reach the agent at /nowhere: "));
}
