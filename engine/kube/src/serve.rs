//! The listener: TLS connections, each served on its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::respond::respond;
use crate::{Api, Authorize, ServerTls};

/// A peer that has not finished the TLS handshake by then is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The pause after a failed accept, for instance when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API until dropped; dropping it closes every connection.
pub async fn serve(api: Api, listener: TcpListener, tls: ServerTls, who: Arc<dyn Authorize>) {
    let acceptor = TlsAcceptor::from(tls.config());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (api, who) = (api.clone(), who.clone());
                    connections.spawn(connection(api, stream, acceptor.clone(), who));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the Kubernetes API");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(api: Api, stream: TcpStream, acceptor: TlsAcceptor, who: Arc<dyn Authorize>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "cannot finish a TLS handshake"),
        Err(_) => return tracing::debug!("cannot finish a TLS handshake in time"),
    };
    let service = service_fn(|request| {
        let (api, who) = (api.clone(), who.clone());
        async move { Ok::<_, Infallible>(respond(&api, who.as_ref(), request).await) }
    });
    // Clients cut their watches without a farewell; that ends their connection and no other.
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a connection to the Kubernetes API ended early");
    }
}
