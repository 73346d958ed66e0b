//! How kubelet asks a container how it is: over the network, as it asks its Pebble.

use std::fmt::{Display, Formatter};
use std::io;
use std::net::SocketAddrV4;

use http1_client::{Bounded, Boxed, Request, Stream, Transport, header};
use node::{Node, PROBE_PORT, PROBE_TIMEOUT, Pod, Probe};

use crate::daemon::engine::Engine;
use crate::daemon::files;

/// The longest answer that is read, in bytes; kubelet's is the same.
const ANSWER_MAX: usize = 10 << 10;

/// A port of a pod.
#[derive(Debug)]
struct Port {
    node: Node,
    address: SocketAddrV4,
}

impl Display for Port {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

impl Transport for Port {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async {
            let stream = self.node.connect(self.address, PROBE_TIMEOUT).await;
            Ok(Box::new(stream.map_err(io::Error::other)?) as Box<dyn Stream>)
        })
    }
}

/// The path that a probe asks for.
pub(crate) fn path(probe: Probe) -> String {
    format!("/v1/health?level={}", probe.level())
}

/// The port on which the `at`-th container of a pod answers.
pub(crate) fn port(at: usize) -> u16 {
    PROBE_PORT.saturating_add(u16::try_from(at).unwrap_or(u16::MAX))
}

/// Whether a container says of itself that it is well; nothing where this machine could not ask.
pub(crate) async fn ask(engine: &Engine, pod: &Pod, at: usize, probe: Probe) -> Option<bool> {
    let address = SocketAddrV4::new(pod.ip(), port(at));
    let request = Request::get(path(probe))
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "kube-probe/1.34")
        .header(header::CONNECTION, "close")
        .body(http1_client::Body::default())
        .ok()?;
    let way = Bounded(Port { node: engine.node.clone(), address }, ANSWER_MAX);
    match tokio::time::timeout(PROBE_TIMEOUT, way.send(request)).await {
        Ok(Ok(answer)) => Some((200..400).contains(&answer.status.as_u16())),
        Ok(Err(error)) => (!files::is_own_shortage(&error)).then_some(false),
        Err(_) => Some(false),
    }
}
