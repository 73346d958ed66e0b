//! Why a request had no result.

use http1_client::StatusCode;

/// Why a request had no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The trusted certificates cannot be read.
    #[error("cannot read the certificates of the Kubernetes API")]
    Certificates(#[source] rustls::pki_types::pem::Error),
    /// The trusted certificates or the host cannot be used.
    #[error("cannot set up TLS to the Kubernetes API")]
    Tls(#[source] rustls::Error),
    /// The host is neither an address nor a name.
    #[error("cannot use {0:?} as the host of the Kubernetes API")]
    Host(String),
    /// Nothing answers at the address, or not over TLS.
    #[error("cannot connect to the Kubernetes API at {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The request cannot be written.
    #[error("cannot write the request {method} {path}")]
    Request {
        /// The method.
        method: http1_client::Method,
        /// The path.
        path: String,
        /// The cause.
        source: hyper::http::Error,
    },
    /// The connection ended before the answer did.
    #[error("cannot {method} {path} at the Kubernetes API")]
    Send {
        /// The method.
        method: http1_client::Method,
        /// The path.
        path: String,
        /// The cause.
        source: http1_client::Error,
    },
    /// The answer took too long.
    #[error("cannot {method} {path} at the Kubernetes API: no answer in {seconds} s")]
    Timeout {
        /// The method.
        method: http1_client::Method,
        /// The path.
        path: String,
        /// How long the client waited.
        seconds: u64,
    },
    /// The answer is not JSON.
    #[error("cannot read the answer to {method} {path}")]
    Decode {
        /// The method.
        method: http1_client::Method,
        /// The path.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// The API refused.
    #[error("cannot {method} {path}: the Kubernetes API says {status}: {message}")]
    Refused {
        /// The method.
        method: http1_client::Method,
        /// The path.
        path: String,
        /// The status code.
        status: StatusCode,
        /// The API's own words.
        message: String,
    },
}

impl Error {
    /// The status code with which the API refused.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Error::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The application has no rights: it needs `juju trust`.
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(StatusCode::FORBIDDEN)
    }

    /// The object changed since it was read, or exists already.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(StatusCode::CONFLICT)
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}
