//! A connection to a server and the operations on it.

mod databases;
mod extensions;
mod holder;
mod lookup;
mod users;

pub use holder::Holder;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::{Failure, READ_ONLY};
use crate::port::{Network, Row, SESSION_OPTIONS, Server, Session};
use crate::sql::{self, Query, Statement};
use crate::{ConnectOptions, DatabaseName, Parameter, RoleName, ServerVersion, VersionError};

/// How long a statement may take. The server ends one that runs for longer than 30 s, but not
/// a commit that waits for a standby, which may never come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// A replication slot from which nobody reads now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleSlot {
    /// Its name.
    pub name: String,
    /// How much of the log it keeps, in bytes.
    pub bytes: u64,
    /// For how long nobody has read from it, in seconds.
    pub seconds: u64,
}

impl IdleSlot {
    fn read(row: Row) -> Option<Self> {
        let [name, bytes, seconds] = row.try_into().ok()?;
        Some(Self { name: name?, bytes: bytes?.parse().ok()?, seconds: seconds?.parse().ok()? })
    }
}

/// What clients have begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransactions {
    /// How many transactions.
    pub count: u64,
    /// The age of the oldest, in seconds.
    pub oldest: u64,
}

/// How often a statement is sent that meets another session's change of the same object. Nothing
/// of it was done then.
const COLLISIONS_MAX: u32 = 10;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came in time.
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
    /// A client asked for a role with which it could become another user.
    #[error(
        "cannot grant {role}: with it comes {reached}, which can log in or is a superuser; ask for \
         roles that cannot log in"
    )]
    ReachesUser {
        /// The role that was asked for.
        role: String,
        /// The role itself, or one that it is a member of.
        reached: String,
    },
    /// A role of this name exists and belongs to another charm.
    #[error(
        "cannot use the role {role}: it is there and goes with {holder}; remove the relation and \
         make it anew, which gives it another name"
    )]
    Taken {
        /// The role.
        role: RoleName,
        /// The role that it is removed with.
        holder: String,
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

    /// Whether a later try may succeed without the operator.
    ///
    /// True when the server is away, starting, shutting down or follows another now; false when
    /// it refused.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Connect { source, .. } | Self::Statement { source, .. } => source.is_transient(),
            Self::NoSuchRole(_)
            | Self::ReachesUser { .. }
            | Self::Taken { .. }
            | Self::Trapped { .. }
            | Self::Version(_) => false,
        }
    }
}

impl Error {
    /// The roles that a client may not have, if that is why.
    pub fn refused_roles(&self) -> Option<&str> {
        match self {
            Self::NoSuchRole(roles) | Self::ReachesUser { role: roles, .. } => Some(roles),
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
            | Self::ReachesUser { .. }
            | Self::Taken { .. }
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
    /// Whether the role that was asked for exists and may log in.
    pub knows_role: bool,
    /// The text of the role's lookup in the connected database, if all about it but the text is as
    /// [`crate::sql::install_lookup`] makes it; see [`crate::sql::lookup_body`].
    pub lookup: Option<String>,
    /// Its timeline: another one with each primary. None where it is no primary.
    pub timeline: Option<u32>,
    /// The roles that the one that asks holds; see [`crate::User::holder`].
    pub held_roles: Vec<String>,
}

/// The bytes of one segment, of which no cluster of the charms has others.
pub const SEGMENT: u64 = 16 << 20;

/// Where a segment begins, by the sixteen digits behind its timeline.
fn segment_start(digits: &str) -> Option<u64> {
    let number = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok();
    let (high, low) = (number(digits.get(..8))?, number(digits.get(8..16))?);
    Some((high << 32) | low.checked_mul(SEGMENT).filter(|offset| *offset < 1 << 32)?)
}

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
        let rows = self.texts("read the server version", Query::Setting("server_version")).await?;
        Ok(rows.first().map(String::as_str).unwrap_or_default().parse()?)
    }

    /// Whether the databases cannot be had any more after an error that was met in one of them. A
    /// single database may refuse sessions for a while, because a client can have it copied.
    pub async fn is_lost(&self, error: &Error) -> bool {
        match error {
            Error::Timeout { .. } => self.server_version().await.is_err(),
            error => error.is_away(),
        }
    }

    /// The server's version, its connections, whether `role` exists, and which roles it holds.
    ///
    /// # Errors
    /// When the server does not answer or its version is not understood.
    pub async fn facts(&self, role: &RoleName) -> Result<ServerFacts, Error> {
        let held = sql::holder_comment(&self.options.user);
        let query = Query::Facts { role: role.as_str(), held: &held };
        let rows = self.rows("read the server's facts", query).await?;
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
            held_roles: serde_json::from_str(text(5)).unwrap_or_default(),
            lookup: row.get(6).cloned().flatten(),
        })
    }

    /// Where the write-ahead log begins that the server still has, in bytes; none while it has no
    /// segment.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn oldest_log(&self) -> Result<Option<u64>, Error> {
        let names = self.texts("read the oldest log", Query::OldestSegment).await?;
        Ok(names.first().and_then(|name| segment_start(name)))
    }

    /// What all databases take on the server's disk, in bytes, for one that may connect to each.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn databases_size(&self) -> Result<Option<u64>, Error> {
        let sizes = self.texts("read the size of the databases", Query::DatabasesSize).await?;
        Ok(sizes.first().and_then(|size| size.parse().ok()))
    }

    /// The parameters with which the server runs, whatever this session holds itself.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn parameters(&self) -> Result<Vec<Parameter>, Error> {
        let rows = self.rows("read the parameters", Query::Parameters).await?;
        Ok(rows.into_iter().filter_map(Parameter::read).collect())
    }

    /// The slots of standbys that are away; on a primary only, and from PostgreSQL 17 on.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn idle_slots(&self) -> Result<Vec<IdleSlot>, Error> {
        let rows = self.rows("read the slots", Query::IdleSlots).await?;
        Ok(rows.into_iter().filter_map(IdleSlot::read).collect())
    }

    /// The transactions that clients have open, besides this session's.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn open_transactions(&self) -> Result<OpenTransactions, Error> {
        let rows = self.rows("read the open transactions", Query::OpenTransactions).await?;
        let [count, oldest] =
            rows.into_iter().next().and_then(|row| row.try_into().ok()).unwrap_or_default();
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(OpenTransactions { count: number(count), oldest: number(oldest) })
    }

    /// Drops the slots of standbys whose log the server has given up: Patroni before 4.0.10 makes
    /// none in their place while they are there.
    ///
    /// # Errors
    /// When the server does not answer, or a standby reads from one again.
    pub async fn drop_lost_slots(&self) -> Result<(), Error> {
        let lost = self.found("look for lost slots", Query::LostSlots).await?;
        self.run("drop lost slots", &lost).await
    }

    /// The rows of a query.
    async fn rows(&self, what: &str, query: Query<'_>) -> Result<Vec<Row>, Error> {
        in_time(what, self.session.query(query)).await
    }

    /// The first column of all rows; NULLs are left out.
    async fn texts(&self, what: &str, query: Query<'_>) -> Result<Vec<String>, Error> {
        let rows = self.rows(what, query).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The statements that are the rows of a query.
    async fn found(&self, what: &str, query: Query<'_>) -> Result<Vec<Statement>, Error> {
        Ok(self.texts(what, query).await?.into_iter().map(Statement::Found).collect())
    }

    /// Runs one statement outside a transaction, or several inside one.
    async fn run(&self, what: &str, statements: &[Statement]) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        let mut tries = 1;
        loop {
            match in_time(what, self.session.execute(statements)).await {
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
