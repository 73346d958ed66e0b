//! Clients of each kind, and what one of each notices of an event.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::{Cluster, Planned};
use crate::root;

/// A client, by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It keeps its connection, in the first database.
    Steady,
    /// It connects for each transaction.
    Reconnecting,
    /// It runs a statement that it prepared once.
    Prepared,
    /// Its transactions take 200 ms.
    Slow,
    /// It is another user, in another database.
    Other,
}

impl Kind {
    /// All of them, and how many clients there are of each.
    pub const ALL: [(Self, usize); 5] = [
        (Self::Steady, 8),
        (Self::Reconnecting, 6),
        (Self::Prepared, 4),
        (Self::Slow, 4),
        (Self::Other, 4),
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Reconnecting => "reconnecting",
            Self::Prepared => "prepared",
            Self::Slow => "transactions of 200 ms",
            Self::Other => "another user and database",
        }
    }
}

/// What clients of a kind noticed.
#[derive(Debug, Clone, Default)]
pub struct Noticed {
    /// Clients of the kind.
    pub clients: usize,
    /// Transactions that were committed.
    pub transactions: usize,
    /// Clients, each counted once an event, one of whose transactions failed.
    pub failed: usize,
    /// The longest transaction of each event.
    pub stalls: Vec<Duration>,
    /// What the first failures said.
    pub said: Vec<String>,
}

/// One transaction: when it began, when it ended, and how it failed.
type Done = (Instant, Instant, Option<String>);
type Book = Arc<Mutex<BTreeMap<(Kind, usize), Vec<Done>>>>;

/// The pause between two transactions of a client.
const PAUSE: Duration = Duration::from_millis(10);
const TABLE: &str = "CREATE TABLE IF NOT EXISTS noticed (id bigserial PRIMARY KEY)";
const WORK: &str = "INSERT INTO noticed DEFAULT VALUES";

/// Clients at work until they are ended.
pub(super) struct Crowd {
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
    book: Book,
    clients: Vec<JoinHandle<()>>,
}

