//! The pods' network, and what Patroni answers in it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// How long a member may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The network of a pod of an engine's instance: its file.
pub(crate) fn of_pod(instance: &str, pod: &str) -> PathBuf {
    format!("/run/netns/tlsm-{instance}.{pod}").into()
}

/// Runs `work` on a thread of its own in a network namespace. Sockets belong to the namespace
/// that they are made in.
pub(crate) fn inside<T: Send + 'static>(
    namespace: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let failed = || format!("no network {}", namespace.display());
    let namespace = std::fs::File::open(namespace).with_context(failed)?;
    Ok(std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    }))
}

/// The result of a thread.
pub(crate) fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// Whether the members were last seen to speak TLS.
static ENCRYPTED: AtomicBool = AtomicBool::new(false);

/// What Patroni at `address` answers, however it speaks; to be called inside the pods' network.
pub(super) fn ask(address: Ipv4Addr, path: &str) -> Result<Value> {
    let as_they_speak = |encrypted: bool| match encrypted {
        true => ask_with_tls(address, path, "", ""),
        false => ask_in_clear(address, path, ""),
    };
    let encrypted = ENCRYPTED.load(Ordering::Relaxed);
    as_they_speak(encrypted).or_else(|error| {
        let answer = as_they_speak(!encrypted).map_err(|_| error)?;
        ENCRYPTED.store(!encrypted, Ordering::Relaxed);
        Ok(answer)
    })
}

/// Asks the member at `argv[1]` with TLS; with an authority in its input, for this name.
const WITH_TLS: &str = "
import http.client, socket, ssl, sys
address, path, host = sys.argv[1:]
authority = sys.stdin.read()
context = ssl.create_default_context(cadata=authority or None)
if not host:
    context = ssl._create_unverified_context()
class Connection(http.client.HTTPSConnection):
    def connect(self):
        stream = socket.create_connection((address, 8008), timeout=2)
        self.sock = context.wrap_socket(stream, server_hostname=host or address)
connection = Connection(address)
connection.request('GET', path)
print(connection.getresponse().read().decode())
";

/// What it answers with TLS, with a certificate of this name from the CA.
pub(super) fn ask_verified(
    address: Ipv4Addr,
    path: &str,
    host: &str,
    authority: &str,
) -> Result<Value> {
    ensure!(!host.is_empty(), "no name");
    ask_with_tls(address, path, host, authority)
}

/// The same for any certificate, where there is no name.
fn ask_with_tls(address: Ipv4Addr, path: &str, host: &str, authority: &str) -> Result<Value> {
    let mut python = Command::new("python3")
        .args(["-c", WITH_TLS, &address.to_string(), path, host])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3 is needed")?;
    python.stdin.take().context("no stdin")?.write_all(authority.as_bytes())?;
    let output = python.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "no answer with TLS: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What it answers in clear, to a request with this login.
pub(super) fn ask_in_clear(address: Ipv4Addr, path: &str, login: &str) -> Result<Value> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 8008)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let login = match login {
        "" => String::new(),
        login => format!("Authorization: Basic {login}\r\n"),
    };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{login}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.starts_with("HTTP/1"), "no HTTP answer: {head}");
    Ok(serde_json::from_str(body)?)
}
