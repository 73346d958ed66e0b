//! Where this unit's certificate lies.
//!
//! The key is made on the unit and never leaves its volume. It waits with its request in a
//! file of its own until the certificate is there: a server whose key and certificate do not
//! belong together does not start.

/// The server's key.
pub(crate) const KEY: &str = "/var/lib/postgresql/data/key.pem";
/// The server's certificate and those between it and the issuer's.
pub(crate) const CERTIFICATE: &str = "/var/lib/postgresql/data/cert.pem";
/// The certificate of the issuer.
pub(crate) const CA: &str = "/var/lib/postgresql/data/ca.pem";
/// The key that a certificate was asked for, and the request.
pub(crate) const REQUEST: &str = "/var/lib/postgresql/data/request.pem";