async fn open(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One transaction, over a connection that is there or is made.
async fn transaction(
    kind: Kind,
    url: &str,
    kept: &mut Option<(Client, tokio_postgres::Statement)>,
) -> Result<(), tokio_postgres::Error> {
    let (client, statement) = match kept.take() {
        Some(open) => open,
        None => {
            let client = open(url).await?;
            let statement = client.prepare(WORK).await?;
            (client, statement)
        }
    };
    client.simple_query("BEGIN").await?;
    match kind {
        Kind::Prepared => drop(client.execute(&statement, &[]).await?),
        Kind::Slow => drop(client.simple_query(&format!("{WORK}; SELECT pg_sleep(0.2)")).await?),
        Kind::Steady | Kind::Reconnecting | Kind::Other => drop(client.simple_query(WORK).await?),
    }
    client.simple_query("COMMIT").await?;
    if kind != Kind::Reconnecting {
        *kept = Some((client, statement));
    }
    Ok(())
}

async fn work(kind: Kind, number: usize, url: String, stop: Arc<AtomicBool>, book: Book) {
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let failed = transaction(kind, &url, &mut kept).await.err();
        let failed = failed.map(|error| {
            error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().into())
        });
        let done = (begun, Instant::now(), failed);
        {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.entry((kind, number)).or_default().push(done);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Crowd {
    /// Starts clients of every kind.
    pub(super) fn start(first: &str, second: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        for url in [first, second] {
            let made = async { open(url).await?.simple_query(TABLE).await.map(drop) };
            runtime.block_on(made).context("cannot make a table")?;
        }
        let (stop, book) = (Arc::new(AtomicBool::new(false)), Book::default());
        let mut clients = Vec::new();
        for (kind, count) in Kind::ALL {
            let url = if kind == Kind::Other { second } else { first };
            for number in 0..count {
                let client = work(kind, number, url.to_owned(), stop.clone(), book.clone());
                clients.push(runtime.spawn(client));
            }
        }
        Ok(Self { runtime, stop, book, clients })
    }

    /// Forgets what was done so far.
    pub(super) fn forget(&self) {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Adds what was noticed since then.
    fn add_to(&self, all: &mut BTreeMap<Kind, Noticed>) {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in Kind::ALL {
            let noticed = all.entry(kind).or_default();
            noticed.clients = count;
            let mut longest = Duration::ZERO;
            for number in 0..count {
                let done = book.get(&(kind, number)).map(Vec::as_slice).unwrap_or_default();
                let failures = done.iter().filter_map(|(.., failed)| failed.clone());
                let failures: Vec<String> = failures.collect();
                noticed.transactions += done.len() - failures.len();
                noticed.failed += usize::from(!failures.is_empty());
                let room = 5_usize.saturating_sub(noticed.said.len());
                noticed.said.extend(failures.into_iter().take(room));
                longest =
                    done.iter().map(|(begun, ended, _)| *ended - *begun).fold(longest, Ord::max);
            }
            noticed.stalls.push(longest);
        }
    }

    /// The longest transaction since then, failed ones among them.
    pub(super) fn longest(&self) -> Duration {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let all = book.values().flatten().map(|(begun, ended, _)| *ended - *begun);
        all.max().unwrap_or_default()
    }

    pub(super) fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = async {
            for client in self.clients {
                client.await.ok();
            }
        };
        let bounded = async { tokio::time::timeout(Duration::from_secs(60), ended).await };
        ensure!(self.runtime.block_on(bounded).is_ok(), "clients do not end");
        Ok(())
    }
}

impl Cluster {
    /// A second client of the pooler, with a user and a database of its own: its URL.
    fn second(&self) -> Result<String> {
        const APP: &str = "second";
        if self.engine.call(&["show-application", APP]).is_err() {
            let charm = root().join("dist/data-integrator_ubuntu@22.04-amd64.charm");
            let charm = charm.display().to_string();
            self.engine.call(&["deploy", &charm, APP, "--config", "database-name=second"])?;
            self.engine.call(&["integrate", APP, "pgbouncer-k8s:database"])?;
            self.engine.wait_active(90)?;
        }
        let results = self.engine.action(&format!("{APP}/0"), "get-credentials")?;
        let uris = results["postgresql"]["uris"].as_str().context("no uris")?;
        let (user, _) = uris.split_once('@').context("no user in the uris")?;
        let (_, place) = self.url.split_once('@').context("no host in the URL")?;
        let (address, _) = place.split_once('/').context("no database in the URL")?;
        Ok(format!("{user}@{address}/second"))
    }

    /// Gets the pooler and a second client ready; its URL.
    pub(super) fn prepare_crowd(&self, mode: &str) -> Result<String> {
        self.engine.call(&["config", "pgbouncer-k8s", &format!("pool_mode={mode}")])?;
        self.engine.call(&["model-config", "update-status-hook-interval=10s"])?;
        self.engine.wait_active(60)?;
        self.second()
    }

    /// Does planned events under clients of every kind, in a pool mode, and hands what each kind
    /// noticed to `shown` after each event.
    ///
    /// # Errors
    /// When an acknowledged number is lost, or the cluster does not heal.
    pub fn noticed(
        &self,
        mode: &str,
        rounds: usize,
        mut shown: impl FnMut(Planned, &BTreeMap<Kind, Noticed>),
    ) -> Result<BTreeMap<Kind, Noticed>> {
        let second = self.prepare_crowd(mode)?;
        let crowd = Crowd::start(&self.url, &second)?;
        let mut all = BTreeMap::new();
        for round in 0..rounds {
            for event in Planned::ALL {
                crowd.forget();
                self.plan(event, round).with_context(|| format!("{event:?}"))?;
                crowd.add_to(&mut all);
                shown(event, &all);
            }
        }
        crowd.end()?;
        Ok(all)
    }
}
