//! The port behind which PostgreSQL is a real server or a simulated one.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret;

use crate::connection::{ConnectOptions, Connection};
use crate::failure::Failure;
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
    Connection::open(config, options.ca.as_deref()).await
}

impl Connection {
    /// Runs one statement with text parameters and returns its rows.
    async fn rows(&self, text: &str, parameters: &[&str]) -> Result<Vec<Row>, Failure> {
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            parameters.iter().map(|text| text as _).collect();
        let mut found = Vec::new();
        let client: &tokio_postgres::Client = self;
        for row in client.query(text, &parameters).await? {
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
        Box::pin(async move { Ok(self.batch_execute(&sql::text(statements)).await?) })
    }
}
