//! Patroni's `before_stop`: has poolers hold their clients before a primary stops.
//!
//! Patroni runs it in front of every stop of PostgreSQL: switchover, restart, the end of the pod.
//! It asks through the server itself: it ends the sessions of the poolers' agents (see
//! [`pooler_agent`]), for which that is the signal to pause, and waits until no connection from
//! their addresses is left. There is no address book and no token: a pooler with a session is asked,
//! and the connections that are gone are the answer.
//!
//! Patroni sets no bound on it, and while it ends itself it does not renew the leader lock
//! meanwhile: a program that hung here was seen to leave two primaries. So it waits only while the
//! lock is provably held, has a bound of its own, and never refuses anything.

pub mod decide;
mod lock;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use kubernetes_client::Resource;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::decide::{DEADLINE, Found, Progress, Step};

/// How long the Kubernetes API may take to show the lock.
const LOCK: Duration = Duration::from_millis(300);
/// How long a statement may take, the checkpoint above all; the stop's own is the shorter for it.
const STATEMENTS: &str = " -c statement_timeout=1000";
/// The pause between two looks at the connections that are left.
const LOOK: Duration = Duration::from_millis(3);
/// Where PostgreSQL's socket is.
const SOCKETS: &str = "/var/run/postgresql";
/// The superuser whom the socket lets in without a password.
const USER: &str = "backup";

/// The sessions of agents: who may have one, the charm of the pooler decides.
const END_AGENTS: &str = "SELECT pg_catalog.host(a.client_addr), a.application_name, \
pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a \
WHERE a.application_name OPERATOR(pg_catalog.=) ANY ($1) \
AND pg_catalog.starts_with(a.usename::pg_catalog.text, 'pgbouncer_auth_') \
AND a.client_addr IS NOT NULL";

/// Connections from these addresses, but for those of the agents.
const LEFT: &str = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
WHERE a.backend_type OPERATOR(pg_catalog.=) 'client backend' \
AND pg_catalog.host(a.client_addr) OPERATOR(pg_catalog.=) ANY ($1) \
AND NOT a.application_name OPERATOR(pg_catalog.=) ANY ($2)";

/// Runs the program with these arguments, without its own name: Patroni's scope and member.
///
/// It succeeds whatever happens: Patroni would only write a failure down.
pub fn main(arguments: &[String]) -> ExitCode {
    let [scope, member] = arguments else {
        say("cannot have clients held: it takes Patroni's scope and the member's name");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(bounded(scope, member)),
        Err(error) => error.to_string(),
    };
    say(&outcome);
    ExitCode::SUCCESS
}

fn say(words: &str) {
    writeln!(std::io::stderr(), "before_stop: {words}").ok();
}

async fn bounded(scope: &str, member: &str) -> String {
    let start = Instant::now();
    let outcome = timeout(DEADLINE, hold(scope, member, start)).await;
    let outcome = outcome.unwrap_or_else(|_| Ok("cannot wait any longer".to_owned()));
    let words = outcome.unwrap_or_else(|error| format!("cannot have clients held: {error}"));
    format!("{words} (after {} ms)", start.elapsed().as_millis())
}

async fn hold(scope: &str, member: &str, start: Instant) -> Result<String, postgres::Failure> {
    let session = open().await?;
    let mut poolers = Poolers { client: &session.client, addresses: Vec::new() };
    let (mut progress, mut step) = (Progress::default(), Step::AskRecovery);
    loop {
        let found = match step {
            Step::AskRecovery => poolers.is_standby().await?,
            Step::AskLock => Found::Lock(holds_lock(scope, member).await),
            Step::Checkpoint => {
                session.client.batch_execute("CHECKPOINT").await.ok();
                Found::Checkpoint
            }
            Step::EndAgents => poolers.end_agents().await?,
            Step::Count => {
                sleep(LOOK).await;
                poolers.left().await?
            }
            Step::Leave(outcome) => return Ok(outcome.to_string()),
        };
        step = progress.next(found, start.elapsed());
    }
}

/// The poolers whose agents have sessions, as the server shows them.
struct Poolers<'a> {
    client: &'a Client,
    addresses: Vec<String>,
}

/// The names of the agents' sessions.
const NAMES: [&str; 2] = [pooler_agent::APPLICATION_NAME, pooler_agent::SESSION_APPLICATION_NAME];

impl Poolers<'_> {
    async fn is_standby(&self) -> Result<Found, postgres::Failure> {
        let row = self.client.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await?;
        Ok(Found::Recovery(row.try_get(0)?))
    }

    async fn end_agents(&mut self) -> Result<Found, postgres::Failure> {
        let agents = self.client.query(END_AGENTS, &[&NAMES.as_slice()]).await?;
        let mut transactions = false;
        for agent in &agents {
            self.addresses.push(agent.try_get(0)?);
            transactions |= agent.try_get::<_, String>(1)? == pooler_agent::APPLICATION_NAME;
        }
        Ok(Found::Agents { count: agents.len(), transactions })
    }

    async fn left(&self) -> Result<Found, postgres::Failure> {
        let row = self.client.query_one(LEFT, &[&self.addresses, &NAMES.as_slice()]).await?;
        Ok(Found::Left(row.try_get(0)?))
    }
}

/// Whether the lock is this member's for long enough, by what the Kubernetes API says itself:
/// Patroni's own API does not answer while Patroni ends.
async fn holds_lock(scope: &str, member: &str) -> bool {
    let client =
        kubernetes_client::Client::in_cluster(Path::new("/"), |name| std::env::var(name).ok());
    let Ok(client) = client else { return false };
    let client = client.with_time(LOCK);
    match client.get(Resource::Endpoints, scope).await {
        Ok(Some(endpoints)) => lock::leaves_time(&endpoints, member, Timestamp::now()),
        Ok(None) | Err(_) => false,
    }
}

struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn open() -> Result<Session, postgres::Failure> {
    let mut options = tokio_postgres::Config::new();
    options
        .host_path(SOCKETS)
        .user(USER)
        .dbname("postgres")
        .application_name("before_stop")
        .options(format!("{}{STATEMENTS}", postgres::SESSION_OPTIONS));
    let (client, connection) = options.connect(NoTls).await?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Session { client, driver })
}
