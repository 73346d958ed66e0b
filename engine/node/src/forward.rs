//! Ports of this machine's loopback address that lead into the instance's network.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::netns::Network;

/// A port that could not be opened on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Another program listens there.
    #[error("cannot use port {0} of this machine: another program has it, choose another port")]
    Taken(u16),
    /// The operating system refused for another reason.
    #[error("cannot listen on port {port} of this machine: {source}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// An open way in. It closes, with its connections, when dropped.
#[derive(Debug)]
pub struct Forward {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Forward {
    /// Listens on `127.0.0.1:port` (0 takes any free port) and passes each connection on to
    /// `target` in the instance's network.
    pub(crate) async fn open(
        network: Network,
        port: u16,
        target: SocketAddrV4,
    ) -> Result<Self, ForwardError> {
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => ForwardError::Taken(port),
            _ => ForwardError::Listen { port, source },
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let task = tokio::spawn(accept(listener, network, target));
        Ok(Self { port, task })
    }

    /// The port of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections over one port at once; more are closed at once. Each has two files open.
const CONNECTIONS_MAX: usize = 1000;

async fn accept(listener: TcpListener, network: Network, target: SocketAddrV4) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(_) if connections.len() >= CONNECTIONS_MAX => {
                    tracing::debug!(%target, "cannot forward one more connection");
                }
                Ok((client, _)) => drop(connections.spawn(pass(client, network.clone(), target))),
                // Out of file descriptors, most likely: some connection has to end first.
                Err(error) => {
                    tracing::warn!(%error, %target, "cannot accept a forwarded connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(mut client: TcpStream, network: Network, target: SocketAddrV4) {
    match network.connect(target, Duration::from_secs(5)).await {
        Ok(mut server) => {
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        Err(error) => tracing::debug!(%error, "cannot forward a connection"),
    }
}
