//! What clients notice while the pooler's processes end, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::pooled::{Pooled, connect};

/// Clients that keep their connection.
const STEADY: usize = 8;
/// Clients that open one for each transaction.
const RECONNECTING: usize = 6;
/// How often every process is restarted.
const ROUNDS: usize = 2;
/// A transaction that takes as long as one of a busy server.
const WORK: &str = "INSERT INTO work DEFAULT VALUES; SELECT pg_sleep(random() * 0.2)";

/// What became of transactions, by where their connection ended.
#[derive(Default)]
struct Counts {
    committed: AtomicUsize,
    /// Before or between transactions; the client connects again and loses nothing.
    between: AtomicUsize,
    /// While a new connection was made.
    connecting: AtomicUsize,
    /// After BEGIN was answered: work is lost.
    inside: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

async fn client(url: String, keeps: bool, counts: Arc<Counts>, done: Arc<AtomicBool>) {
    while !done.load(Ordering::Relaxed) {
        let Ok(session) = connect(&url).await else {
            count(&counts.connecting);
            continue;
        };
        loop {
            if session.simple_query("BEGIN").await.is_err() {
                count(&counts.between);
                break;
            }
            let work = session.simple_query(WORK).await;
            if work.is_err() || session.simple_query("COMMIT").await.is_err() {
                count(&counts.inside);
                break;
            }
            count(&counts.committed);
            if !keeps || done.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[test]
fn no_transaction_is_cut_when_a_process_ends() -> Result<()> {
    let world = Pooled::up("e2edrain", 16446)?;
    world.configure(&["pool_mode=transaction"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = async { connect(&world.url).await?.batch_execute(TABLE).await.map_err(Into::into) };
    runtime.block_on(made).map_err(|error: anyhow::Error| error.context("cannot make a table"))?;
    let (counts, done) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let kinds = [true; STEADY].into_iter().chain([false; RECONNECTING]);
    let clients: Vec<_> = kinds
        .map(|keeps| runtime.spawn(client(world.url.clone(), keeps, counts.clone(), done.clone())))
        .collect();
    for _ in 0..ROUNDS {
        for service in ["pgbouncer_0", "pgbouncer_1"] {
            let restart = format!("pebble restart {service}");
            let before = counts.committed.load(Ordering::Relaxed);
            world.engine.call(&["ssh", "--container", "pgbouncer", "pgbouncer-k8s/0", &restart])?;
            world.engine.wait("transactions after a restart", 30, |_| {
                counts.committed.load(Ordering::Relaxed) > before + STEADY
            })?;
        }
    }
    done.store(true, Ordering::Relaxed);
    let ended = async { tokio::time::timeout(Duration::from_secs(30), futures(clients)).await };
    ensure!(runtime.block_on(ended).is_ok(), "clients do not end");
    let [committed, between, connecting, inside] =
        [&counts.committed, &counts.between, &counts.connecting, &counts.inside]
            .map(|counter| counter.load(Ordering::Relaxed));
    println!(
        "{} ends of a process: {committed} transactions, {between} connections ended between two, \
         {connecting} while they were made, {inside} inside one",
        2 * ROUNDS
    );
    ensure!(inside == 0, "{inside} transactions were cut");
    Ok(())
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS work (id bigserial PRIMARY KEY)";

async fn futures(clients: Vec<tokio::task::JoinHandle<()>>) {
    for client in clients {
        client.await.ok();
    }
}
