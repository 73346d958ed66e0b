//! PAUSE and RESUME on the console of each PgBouncer process.
//!
//! A login that a PAUSE closes counts as failed, and the next client of that pool is disconnected
//! for it. So pools are narrowed first and logins in flight are waited for; and the pause is
//! never one of a database, because PgBouncer goes on filling a paused database's pool to
//! `min_pool_size`, and closes each of those logins.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgbouncer::Version;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::config::Pools;

/// The database of the console, and the user whom a process takes for its administrator without
/// a password where it comes through the socket and runs as the process's own user.
const CONSOLE: &str = "pgbouncer";
/// How long logins in flight are waited for.
const GATE: Duration = Duration::from_millis(300);
/// How long anything else on a console may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks at clients.
const LOOK: Duration = Duration::from_millis(20);

/// What went wrong on a console.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsoleError {
    /// There is no way to it.
    #[error("cannot reach the console of PgBouncer in {process}: {cause}")]
    Connect {
        /// The process's folder.
        process: String,
        /// Why.
        cause: tokio_postgres::Error,
    },
    /// It refused a command.
    #[error("cannot run {command} on the console of PgBouncer in {process}: {cause}")]
    Command {
        /// The process's folder.
        process: String,
        /// What.
        command: &'static str,
        /// Why.
        cause: tokio_postgres::Error,
    },
    /// It did not answer in time.
    #[error("cannot wait any longer for the console of PgBouncer in {process}")]
    Late {
        /// The process's folder.
        process: String,
    },
}

/// A console that is open.
pub(crate) struct Console {
    process: String,
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Console {
    /// Opens the console of the process in a folder.
    ///
    /// # Errors
    /// When there is no way to it, or none in time.
    pub(crate) async fn open(folder: &Path, port: u16) -> Result<Self, ConsoleError> {
        let process = folder.display().to_string();
        let mut config = tokio_postgres::Config::new();
        config.host_path(folder).port(port).user(CONSOLE).dbname(CONSOLE);
        let connected = timeout(PATIENCE, config.connect(NoTls)).await;
        let Ok(connected) = connected else { return Err(ConsoleError::Late { process }) };
        let (client, connection) =
            connected.map_err(|cause| ConsoleError::Connect { process: process.clone(), cause })?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { process, client, driver })
    }

    fn error(&self, command: &'static str) -> impl FnOnce(tokio_postgres::Error) -> ConsoleError {
        let process = self.process.clone();
        move |cause| ConsoleError::Command { process, command, cause }
    }

    /// Sets the sizes of pools, in one write.
    async fn set(&self, pools: Pools) -> Result<(), ConsoleError> {
        let [default, min, reserve] = [
            format!("SET default_pool_size = {}", pools.default),
            format!("SET min_pool_size = {}", pools.min),
            format!("SET reserve_pool_size = {}", pools.reserve),
        ];
        let set = |text| self.client.simple_query(text);
        let (a, b, c) = tokio::join!(set(&default), set(&min), set(&reserve));
        a.and(b).and(c).map(drop).map_err(self.error("SET"))
    }

    /// How many server connections log in now.
    async fn logins(&self) -> Result<u64, ConsoleError> {
        let answer = self.client.simple_query("SHOW POOLS").await;
        Ok(logins(&answer.map_err(self.error("SHOW POOLS"))?))
    }

