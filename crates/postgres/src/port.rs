//! The port behind which PostgreSQL is a real server or a simulated one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::ConnectOptions;

/// A future in a box, so that a port can be chosen at run time.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One row of an answer, every column as text.
pub type Row = Vec<Option<String>>;

/// How long one statement may run and how long it may wait for a lock, in milliseconds.
const SESSION_OPTIONS: &str = "-c statement_timeout=30000 -c lock_timeout=10000";

/// What the server said when it refused, or what broke on the way to it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    code: Option<String>,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    /// A refusal with its SQLSTATE, or a broken connection where there is none.
    pub fn new(
        code: Option<&str>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { code: code.map(str::to_owned), cause: cause.into() }
    }

    /// The SQLSTATE with which the server refused.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let code = error.code().map(|state| state.code().to_owned());
        // The error itself says "db error" and no more; its causes say what.
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self { code, cause: text.into() }
    }
}

/// Where sessions come from.
pub trait Server: Send + Sync {
    /// Logs in. The caller bounds the time.
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>>;

    /// Rounds of the digest in a new password's verifier.
    fn iterations(&self) -> u32 {
        crate::scram::ITERATIONS
    }
}

/// One connection; dropping it closes it.
pub trait Session: Send + Sync {
    /// Runs one statement with text parameters and returns its rows.
    fn query<'a>(
        &'a self,
        text: &'a str,
        parameters: &'a [&'a str],
    ) -> Boxed<'a, Result<Vec<Row>, Failure>>;

    /// Runs one statement outside a transaction, or several inside one.
    fn execute<'a>(&'a self, text: &'a str) -> Boxed<'a, Result<(), Failure>>;
}

/// The servers that the network leads to.
pub struct Network;

impl Server for Network {
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&options.host)
            .port(options.port)
            .user(options.user.as_str())
            .password(options.password.expose_secret())
            .dbname(options.database.as_str())
            .application_name("charm")
            .options(SESSION_OPTIONS);
        Box::pin(async move {
            let session = match &options.ca {
                None => drive(config.connect(NoTls).await?),
                Some(ca) => {
                    config.ssl_mode(SslMode::Require);
                    drive(config.connect(MakeRustlsConnect::new(tls(ca)?)).await?)
                }
            };
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

/// Has the connection driven. An error on it comes back from the statement that waits for it.
fn drive<S, T>(
    (inner, connection): (tokio_postgres::Client, tokio_postgres::Connection<S, T>),
) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let task = tokio::spawn(async move {
        let _ended = connection.await;
    });
    Connection { inner, task }
}

/// Checks that a connection could be made with these certificates as its `ca`.
///
/// # Errors
/// When they are no certificates in PEM.
pub fn check_ca(ca: &str) -> Result<(), Failure> {
    tls(ca).map(drop)
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

/// TLS that trusts these certificates and nobody else's.
fn tls(ca: &str) -> Result<ClientConfig, Failure> {
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

/// A connection, driven by a task of the running runtime.
struct Connection {
    inner: tokio_postgres::Client,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session for Connection {
    fn query<'a>(
        &'a self,
        text: &'a str,
        parameters: &'a [&'a str],
    ) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(async move {
            let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                parameters.iter().map(|text| text as _).collect();
            let mut found = Vec::new();
            for row in self.inner.query(text, &parameters).await? {
                let columns = (0..row.len()).map(|column| row.try_get(column));
                found.push(columns.collect::<Result<Row, _>>()?);
            }
            Ok(found)
        })
    }

    fn execute<'a>(&'a self, text: &'a str) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move { Ok(self.inner.batch_execute(text).await?) })
    }
}
