//! The port behind which PostgreSQL is a real server or a simulated one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
use crate::sql::{self, Query, Statement};

/// A future in a box, so that a port can be chosen at run time.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One row of an answer, every column as text.
pub type Row = Vec<Option<String>>;

/// What every session of ours holds before its first statement.
///
/// A database's owner can set almost anything for its sessions, ours too; what a client sends as it
/// connects takes precedence over that. So the names in our statements are looked up in
/// `pg_catalog` and nowhere else, the role stays ours, no library is loaded, and no row-security
/// policy applies. What is left, `LEVEL` puts back.
///
/// One statement may run for 30 s and wait for a lock for 10 s; between two the session is not
/// ended.
pub const SESSION_OPTIONS: &str = "-c search_path=pg_catalog,pg_temp -c role=none \
-c local_preload_libraries= -c row_security=off -c idle_session_timeout=0 \
-c statement_timeout=30000 -c lock_timeout=10000";

/// Ways to have no event trigger run, the best first: that of PostgreSQL 17, that of older ones,
/// which does not stop triggers that are made to fire always, and none for ordinary roles, which
/// may have neither. PostgreSQL 17 also ends whole transactions, which older ones cannot.
const EVENT_TRIGGERS_OFF: [&str; 3] =
    [" -c event_triggers=off -c transaction_timeout=0", " -c session_replication_role=replica", ""];

/// What PostgreSQL says of an option that it does not know.
const UNKNOWN: &str = "42704";
/// What it says of an option that the role may not set, and of a database that it may not enter.
const FORBIDDEN: &str = "42501";

/// Puts back whatever a database or a role sets for its sessions that any role may set. One has no
/// value of PostgreSQL's own there, and takes no empty one.
const LEVEL: &str = "\
WITH moved AS MATERIALIZED (
  SELECT s.name, COALESCE(s.boot_val,
    CASE s.name WHEN 'timezone_abbreviations' THEN 'Default' ELSE '' END) AS value FROM pg_catalog.pg_settings s
  WHERE s.context = 'user' AND s.source IN ('database', 'user', 'database user'))
SELECT pg_catalog.set_config(m.name, m.value, false) FROM moved m";

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

    /// Whether another session changed the same object at the same time. Grants on an object do
    /// not wait for each other, and the server has no code of its own for that.
    pub fn is_collision(&self) -> bool {
        match self.code() {
            Some("40001" | "40P01") => true,
            Some("XX000") => self.cause.to_string().contains("tuple concurrently"),
            _ => false,
        }
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
    /// Logs in to a session with these settings, in the form of [`SESSION_OPTIONS`]. The caller
    /// bounds the time.
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
        settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>>;

    /// Rounds of the digest in a new password's verifier.
    fn iterations(&self) -> u32 {
        crate::scram::ITERATIONS
    }
}

/// One connection; dropping it closes it.
pub trait Session: Send + Sync {
    /// The rows that answer a query.
    fn query<'a>(&'a self, query: Query<'a>) -> Boxed<'a, Result<Vec<Row>, Failure>>;

    /// Runs one statement outside a transaction, or several inside one.
    fn execute<'a>(&'a self, statements: &'a [Statement]) -> Boxed<'a, Result<(), Failure>>;
}

/// A server that the network leads to.
#[derive(Default)]
pub struct Network {
    /// How many of [`EVENT_TRIGGERS_OFF`] it does not know.
    unknown: AtomicUsize,
}

impl Server for Network {
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
        settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = self.open(options, settings).await?;
            session.rows(LEVEL, &[]).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

impl Network {
    /// Logs in with as many event triggers off as the server lets this role have off.
    async fn open(&self, options: &ConnectOptions, settings: &str) -> Result<Connection, Failure> {
        let [ways @ .., none] = EVENT_TRIGGERS_OFF;
        for way in ways.into_iter().skip(self.unknown.load(Ordering::Relaxed)) {
            let opened = open(options, &format!("{settings}{way}")).await;
            match opened.as_ref().err().and_then(Failure::code) {
                Some(UNKNOWN) => drop(self.unknown.fetch_add(1, Ordering::Relaxed)),
                Some(FORBIDDEN) => break,
                _ => return opened,
            }
        }
        open(options, &format!("{settings}{none}")).await
    }
}

/// Logs in to a session with these settings.
async fn open(options: &ConnectOptions, settings: &str) -> Result<Connection, Failure> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&options.host)
        .port(options.port)
        .user(options.user.as_str())
        .password(options.password.expose_secret())
        .dbname(options.database.as_str())
        .application_name("charm")
        .options(settings);
    Ok(match &options.ca {
        None => drive(config.connect(NoTls).await?),
        Some(ca) => {
            config.ssl_mode(SslMode::Require);
            drive(config.connect(MakeRustlsConnect::new(tls_config(ca)?)).await?)
        }
    })
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

impl Connection {
    /// Runs one statement with text parameters and returns its rows.
    async fn rows(&self, text: &str, parameters: &[&str]) -> Result<Vec<Row>, Failure> {
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            parameters.iter().map(|text| text as _).collect();
        let mut found = Vec::new();
        for row in self.inner.query(text, &parameters).await? {
            let columns = (0..row.len()).map(|column| row.try_get(column));
            found.push(columns.collect::<Result<Row, _>>()?);
        }
        Ok(found)
    }
}

impl Session for Connection {
    fn query<'a>(&'a self, query: Query<'a>) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(async move { self.rows(&query.sql(), &query.parameters()).await })
    }

    fn execute<'a>(&'a self, statements: &'a [Statement]) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move { Ok(self.inner.batch_execute(&sql::text(statements)).await?) })
    }
}
