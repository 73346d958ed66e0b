//! A session with the primary: what it says of itself, and how the session ends.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Config;
use crate::machine::{Cause, Instance, Observation};

/// The name of the agent's sessions, by which the server's stop finds them.
pub const APPLICATION_NAME: &str = "pooler-agent";
/// The same where pools are bound to sessions: the stop need not wait for those.
pub const SESSION_APPLICATION_NAME: &str = "pooler-agent session";

/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(1);
/// The pause between two looks at a server that is in recovery: it may be promoted at once.
const PROMOTION: Duration = Duration::from_millis(5);
/// How long one login goes on looking.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two signs of life. A server that is frozen keeps its connections, and no
/// other sign of it.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a sign of life may take.
const SILENCE: Duration = Duration::from_secs(3);
/// What a server says as it ends a session for its own stop, or for a role that may end it.
const TERMINATED: &str = "57P01";

/// What is asked; every name is looked up in `pg_catalog` alone.
const ASK: &str = "SELECT pg_catalog.pg_is_in_recovery(), \
pg_catalog.current_setting('transaction_read_only'), \
pg_catalog.pg_postmaster_start_time()";

/// An open session with a server that said that it is the primary.
pub(crate) struct Session {
    client: Client,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Waits until the session ends.
    pub(crate) async fn ended(mut self) -> Cause {
        loop {
            tokio::select! {
                ended = &mut self.driver => {
                    let code = |error: &tokio_postgres::Error| {
                        error.code().is_some_and(|code| code.code() == TERMINATED)
                    };
                    let terminated = ended.is_ok_and(|error| error.as_ref().is_some_and(code));
                    return if terminated { Cause::Terminated } else { Cause::Lost };
                }
                () = sleep(HEARTBEAT) => {}
            }
            let beat = timeout(SILENCE, self.client.simple_query(""));
            match beat.await {
                Ok(Ok(_)) => {}
                // Why, its end says.
                Ok(Err(_)) if self.client.is_closed() => {}
                Ok(Err(_)) | Err(_) => return Cause::Lost,
            }
        }
    }
}

/// Looks for the primary through its Service: what was seen, and the session with it.
pub(crate) async fn probe(config: &Config) -> (Observation, Option<Session>) {
    let Ok(Ok(session)) = timeout(LOGIN, open(config)).await else {
        return (Observation::NoPrimary, None);
    };
    let found = timeout(PATIENCE, async {
        loop {
            match ask(&session.client).await {
                Ok(Some(instance)) => return Some(instance),
                Ok(None) => sleep(PROMOTION).await,
                Err(_) => return None,
            }
        }
    });
    match found.await {
        Ok(Some(instance)) => (Observation::Primary(instance), Some(session)),
        Ok(None) | Err(_) => (Observation::NoPrimary, None),
    }
}

async fn open(config: &Config) -> Result<Session, postgres::Failure> {
    let name = match config.session_pooling {
        true => SESSION_APPLICATION_NAME,
        false => APPLICATION_NAME,
    };
    let second = Duration::from_secs(1);
    let mut options = tokio_postgres::Config::new();
    options
        .host(&config.host)
        .port(config.port)
        .user(config.user.as_str())
        .password(config.password.expose_secret())
        .dbname(config.database.as_str())
        .application_name(name)
        .options(postgres::SESSION_OPTIONS)
        .keepalives_idle(second)
        .keepalives_interval(second)
        .keepalives_retries(3)
        .tcp_user_timeout(3 * second);
    Ok(match &config.ca {
        None => drive(options.connect(NoTls).await?),
        Some(ca) => {
            options.ssl_mode(SslMode::Require);
            drive(options.connect(MakeRustlsConnect::new(postgres::tls_config(ca)?)).await?)
        }
    })
}

fn drive<S, T>((client, connection): (Client, tokio_postgres::Connection<S, T>)) -> Session
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Session { client, driver: tokio::spawn(async move { connection.await.err() }) }
}

/// The server's run, if it takes writes.
async fn ask(client: &Client) -> Result<Option<Instance>, tokio_postgres::Error> {
    for message in client.simple_query(ASK).await? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let column = |index: usize| row.try_get(index).ok().flatten();
        if let [Some("f"), Some("off"), Some(started)] = [0, 1, 2].map(column) {
            return Ok(Some(Instance(started.to_owned())));
        }
    }
    Ok(None)
}
