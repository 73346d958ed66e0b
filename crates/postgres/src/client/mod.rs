//! A connection to a server and the operations on it.

mod databases;
mod lookup;
mod users;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::port::{Failure, Network, Row, SESSION_OPTIONS, Server, Session};
use crate::{DatabaseName, RoleName, ServerVersion, VersionError};

/// How long a statement may take. The server ends one that runs for longer than 30 s, but not
/// a commit that waits for a standby, which may never come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// Where and as whom to connect.
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
    /// The certificates, in PEM, of whoever vouches for the server. With them the connection
    /// is encrypted and the server's certificate and name are checked.
    pub ca: Option<String>,
}

/// How often a statement is sent that meets another session's change of the same object. Nothing
/// of it was done then.
const COLLISIONS_MAX: u32 = 10;

/// PostgreSQL's code for a write on a server that was the primary a moment ago.
const READ_ONLY: &str = "25006";

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered in time.
    #[error("cannot connect to PostgreSQL at {host}:{port}: no answer in time")]
    Timeout {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// The server is not there or refused the login.
    #[error("cannot connect to PostgreSQL at {host}:{port}, database {database}")]
    Connect {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Database.
        database: DatabaseName,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// A client asked for roles that do not exist.
    #[error("cannot grant roles that do not exist: {0}; ask for existing roles")]
    NoSuchRole(String),
    /// A client asked for a role by which it would be somebody else.
    #[error(
        "cannot grant {role}: with it comes {reached}, which can log in or is a superuser; ask for \
         roles that cannot log in"
    )]
    SomebodyElse {
        /// The role that was asked for.
        role: String,
        /// The role itself, or one that it is a member of.
        reached: String,
    },
    /// An extension's script could run what a client made.
    #[error(
        "cannot {what}: its script could run {object}, which a client made; have that dropped, \
         or leave the extension out"
    )]
    Trapped {
        /// What was to be done.
        what: String,
        /// The function or the operator.
        object: String,
    },
    /// A statement failed.
    #[error("cannot {what}")]
    Statement {
        /// What the statement was for.
        what: String,
        /// The server's answer.
        #[source]
        source: Failure,
    },
    /// The server's version is not understood.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Error {
    /// Whether the server knows the user by another password, or not at all.
    pub fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.code() == Some("28P01"))
    }

    /// Whether a later try may succeed without anybody's help.
    ///
    /// True when the server is away, starting, shutting down or follows another now; false when
    /// it refused.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Connect { source, .. } | Self::Statement { source, .. } => {
                source.code().is_none_or(|code| {
                    code == READ_ONLY || matches!(code.get(..2), Some("57" | "08" | "53"))
                })
            }
            Self::NoSuchRole(_)
            | Self::SomebodyElse { .. }
            | Self::Trapped { .. }
            | Self::Version(_) => false,
        }
    }
}

impl Error {
    /// The roles that a client may not have, if that is why.
    pub fn refused_roles(&self) -> Option<&str> {
        match self {
            Self::NoSuchRole(roles) | Self::SomebodyElse { role: roles, .. } => Some(roles),
            _ => None,
        }
    }

    /// Whether the server is away, or follows another now, so that none of its databases can be
    /// had. Want of locks or of time, which a statement met in its own database, is not of these.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Statement { source, .. } => source.code().is_none_or(|code| {
                matches!(code, READ_ONLY | "57P01" | "57P02" | "57P03") || code.starts_with("08")
            }),
            _ => self.is_transient(),
        }
    }

    /// PostgreSQL's code of what a statement or a login failed with.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Connect { source, .. } | Self::Statement { source, .. } => source.code(),
            Self::Timeout { .. }
            | Self::NoSuchRole(_)
            | Self::SomebodyElse { .. }
            | Self::Trapped { .. }
            | Self::Version(_) => None,
        }
    }
}

/// Who owns what is in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The user is the database's only client: it takes over what earlier users left.
    Sole,
    /// Other clients use the database too: the user gets privileges only.
    Shared,
}

/// What a pooler has to know of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version.
    pub version: ServerVersion,
    /// `max_connections`.
    pub max_connections: u32,
    /// Those of them that ordinary roles may use.
    pub for_clients: u32,
    /// Whether the role that was asked for exists.
    pub knows_role: bool,
    /// Its timeline: another one with each primary. None where it is no primary.
    pub timeline: Option<u32>,
    /// The roles that are tied to the one that asks; see [`crate::User::tied_to`].
    pub tied: Vec<String>,
}

