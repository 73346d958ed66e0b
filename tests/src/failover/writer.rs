//! A client that appends increasing numbers and remembers which were acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tokio_postgres::{Client, NoTls};

/// The table that it appends to.
pub(super) const TABLE: &str = "appended";
/// How long an attempt may take: an application that waits longer gives up as well.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the writer may be unable to write.
const BOUND: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);
/// Numbers that are written to a member itself start here, a range for each.
const RANGE: u64 = 1_000_000_000_000_000;

/// Where the numbers begin that are written to a member itself.
pub(super) fn base(member: usize) -> u64 {
    RANGE * (member as u64 + 1)
}

/// The writer, at work until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    /// The first number that it writes.
    pub(super) first: u64,
    thread: JoinHandle<Result<Report>>,
}

/// What the writer saw.
#[derive(Debug, Default)]
pub struct Report {
    /// The numbers that were acknowledged, and when.
    pub acknowledged: Vec<(u64, Instant)>,
    /// Attempts that failed or were not answered in time.
    pub failed: usize,
}

impl Report {
    /// The longest time between two acknowledged numbers.
    pub fn longest_gap(&self) -> Duration {
        let gaps = self.acknowledged.windows(2).map(|pair| pair[1].1 - pair[0].1);
        gaps.max().unwrap_or_default()
    }
}

impl Writer {
    /// Starts to write; numbers go on where earlier writers ended.
    ///
    /// # Errors
    /// When the table cannot be made.
    pub fn start(url: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let url = url.to_owned();
        let first = runtime.block_on(prepare_soon(&url))?;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, done) = (stop.clone(), count.clone());
        let thread =
            std::thread::spawn(move || Ok(runtime.block_on(append(&url, first, &over, &done))));
        Ok(Self { stop, count, first, thread })
    }

    /// Waits until so many more numbers were acknowledged.
    ///
    /// # Errors
    /// After a minute.
    pub fn await_writes(&self, more: usize) -> Result<()> {
        let wanted = self.count.load(Ordering::Relaxed) + more;
        let end = Instant::now() + BOUND;
        while self.count.load(Ordering::Relaxed) < wanted {
            if Instant::now() > end {
                bail!("the writer cannot write");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it panicked.
    pub fn stop(self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the writer panicked"))?
    }
}

pub(super) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}

/// The pooler may still remember that it could not log in.
async fn prepare_soon(url: &str) -> Result<u64> {
    let end = Instant::now() + BOUND;
    loop {
        match prepare(url).await {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(first) => return Ok(first),
        }
    }
}

async fn prepare(url: &str) -> Result<u64> {
    let client = tokio::time::timeout(PATIENCE, connect(url)).await.context("no connection")??;
    let create = format!("CREATE TABLE IF NOT EXISTS {TABLE} (n bigint PRIMARY KEY)");
    client.simple_query(&create).await?;
    let sql = format!("SELECT coalesce(max(n % {RANGE}), 0)::text AS n FROM {TABLE}");
    let messages = client.simple_query(&sql).await?;
    let newest = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u64>().ok(),
        _ => None,
    });
    Ok(newest.context("no newest number")? + 1)
}

async fn append(url: &str, first: u64, stop: &AtomicBool, count: &AtomicUsize) -> Report {
    let mut report = Report::default();
    let mut client = None;
    let mut number = first;
    while !stop.load(Ordering::Relaxed) {
        match tokio::time::timeout(PATIENCE, attempt(url, &mut client, number)).await {
            Ok(Ok(())) => {
                report.acknowledged.push((number, Instant::now()));
                count.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                client = None;
                report.failed += 1;
            }
        }
        // A number whose fate is not known is not used again.
        number += 1;
        tokio::time::sleep(PAUSE).await;
    }
    report
}

async fn attempt(url: &str, client: &mut Option<Client>, number: u64) -> Result<()> {
    if client.is_none() {
        *client = Some(connect(url).await?);
    }
    let client = client.as_ref().context("no connection")?;
    client.simple_query(&format!("INSERT INTO {TABLE} VALUES ({number})")).await?;
    Ok(())
}

/// What reads the numbers from `first` on.
pub(super) fn query(first: u64) -> String {
    format!("SELECT n FROM {TABLE} WHERE n % {RANGE} >= {first}")
}
