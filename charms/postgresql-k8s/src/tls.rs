//! This unit's certificate: the files that PostgreSQL reads, and what was asked for.
//!
//! The key is made on the unit and never leaves its volume. It waits with its request in a
//! file of its own until the certificate is there: a server whose key and certificate do not
//! belong together does not start.

use charm::{Bag, ExposeSecret as _, RelationId, SecretString};
use interfaces::BagError;
use interfaces::tls_certificates::{Issued, issued};

/// The key in the application's peer databag that says whom clients were told to trust.
pub(crate) const TOLD: &str = "tls-ca";
/// The server's key.
pub(crate) const KEY: &str = "/var/lib/postgresql/data/key.pem";
/// The server's certificate and those between it and the issuer's.
pub(crate) const CERTIFICATE: &str = "/var/lib/postgresql/data/cert.pem";
/// The certificate of the issuer.
pub(crate) const CA: &str = "/var/lib/postgresql/data/ca.pem";
/// The key that a certificate was asked for, and the request.
pub(crate) const REQUEST: &str = "/var/lib/postgresql/data/request.pem";

const REQUEST_BEGINS: &str = "-----BEGIN CERTIFICATE REQUEST-----";

/// What is known about this unit's certificate.
pub struct Tls {
    /// What PostgreSQL reads; none while it serves without TLS.
    pub files: Option<Files>,
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

/// A key, its certificate and who vouches for it, in PEM.
#[derive(Clone)]
pub struct Files {
    /// The key.
    pub key: SecretString,
    /// The certificate, and those between it and the issuer's.
    pub certificate: String,
    /// The issuer's certificate.
    pub ca: String,
}

/// A key and the request for its certificate, in PEM.
#[derive(Clone)]
pub struct Request {
    /// The key.
    pub key: SecretString,
    /// The request.
    pub csr: String,
}

/// The other end of the relation `certificates`.
pub enum Issuer {
    /// Not looked for: what is there stays.
    Unknown,
    /// There is none.
    None,
    /// There is one.
    Related {
        /// The relation.
        id: RelationId,
        /// What this unit asked for.
        asked: Bag,
        /// The application that issues, as its databag has it.
        offered: Bag,
    },
}

impl Tls {
    /// Nothing is there, and nobody was asked.
    pub fn none() -> Self {
        Self { files: None, aged: false, request: None, issuer: Issuer::Unknown, others: false }
    }
}

impl Files {
    /// The files of an issued certificate.
    fn of(key: &SecretString, issued: &Issued) -> Self {
        let ca = format!("{}\n", issued.ca.trim());
        Self { key: key.clone(), certificate: issued.shown(), ca }
    }
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.key.expose_secret() == other.key.expose_secret()
            && self.certificate == other.certificate
            && self.ca == other.ca
    }
}

impl Request {
    /// Reads the file; nonsense counts as none.
    pub(crate) fn parse(text: &SecretString) -> Option<Self> {
        let at = text.expose_secret().find(REQUEST_BEGINS)?;
        let (key, csr) = text.expose_secret().split_at(at);
        Some(Self { key: key.to_owned().into(), csr: csr.to_owned() })
    }

    /// The file's text.
    pub(crate) fn text(&self) -> SecretString {
        format!("{}{}", self.key.expose_secret(), self.csr).into()
    }

    /// The files of the certificate that was issued for it, if there is one.
    pub(crate) fn answer(&self, offered: &Bag) -> Result<Option<Files>, BagError> {
        let Some(issued) = issued(offered, &self.csr)? else { return Ok(None) };
        let files = Files::of(&self.key, &issued);
        postgres::check_ca(&files.ca).map_err(|error| BagError::new("ca", error))?;
        postgres::check_certificate(&files.certificate, &files.key)
            .map_err(|error| BagError::new("certificate", error))?;
        Ok(Some(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let request = Request {
            key: "-----BEGIN PRIVATE KEY-----\nk\n".to_owned().into(),
            csr: format!("{REQUEST_BEGINS}\nr\n"),
        };
        let read = Request::parse(&request.text()).unwrap();
        assert_eq!(read.csr, request.csr);
        assert_eq!(read.key.expose_secret(), request.key.expose_secret());
        assert!(Request::parse(&"nonsense".to_owned().into()).is_none());
    }
}
