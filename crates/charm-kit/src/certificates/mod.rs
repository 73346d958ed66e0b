//! A unit's certificate: the key that it made, the request, the issuer's answer, and what is
//! published of it to clients.
//!
//! The relation is `certificates` of the interface `tls-certificates`. Where a charm keeps the
//! files is its own.

mod clients;
mod key;
mod request;
mod unit;

pub use clients::{Trust, is_published, share, shared};
pub use key::{GivenKey, KeyError, KeyRequest, SET_KEY};
pub use request::{Files, Request, Step, make_request};
pub use unit::{Change, Issuer, Steps, Tls};

/// The endpoint at which certificates are asked for.
pub const ENDPOINT: &str = "certificates";

/// The key in the application's peer databag with the CA that was published to clients.
pub const PUBLISHED_CA: &str = "tls-ca";

/// The key in which a unit reports to its peers that it serves with TLS, and its value.
pub const FLAG: (&str, &str) = ("tls", "enabled");

/// Said while an issuer has not answered the first request: nothing else shows that it may never.
pub const UNANSWERED: &str = "waiting for the certificate that was asked for";