    /// Waits until no login is in flight, for a while.
    async fn gate(&self) -> Result<(), ConsoleError> {
        self.set(Pools { default: 1, min: 0, reserve: 0 }).await?;
        let quiet = async {
            while self.logins().await? > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        timeout(GATE, quiet).await.unwrap_or(Ok(()))
    }

    /// Whether SIGTERM makes the process wait for its clients. A version that cannot be read is
    /// taken for an old one: a pause waits for its transactions.
    ///
    /// # Errors
    /// When the console does not answer.
    pub(crate) async fn waits_for_clients(&self) -> Result<bool, ConsoleError> {
        let answer = self.client.simple_query("SHOW VERSION").await;
        let answer = answer.map_err(self.error("SHOW VERSION"))?;
        let version = column(&answer, "version").next().map(Version::from_output);
        Ok(version.is_some_and(|version| version.is_ok_and(Version::waits_for_clients)))
    }

    /// Waits until every client but those of the console has left.
    pub(crate) async fn alone(&self) {
        while let Ok(answer) = self.client.simple_query("SHOW CLIENTS").await {
            if column(&answer, "database").all(|database| database == CONSOLE) {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Pauses, and returns how many logins that cut off: the two are one write, which PgBouncer
    /// handles without anything in between. Returns when every transaction has ended.
    ///
    /// # Errors
    /// When the console does not answer.
    pub(crate) async fn pause(&self) -> Result<u64, ConsoleError> {
        let (pools, paused) =
            tokio::join!(self.client.simple_query("SHOW POOLS"), self.client.simple_query("PAUSE"));
        match paused {
            Err(error) if !is_refusal(&error) => return Err(self.error("PAUSE")(error)),
            // Refused: it is paused already.
            _ => {}
        }
        Ok(logins(&pools.map_err(self.error("SHOW POOLS"))?))
    }

    /// Puts the sizes of pools back and resumes.
    async fn resume(&self, pools: Pools) -> Result<(), ConsoleError> {
        let (set, resumed) = tokio::join!(self.set(pools), self.client.simple_query("RESUME"));
        match resumed {
            Err(error) if !is_refusal(&error) => return Err(self.error("RESUME")(error)),
            // Refused: it is not paused.
            _ => {}
        }
        set
    }
}

/// Whether the console answered, with an error.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some()
}

/// The sum of the column `sv_login`.
fn logins(answer: &[SimpleQueryMessage]) -> u64 {
    column(answer, "sv_login").filter_map(|text| text.parse::<u64>().ok()).sum()
}

/// The values of a column.
fn column<'a>(answer: &'a [SimpleQueryMessage], name: &'a str) -> impl Iterator<Item = &'a str> {
    answer.iter().filter_map(move |message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(name).ok()?,
        _ => None,
    })
}

/// One process that is paused, or none.
struct Paused {
    cut_logins: u64,
    at: Option<Instant>,
}

impl Paused {
    /// It was not known to be paused.
    const UNKNOWN: Self = Self { cut_logins: 0, at: None };
}

/// The pause of all processes, as far as it has come.
pub(crate) struct Pausing {
    processes: Vec<(PathBuf, JoinHandle<Result<Paused, ConsoleError>>)>,
}

impl Pausing {
    /// Begins to pause every process. Where it is known beforehand that the server stops, logins
    /// in flight are waited for; where it is gone, none of them ends well.
    pub(crate) fn begin(folders: &[PathBuf], port: u16, gated: bool) -> Self {
        let begin = |folder: &PathBuf| {
            let process = folder.clone();
            let task = tokio::spawn(async move {
                let console = Console::open(&process, port).await?;
                if gated {
                    console.gate().await?;
                }
                let cut_logins = console.pause().await?;
                Ok(Paused { cut_logins, at: Some(Instant::now()) })
            });
            (folder.clone(), task)
        };
        Self { processes: folders.iter().map(begin).collect() }
    }

    /// Resumes every process, paused or not, and returns what could not be.
    ///
    /// A PAUSE that still waits for transactions is given up first: PgBouncer never answers one
    /// that a RESUME from elsewhere has ended.
    pub(crate) async fn end(self, port: u16, pools: Pools) -> Ended {
        let resumes = self.processes.into_iter().map(|(folder, task)| {
            tokio::spawn(async move {
                let paused = match task.is_finished() {
                    true => task.await.unwrap_or(Ok(Paused::UNKNOWN)),
                    false => {
                        task.abort();
                        Ok(Paused::UNKNOWN)
                    }
                };
                let console = Console::open(&folder, port).await?;
                let resumed = timeout(PATIENCE, console.resume(pools)).await;
                let late = || ConsoleError::Late { process: folder.display().to_string() };
                resumed.unwrap_or_else(|_| Err(late()))?;
                Ok(paused)
            })
        });
        let resumes: Vec<_> = resumes.collect();
        let mut ended = Ended::default();
        let mut paused = Vec::new();
        for resume in resumes {
            match resume.await {
                Ok(Ok(Ok(one))) => {
                    ended.cut_logins += one.cut_logins;
                    paused.push(one.at);
                }
                Ok(Ok(Err(error))) => ended.unpaused.push(error),
                Ok(Err(error)) => ended.unresumed.push(error),
                Err(_) => {}
            }
        }
        let all: Option<Vec<Instant>> = paused.into_iter().collect();
        ended.paused = all.and_then(|all| all.into_iter().max());
        ended
    }
}

/// How a pause went.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Logins that the pause closed; each may have cost a client its connection.
    pub(crate) cut_logins: u64,
    /// When the last process was paused, if all were.
    pub(crate) paused: Option<Instant>,
    /// Processes that could not be paused, and why.
    pub(crate) unpaused: Vec<ConsoleError>,
    /// Processes that could not be resumed, and why.
    pub(crate) unresumed: Vec<ConsoleError>,
}
