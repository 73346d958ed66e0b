//! One HTTP/1.1 request over any stream.
//!
//! Pebble speaks HTTP over a unix socket, Patroni over TCP and Kubernetes over TLS.
//! A hook makes a handful of requests, so there is no pool: one stream, one request.
//! [`Transport`] is the port behind which the far side may be a simulated one.

mod transport;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncWrite};

pub use hyper::body::Bytes;
pub use hyper::{HeaderMap, Method, Request, StatusCode, header};
pub use transport::{Bounded, Boxed, Stream, Tcp, Transport, Unix};

/// What a path segment and a query value may hold as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A path segment or a query value, percent-encoded.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The text of a path segment or a query value.
pub fn decode(encoded: &str) -> String {
    percent_decode_str(encoded).decode_utf8_lossy().into_owned()
}

/// A request's body, held in memory.
pub type Body = Full<Bytes>;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens at the address.
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

/// The longest body that is read, in bytes, unless [`Bounded`] says less.
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
    send_bounded(stream, request, BODY_BYTES_MAX).await
}

async fn send_bounded<S>(stream: S, request: Request<Body>, max: usize) -> Result<Response, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Error::Send)?;
    let connection = tokio::spawn(connection);
    let answer = exchange(&mut sender, request, max).await;
    connection.abort();
    answer
}

async fn exchange(
    sender: &mut hyper::client::conn::http1::SendRequest<Body>,
    request: Request<Body>,
    max: usize,
) -> Result<Response, Error> {
    let response = sender.send_request(request).await.map_err(Error::Send)?;
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(Error::Read)?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > max {
            return Err(Error::TooLong(max));
        }
        body.extend_from_slice(data);
    }
    Ok(Response { status: parts.status, headers: parts.headers, body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn answered(length: usize, max: usize) -> Result<Response, Error> {
        let (own, mut far) = tokio::io::duplex(1 << 10);
        let peer = tokio::spawn(async move {
            let mut request = [0; 1 << 10];
            assert!(far.read(&mut request).await.unwrap() > 0);
            // Its length is not known before its end, as where the peer is after memory.
            let head =
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
            far.write_all(head.as_bytes()).await.unwrap();
            // The client closes the connection once it has read enough.
            far.write_all(&vec![b'x'; length]).await.ok();
            far.write_all(b"\r\n0\r\n\r\n").await.ok();
        });
        let answer = send_bounded(own, Request::new(Body::default()), max).await;
        peer.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn an_answer_over_the_bound_is_not_read() {
        assert_eq!(answered(5000, 5000).await.unwrap().body.len(), 5000);
        assert!(matches!(answered(5001, 5000).await, Err(Error::TooLong(5000))));
    }
}
