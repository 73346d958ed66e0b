//! Clients that write to each member itself, whatever it is, as a client would that was led
//! to the wrong one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::writer::{self, TABLE};
use super::{Members, UNITS, network};

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A number that a member acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledged {
    pub(super) number: u64,
    pub(super) member: usize,
    pub(super) sent: Instant,
    pub(super) at: Instant,
}

/// One client for each member, at work until they are stopped.
pub(super) struct Witnesses {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Acknowledged>>>>,
}

impl Witnesses {
    /// Starts to write; `first` is the round's first number.
    pub(super) fn start(members: &Members, first: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..UNITS).map(|member| {
            let (stop, url) = (stop.clone(), members.login.clone());
            let (pod, place) = (Members::pod(member), members.place.clone());
            let write = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                // A pod that is made anew has another address.
                let address = || place.address(&pod);
                Ok(runtime.block_on(write(&url, address, (member, first), &stop)))
            };
            network::inside(&members.outlook(), write)
        });
        Ok(Self { threads: threads.collect::<Result<_>>()?, stop })
    }

    /// Ends them.
    pub(super) fn stop(self) -> Result<Vec<Acknowledged>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            all.extend(network::joined(thread)?);
        }
        all.sort_by_key(|one| one.sent);
        Ok(all)
    }
}

/// Checks that a member acknowledged nothing that was sent to it after another led in its
/// place: the lead changed hands at most `changes` times.
pub(super) fn check_single(acknowledged: &[Acknowledged], changes: u64) -> Result<()> {
    let passed = acknowledged.windows(2).filter(|pair| pair[0].member != pair[1].member);
    let passed: Vec<_> = passed.collect();
    ensure!(
        passed.len() as u64 <= changes,
        "members accepted writes in turn, with {changes} promotions: {passed:?}"
    );
    Ok(())
}

async fn write(
    url: &str,
    address: impl Fn() -> Result<Ipv4Addr>,
    (member, first): (usize, u64),
    stop: &AtomicBool,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let mut client = None;
    let mut number = writer::base(member) + first;
    while !stop.load(Ordering::Relaxed) {
        let sent = Instant::now();
        match tokio::time::timeout(PATIENCE, attempt(url, &address, &mut client, number)).await {
            Ok(Ok(true)) => {
                acknowledged.push(Acknowledged { number, member, sent, at: Instant::now() });
            }
            Ok(Ok(false)) => {}
            _ => client = None,
        }
        number += 1;
        tokio::time::sleep(PAUSE).await;
    }
    acknowledged
}

/// Whether the member took the number; one that only reads says so and keeps the connection.
async fn attempt(
    url: &str,
    address: impl Fn() -> Result<Ipv4Addr>,
    client: &mut Option<Client>,
    number: u64,
) -> Result<bool> {
    let open = match client.take().filter(|client| !client.is_closed()) {
        Some(open) => open,
        None => writer::connect(&url.replace("HOST", &address()?.to_string())).await?,
    };
    let open = client.insert(open);
    match open.simple_query(&format!("INSERT INTO {TABLE} VALUES ({number})")).await {
        Ok(_) => Ok(true),
        Err(error) if error.code().is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
