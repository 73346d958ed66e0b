//! A connection to a server, and the task that drives it.

use std::ops::Deref;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::Failure;
use crate::tls::tls_config;
use crate::{DatabaseName, RoleName};

/// Where and as which user to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Host name or address.
    pub host: String,
    /// Port, normally 5432.
    pub port: u16,
    /// Login role.
    pub user: RoleName,
    /// Its password.
    pub password: SecretString,
    /// Database.
    pub database: DatabaseName,
    /// The longest time the connection may take to be ready.
    pub timeout: Duration,
    /// The CA certificates, in PEM, that the server is verified with. With them the connection is
    /// encrypted and the server's certificate and name are checked.
    pub ca: Option<String>,
}

/// A connection, driven by a task of the running runtime. Dropping it closes it.
pub struct Connection {
    client: Client,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
}

impl Connection {
    /// Logs in. With CA certificates, in PEM, the connection is encrypted and the server's
    /// certificate and name are checked. The caller bounds the time.
    ///
    /// # Errors
    /// When the server is not there, shows another certificate or refuses the login.
    pub async fn open(mut config: Config, ca: Option<&str>) -> Result<Self, Failure> {
        Ok(match ca {
            None => drive(config.connect(NoTls).await?),
            Some(ca) => {
                config.ssl_mode(SslMode::Require);
                drive(config.connect(MakeRustlsConnect::new(tls_config(ca)?)).await?)
            }
        })
    }

    /// Waits until the connection ends; the error that ended it, if it was one.
    pub async fn ended(&mut self) -> Option<tokio_postgres::Error> {
        (&mut self.driver).await.ok().flatten()
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Has the connection driven. An error on it comes back from the statement that waits for it.
fn drive<S, T>((client, connection): (Client, tokio_postgres::Connection<S, T>)) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Connection { client, driver: tokio::spawn(async move { connection.await.err() }) }
}

/// Whether a server lets sessions in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It does, or it refuses this one.
    Ready,
    /// It is not there, starts or stops, or has no room.
    Away,
}

/// Asks a server as `pg_isready` does: with a user and without a password. A server that goes on to
/// ask for that lets sessions in, and logs nothing of this one. The caller bounds the time.
pub async fn readiness(config: Config, ca: Option<&str>) -> Readiness {
    match Connection::open(config, ca).await {
        Ok(_) => Readiness::Ready,
        Err(failure) if failure.is_password_missing() => Readiness::Ready,
        Err(failure) if failure.is_transient() => Readiness::Away,
        Err(_) => Readiness::Ready,
    }
}
