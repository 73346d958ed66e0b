//! The console of a PgBouncer process, which speaks PostgreSQL's protocol.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::Failure;

/// The database that is none.
const CONSOLE: &str = "pgbouncer";

/// What a process holds clients back from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// All databases.
    Everything,
    /// These.
    Databases(Vec<String>),
}

/// Where a process listens for itself, and as which user it is queried.
#[derive(Clone)]
pub struct Console {
    /// An address on which this process listens and no other.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// A user that may read the process's statistics.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// The certificate, in PEM, that the process has to show, if it serves with TLS.
    pub certificate: Option<String>,
    /// The longest time that all of it may take.
    pub timeout: Duration,
}

impl Console {
    /// The settings as they are in force, by name.
    ///
    /// # Errors
    /// When the process does not answer in time, shows another certificate or refuses the login.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(self.ask("SHOW CONFIG", ["key", "value"]).await?.into_iter().collect())
    }

    /// What the process holds clients back from; none where it serves.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub async fn pause(&self) -> Result<Option<Pause>, Failure> {
        let yes = |word: &str| ["yes", "1"].contains(&word);
        let state = self.ask("SHOW STATE", ["key", "value"]).await?;
        let held = |(key, value): &(String, String)| key != "active" && yes(value);
        if state.iter().any(held) {
            return Ok(Some(Pause::Everything));
        }
        let databases = self.ask("SHOW DATABASES", ["name", "paused"]).await?;
        let paused = databases.into_iter().filter(|(_, paused)| yes(paused)).map(|(name, _)| name);
        let paused: Vec<String> = paused.collect();
        Ok((!paused.is_empty()).then_some(Pause::Databases(paused)))
    }

    /// Two columns of an answer.
    async fn ask(
        &self,
        command: &str,
        columns: [&str; 2],
    ) -> Result<Vec<(String, String)>, Failure> {
        let late = || Failure::new(None, "no answer in time");
        let asked = tokio::time::timeout(self.timeout, self.connect(command, columns)).await;
        asked.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(
        &self,
        command: &str,
        columns: [&str; 2],
    ) -> Result<Vec<(String, String)>, Failure> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(self.address.to_string())
            .port(self.port)
            .user(&self.user)
            .password(self.password.expose_secret())
            .dbname(CONSOLE)
            .application_name("charm");
        match &self.certificate {
            None => {
                config.ssl_mode(SslMode::Disable);
                show(config.connect(NoTls).await?, command, columns).await
            }
            Some(certificate) => {
                config.ssl_mode(SslMode::Require);
                let connected = config.connect(MakeRustlsConnect::new(pinned(certificate)?));
                show(connected.await?, command, columns).await
            }
        }
    }
}

/// Asks, while the connection is driven.
async fn show<S, T>(
    (client, connection): (tokio_postgres::Client, tokio_postgres::Connection<S, T>),
    command: &str,
    [key, value]: [&str; 2],
) -> Result<Vec<(String, String)>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = std::pin::pin!(connection);
    // The console takes one statement without parameters at a time.
    let answer = tokio::select! {
        answer = client.simple_query(command) => answer?,
        ended = &mut connection => {
            ended?;
            return Err(Failure::new(None, "the connection ended"));
        }
    };
    drop(client);
    // It says goodbye, which changes nothing in what was read.
    connection.await.ok();
    let pair = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let name = row.try_get(key).ok()??;
            let value = row.try_get(value).ok()?.unwrap_or_default();
            Some((name.to_owned(), value.to_owned()))
        }
        _ => None,
    };
    Ok(answer.iter().filter_map(pair).collect())
}

/// TLS with the holder of this certificate, whatever its names and issuer.
fn pinned(certificate: &str) -> Result<ClientConfig, Failure> {
    let unusable = |error: &dyn std::error::Error| Failure::new(None, error.to_string());
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
    let certificate = certificate.map_err(|error| unusable(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Pinned { certificate, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(pinned));
    Ok(config.with_no_client_auth())
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
