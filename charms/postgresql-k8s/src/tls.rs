//! This unit's certificate: the files that PostgreSQL reads, and what was asked for.
//!
//! The key is made on the unit and never leaves its volume. It waits with its request in a
//! file of its own until the certificate is there: a server whose key and certificate do not
//! belong together does not start.

pub(crate) use certificates::{Files, Issuer, Request, TOLD};

/// The server's key.
pub(crate) const KEY: &str = "/var/lib/postgresql/data/key.pem";
/// The server's certificate and those between it and the issuer's.
pub(crate) const CERTIFICATE: &str = "/var/lib/postgresql/data/cert.pem";
/// The certificate of the issuer.
pub(crate) const CA: &str = "/var/lib/postgresql/data/ca.pem";
/// The key that a certificate was asked for, and the request.
pub(crate) const REQUEST: &str = "/var/lib/postgresql/data/request.pem";

/// What is known about this unit's certificate.
pub struct Tls {
    /// What PostgreSQL reads; none while it serves without TLS.
    pub files: Option<Files>,
    /// Why they cannot be used, for instance because somebody wrote another key beside them.
    pub unusable: Option<String>,
    /// Whether its certificate is in the last third of its life; looked at in hooks that are
    /// not the issuer's own.
    pub aged: bool,
    /// What was asked for.
    pub request: Option<Request>,
    /// Who may issue a certificate.
    pub issuer: Issuer,
    /// Whether all other units serve with TLS; read when it matters.
    pub others: bool,
}

impl Tls {
    /// Nothing is there, and nobody was asked.
    pub fn none() -> Self {
        Self {
            files: None,
            unusable: None,
            aged: false,
            request: None,
            issuer: Issuer::Unknown,
            others: false,
        }
    }
}
