//! The pods' network, and what Patroni answers in it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// How long a member may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `work` on a thread of its own in a network namespace. Sockets belong to the namespace
/// that they are made in.
pub(crate) fn inside<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let path = format!("/run/netns/{namespace}");
    let namespace = std::fs::File::open(&path).with_context(|| format!("no network {path}"))?;
    Ok(std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    }))
}

/// The result of a thread.
pub(crate) fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// What Patroni at `address` answers; to be called inside the pods' network.
pub(super) fn ask(address: Ipv4Addr, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 8008)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.starts_with("HTTP/1"), "no HTTP answer: {head}");
    Ok(serde_json::from_str(body)?)
}
