//! Sockets that live in the instance's network namespace, opened by a thread that moved there.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// A socket in the instance's network that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The namespace could not be entered.
    #[error("cannot enter the network of the instance: {0}")]
    Enter(std::io::Error),
    /// A listener could not be opened.
    #[error("cannot listen on {address} in the network of the instance: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddrV4,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A connection could not be made.
    #[error("cannot connect to {address} in the network of the instance: {source}")]
    Connect {
        /// The address asked for.
        address: SocketAddrV4,
        /// What the operating system said.
        source: std::io::Error,
    },
}

enum Request {
    Tcp(oneshot::Sender<std::io::Result<TcpSocket>>),
    Udp(SocketAddrV4, oneshot::Sender<std::io::Result<UdpSocket>>),
}

/// Hands out sockets of the instance's network. A socket belongs to the network that it was made
/// in, whichever thread uses it later; so only the making happens on the thread.
#[derive(Clone, Debug)]
pub struct Network {
    requests: mpsc::Sender<Request>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}

impl Network {
    /// Starts the thread inside the namespace that `file` stands for, and lets packets pass
    /// between the links of that namespace.
    pub(crate) fn enter(file: &Path) -> Result<Self, SocketError> {
        let namespace = std::fs::File::open(file).map_err(SocketError::Enter)?;
        let (requests, incoming) = mpsc::channel();
        let (ready, entered) = mpsc::channel();
        std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                let moved = move_into_link_name_space(namespace.as_fd(), kind)
                    .map_err(std::io::Error::from)
                    .and_then(|()| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"));
                let go = moved.is_ok();
                let _ = ready.send(moved);
                if go {
                    serve(&incoming);
                }
            })
            .map_err(SocketError::Enter)?;
        entered
            .recv()
            .unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))
            .map_err(SocketError::Enter)?;
        Ok(Self { requests })
    }

    /// A TCP listener on `address`.
    pub async fn listen_tcp(&self, address: SocketAddrV4) -> Result<TcpListener, SocketError> {
        let open = async {
            let socket = self.ask(Request::Tcp).await?;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::V4(address))?;
            socket.listen(1024)
        };
        open.await.map_err(|source| SocketError::Listen { address, source })
    }

    /// A UDP socket bound to `address`.
    pub async fn bind_udp(
        &self,
        address: SocketAddrV4,
    ) -> Result<tokio::net::UdpSocket, SocketError> {
        let open = async {
            let socket = self.ask(|reply| Request::Udp(address, reply)).await?;
            socket.set_nonblocking(true)?;
            tokio::net::UdpSocket::from_std(socket)
        };
        open.await.map_err(|source| SocketError::Listen { address, source })
    }

    /// A connection to `address`, given up after `timeout`.
    pub async fn connect(
        &self,
        address: SocketAddrV4,
        timeout: Duration,
    ) -> Result<TcpStream, SocketError> {
        let open = async {
            let socket = self.ask(Request::Tcp).await?;
            tokio::time::timeout(timeout, socket.connect(SocketAddr::V4(address)))
                .await
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
        };
        open.await.map_err(|source| SocketError::Connect { address, source })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<std::io::Result<T>>) -> Request,
    ) -> std::io::Result<T> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Opens what is asked for until the last sender is gone.
fn serve(incoming: &mpsc::Receiver<Request>) {
    for request in incoming {
        match request {
            Request::Tcp(reply) => drop(reply.send(TcpSocket::new_v4())),
            Request::Udp(address, reply) => drop(reply.send(UdpSocket::bind(address))),
        }
    }
}
