//! The certificates of the API: an authority and a server certificate signed by it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

/// The names under which pods know the API.
const NAMES: [&str; 5] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
];

/// A certificate that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or certificate cannot be made.
    #[error("cannot make the certificates of the Kubernetes API")]
    Make(#[from] rcgen::Error),
    /// A stored PEM text is damaged.
    #[error("cannot read the certificates of the Kubernetes API: remove them to have new ones")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate and the key do not work together.
    #[error("cannot use the certificates of the Kubernetes API: remove them to have new ones")]
    Use(#[from] rustls::Error),
}

/// A certificate authority.
pub struct Authority {
    cert_pem: String,
    key: KeyPair,
}

/// A certificate with its key.
pub struct ServerCertificate {
    /// The certificate.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: SecretString,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the system gives no randomness.
    pub fn generate() -> Result<Authority, PkiError> {
        let key = KeyPair::generate()?;
        let cert_pem = authority_params().self_signed(&key)?.pem();
        Ok(Authority { cert_pem, key })
    }

    /// The authority that was stored as two PEM texts.
    ///
    /// # Errors
    /// [`PkiError`] when a text is damaged.
    pub fn from_pem(cert_pem: String, key_pem: &SecretString) -> Result<Authority, PkiError> {
        CertificateDer::from_pem_slice(cert_pem.as_bytes())?;
        Ok(Authority { cert_pem, key: KeyPair::from_pem(key_pem.expose_secret())? })
    }

    /// The certificate that clients trust.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The key, to be stored.
    pub fn key_pem(&self) -> SecretString {
        SecretString::from(self.key.serialize_pem())
    }

    /// Signs a new certificate for the usual names and for `addresses`.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the system gives no randomness.
    pub fn issue(&self, addresses: &[IpAddr]) -> Result<ServerCertificate, PkiError> {
        let mut params = CertificateParams::new(NAMES.map(String::from))?;
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = common_name("kubernetes");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python's strict verification wants to see which key signed.
        params.use_authority_key_identifier_extension = true;
        for_a_century(&mut params);
        let key = KeyPair::generate()?;
        let authority = authority_params();
        let issuer = Issuer::from_params(&authority, &self.key);
        let cert_pem = params.signed_by(&key, &issuer)?.pem();
        Ok(ServerCertificate { cert_pem, key_pem: SecretString::from(key.serialize_pem()) })
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("talisman");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    for_a_century(&mut params);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn for_a_century(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
}

/// What the listener shows to its clients.
#[derive(Clone)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

impl ServerTls {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// [`PkiError`] when one of them is damaged.
    pub fn new(certificate: &ServerCertificate) -> Result<ServerTls, PkiError> {
        let chain = CertificateDer::pem_slice_iter(certificate.cert_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.expose_secret().as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(ServerTls(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> Arc<rustls::ServerConfig> {
        self.0.clone()
    }
}
