//! The way to the far side of a request.

use std::fmt::{Debug, Display, Formatter};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::{Body, Error, Response};

/// A future in a box, so that a port can be chosen at run time.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The port of every client that speaks HTTP. Real ways open a stream for each request; a
/// simulated far side answers [`Transport::send`] itself. Its text names the far side.
pub trait Transport: Debug + Display + Send + Sync {
    /// Opens a stream to the far side.
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>>;

    /// Sends one request and reads the whole answer.
    fn send(&self, request: Request<Body>) -> Boxed<'_, Result<Response, Error>> {
        Box::pin(async {
            let stream = self.dial().await.map_err(Error::Connect)?;
            crate::send(stream, request).await
        })
    }
}

/// A unix socket.
#[derive(Debug, Clone)]
pub struct Unix(
    /// The socket's path.
    pub PathBuf,
);

impl Display for Unix {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl Transport for Unix {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(UnixStream::connect(&self.0).await?) as Box<dyn Stream>) })
    }
}

/// A TCP port.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Display for Tcp {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Transport for Tcp {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// A way on which no answer's body is longer than so many bytes: for far sides that are not
/// trusted.
#[derive(Debug, Clone)]
pub struct Bounded<T>(
    /// The way.
    pub T,
    /// The longest body.
    pub usize,
);

impl<T: Display> Display for Bounded<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Transport> Transport for Bounded<T> {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        self.0.dial()
    }

    fn send(&self, request: Request<Body>) -> Boxed<'_, Result<Response, Error>> {
        Box::pin(async {
            let stream = self.dial().await.map_err(Error::Connect)?;
            crate::send_bounded(stream, request, self.1).await
        })
    }
}
