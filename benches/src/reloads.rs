//! Reloads of every PgBouncer process while pgbench works through the pooler.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use end_to_end::pgbench::Target;
use end_to_end::pooled::{Pooled, Session, setting};

use crate::say;

/// The port of the bench's own forward.
const PORT: u16 = 16604;
/// Connections that pgbench holds from beginning to end.
const CLIENTS: u32 = 8;
/// Of so many reloads one is the charm's, with a new configuration.
const CHARM_EVERY: usize = 200;

/// Reloads each process so often and prints what became of pgbench's clients. Fails when one
/// was dropped.
pub(crate) fn run(reloads: usize) -> Result<()> {
    let world = Pooled::up("benchrel", PORT)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let consoles = runtime.block_on(consoles(&world))?;
    let target = Target::parse(&world.url)?;
    target.prepare()?;

    let clients = CLIENTS.to_string();
    let mut load = target.load(&["-b", "simple-update", "-j", "2", "-c", &clients])?;
    let begun = Instant::now();
    let mut by_charm = 0;
    for round in 1..=reloads {
        if round % CHARM_EVERY == 0 {
            by_charm += 1;
            configure(&world, by_charm)?;
            runtime.block_on(took_over(&consoles, by_charm))?;
        } else {
            runtime.block_on(reload(&consoles))?;
        }
        load.still_runs()?;
    }
    let took = begun.elapsed();
    let outcome = load.end()?;
    line("processes", &consoles.len().to_string());
    line("reloads of each process", &reloads.to_string());
    line("of them by the charm, with other settings", &by_charm.to_string());
    line("time", &format!("{:.1} s", took.as_secs_f64()));
    line("clients", &CLIENTS.to_string());
    line("transactions", &outcome.transactions.to_string());
    line("failed transactions", &outcome.failed.to_string());
    line("dropped clients", &outcome.dropped.to_string());
    ensure!(outcome.dropped == 0 && outcome.failed == 0, "{}", outcome.said);
    Ok(())
}

fn line(what: &str, measured: &str) {
    say(&format!("{what:<44} {measured:>14}"));
}

/// The admin console of each process, by the process's number among its peers.
async fn consoles(world: &Pooled) -> Result<BTreeMap<String, Session>> {
    let mut found = BTreeMap::new();
    // Which process takes a connection is the kernel's choice.
    for _ in 0..32 {
        let console = world.console().await?;
        found.insert(setting(&console, "peer_id").await?, console);
    }
    Ok(found)
}

async fn reload(consoles: &BTreeMap<String, Session>) -> Result<()> {
    for (process, console) in consoles {
        console.simple_query("RELOAD").await.with_context(|| format!("process {process}"))?;
    }
    Ok(())
}

/// Another configuration by the charm; every tenth changes the pool mode too.
fn configure(world: &Pooled, change: usize) -> Result<()> {
    let prepared = format!("max_prepared_statements={}", 200 + change);
    let mode = ["pool_mode=transaction", "pool_mode=session"][change / 10 % 2];
    world.configure(&[&prepared, mode])
}

/// Fails unless each process has the settings of this change.
async fn took_over(consoles: &BTreeMap<String, Session>, change: usize) -> Result<()> {
    for (process, console) in consoles {
        let found = setting(console, "max_prepared_statements").await?;
        ensure!(found == (200 + change).to_string(), "process {process} has {found}");
    }
    Ok(())
}
