//! The listener: TLS connections, each served on its own and within its bounds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::bounds::{Gate, Limits, Seat};
use crate::respond::respond_to;
use crate::{Api, Authorize, ServerTls};

/// The pause after a failed accept, for instance when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of a request's line and headers together.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Serves the API until dropped; dropping it closes every connection. A connection beyond
/// `limits` is closed before anything is read from it.
pub async fn serve(
    api: Api,
    listener: TcpListener,
    tls: ServerTls,
    who: Arc<dyn Authorize>,
    limits: Limits,
) {
    let acceptor = TlsAcceptor::from(tls.config());
    let gate = Gate::new(limits);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match gate.enter(peer.ip()) {
                    Some(seat) => {
                        let (api, who) = (api.clone(), who.clone());
                        connections.spawn(connection(api, stream, acceptor.clone(), who, seat));
                    }
                    None => tracing::debug!(%peer, "cannot take one more connection"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the Kubernetes API");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    api: Api,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    who: Arc<dyn Authorize>,
    seat: Seat,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    // A peer that has gone without a word, its pod being removed, is noticed.
    if let Err(error) = rustix::net::sockopt::set_socket_keepalive(&stream, true) {
        tracing::debug!(%error, "cannot have the connection looked after");
    }
    let limits = seat.limits().clone();
    // A peer that reads nothing does not keep its answers in memory for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.unread));
    let handshake = acceptor.accept(Box::pin(stream));
    let stream = match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "cannot finish a TLS handshake"),
        Err(_) => return tracing::debug!("cannot finish a TLS handshake in time"),
    };
    let service = service_fn(|request| {
        let (api, who, seat) = (api.clone(), who.clone(), seat.clone());
        async move { Ok::<_, Infallible>(respond_to(&api, who.as_ref(), &seat, request).await) }
    });
    // Clients cut their watches without a farewell; that ends their connection and no other.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the Kubernetes API ended early");
    }
}
