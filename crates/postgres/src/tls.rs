//! TLS as it is spoken with servers.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;

use crate::failure::Failure;

/// Checks that a connection could be made with these certificates as its `ca`.
///
/// # Errors
/// When they are no certificates in PEM.
pub fn check_ca(ca: &str) -> Result<(), Failure> {
    tls_config(ca).map(drop)
}

/// Checks that a server could show this certificate with this key, both in PEM.
///
/// # Errors
/// When they are none, or do not belong together.
pub fn check_certificate(certificate: &str, key: &secrecy::SecretString) -> Result<(), Failure> {
    let unusable = |error: &dyn std::error::Error| Failure::new(None, error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes());
    let key = key.map_err(|error| unusable(&error))?;
    let provider = rustls::crypto::ring::default_provider();
    let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| unusable(&error))?;
    pair.end_entity_cert().map(drop).map_err(|error| unusable(&error))
}

/// TLS that trusts these certificates, in PEM, and no others.
///
/// # Errors
/// When they are none.
pub fn tls_config(ca: &str) -> Result<ClientConfig, Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::new(None, format!("the certificates that PostgreSQL offers are unusable: {error}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(Failure::new(
            None,
            "PostgreSQL offers TLS without a certificate to check it by",
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