/// All facts in one round trip. PostgreSQL before 16 knows no `reserved_connections`.
const SERVER_FACTS: &str = "\
SELECT pg_catalog.current_setting('server_version'),
  pg_catalog.current_setting('max_connections'),
  (pg_catalog.current_setting('max_connections')::pg_catalog.int4
    - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
    - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int4
  )::pg_catalog.text,
  EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)::pg_catalog.text,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,
  pg_catalog.array_to_json(ARRAY(SELECT r.rolname FROM pg_catalog.pg_roles r
    JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid
      AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid
    WHERE d.description = $2 ORDER BY 1))::pg_catalog.text";

/// A connection; dropping it closes it.
pub struct Client {
    session: Box<dyn Session>,
    server: Arc<dyn Server>,
    options: ConnectOptions,
}

impl Client {
    /// Connects over the network; the connection is driven by a task of the running runtime.
    ///
    /// # Errors
    /// When the server does not answer within the time or refuses the login.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, Error> {
        Self::over(Arc::new(Network::default()), options).await
    }

    /// Connects to a server that may be a simulated one.
    ///
    /// # Errors
    /// When the server does not answer within the time or refuses the login.
    pub async fn over(server: Arc<dyn Server>, options: &ConnectOptions) -> Result<Self, Error> {
        let (host, port) = (options.host.clone(), options.port);
        let session = server.connect(options, SESSION_OPTIONS);
        match tokio::time::timeout(options.timeout, session).await {
            Ok(Ok(session)) => Ok(Self { session, server, options: options.clone() }),
            Ok(Err(source)) => {
                Err(Error::Connect { host, port, database: options.database.clone(), source })
            }
            Err(_) => Err(Error::Timeout { host, port }),
        }
    }

    /// Connects to another database of the same server as the same user.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub async fn in_database(&self, database: &DatabaseName) -> Result<Self, Error> {
        let options = ConnectOptions { database: database.clone(), ..self.options.clone() };
        Self::over(self.server.clone(), &options).await
    }

    /// The server's version.
    ///
    /// # Errors
    /// When the server does not answer or its version is not understood.
    pub async fn server_version(&self) -> Result<ServerVersion, Error> {
        let rows = self.texts("read the server version", "SHOW server_version", &[]).await?;
        Ok(rows.first().map(String::as_str).unwrap_or_default().parse()?)
    }

    /// The server's version, its connections, whether `role` exists, and who is tied to this user.
    ///
    /// # Errors
    /// When the server does not answer or its version is not understood.
    pub async fn facts(&self, role: &RoleName) -> Result<ServerFacts, Error> {
        let parameters = [role.as_str(), &crate::sql::tied_to(&self.options.user)];
        let rows = self.rows("read the server's facts", SERVER_FACTS, &parameters).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let text = |column: usize| row.get(column).and_then(Option::as_deref).unwrap_or_default();
        let number = |column: usize| text(column).parse().unwrap_or(0);
        Ok(ServerFacts {
            version: text(0).parse()?,
            max_connections: number(1),
            for_clients: number(2),
            knows_role: text(3) == "true",
            // The name of a segment begins with the timeline.
            timeline: text(4).get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()),
            tied: serde_json::from_str(text(5)).unwrap_or_default(),
        })
    }

    /// The rows of a query.
    async fn rows(&self, what: &str, query: &str, parameters: &[&str]) -> Result<Vec<Row>, Error> {
        in_time(what, self.session.query(query, parameters)).await
    }

    /// The first column of all rows; NULLs are left out.
    async fn texts(
        &self,
        what: &str,
        query: &str,
        parameters: &[&str],
    ) -> Result<Vec<String>, Error> {
        let rows = self.rows(what, query, parameters).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Runs all statements in one transaction.
    async fn run(&self, what: &str, statements: &[String]) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        self.run_text(what, &statements.join(";\n")).await
    }

    /// Runs one statement outside a transaction, or several inside one.
    async fn run_text(&self, what: &str, text: &str) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            match in_time(what, self.session.execute(text)).await {
                Err(Error::Statement { source, .. })
                    if source.is_collision() && tries < COLLISIONS_MAX =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }
}

/// The answer to a statement, within a bound. What comes after it may have happened or not.
async fn in_time<T>(
    what: &str,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Error> {
    let late = || Failure::new(None, "the server did not answer in time");
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
    answer
        .unwrap_or_else(|_| Err(late()))
        .map_err(|source| Error::Statement { what: what.to_owned(), source })
}

#[cfg(test)]
mod tests;
