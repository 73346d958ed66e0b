//! One HTTP/1.1 request over any stream.
//!
//! Pebble speaks HTTP over a unix socket, Patroni over TCP and Kubernetes over TLS.
//! A hook makes a handful of requests, so there is no pool: one stream, one request.
//! [`Transport`] is the port behind which the far side may be a simulated one.

mod transport;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

pub use hyper::body::Bytes;
pub use hyper::{HeaderMap, Method, Request, StatusCode, header};
pub use transport::{Boxed, Stream, Tcp, Transport, Unix};

/// A request's body, held in memory.
pub type Body = Full<Bytes>;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens at the far side.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The peer did not complete the HTTP handshake or closed the stream.
    #[error("cannot send the HTTP request")]
    Send(#[source] hyper::Error),
    /// The answer stopped before its end.
    #[error("cannot read the HTTP answer")]
    Read(#[source] hyper::Error),
    /// The answer is longer than the bound.
    #[error("cannot read the HTTP answer: it is longer than {0} bytes")]
    TooLong(usize),
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The longest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Sends `request` over `stream` and reads the whole answer.
///
/// The caller bounds the time, for instance with `tokio::time::timeout`.
///
/// # Errors
/// When the peer closes the stream early or the answer is over [`BODY_BYTES_MAX`].
pub async fn send<S>(stream: S, request: Request<Body>) -> Result<Response, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Error::Send)?;
    let connection = tokio::spawn(connection);
    let answer = exchange(&mut sender, request).await;
    connection.abort();
    answer
}

async fn exchange(
    sender: &mut hyper::client::conn::http1::SendRequest<Body>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let response = sender.send_request(request).await.map_err(Error::Send)?;
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(Error::Read)?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > BODY_BYTES_MAX {
            return Err(Error::TooLong(BODY_BYTES_MAX));
        }
        body.extend_from_slice(data);
    }
    Ok(Response { status: parts.status, headers: parts.headers, body: body.into() })
}
