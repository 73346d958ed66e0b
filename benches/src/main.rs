//! What `make bench` prints: start-up, hooks, engine, each against its budget.
#![allow(clippy::print_stdout, reason = "printing the table is what this program is for")]

mod failover;
mod growth;
mod idle;
mod lifecycle;
mod process;
mod reloads;
mod size;

use std::time::Instant;

use anyhow::{Context, Result};
use end_to_end::{Talisman, root};
use serde_json::Value;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => costs(),
        ["size"] => size::run(),
        ["failover"] => failover::run(5, "", ""),
        ["failover", rounds] => failover::run(number(rounds)?, "", ""),
        ["failover", rounds, settings] => failover::run(number(rounds)?, settings, ""),
        ["failover", rounds, settings, only] => failover::run(number(rounds)?, settings, only),
        ["reloads"] => reloads::run(10_000),
        ["reloads", count] => reloads::run(number(count)?),
        ["growth"] => growth::run(&[10, 100, 1000]),
        ["growth", ..] => {
            let sizes: Result<Vec<usize>> =
                arguments[1..].iter().map(|size| number(size)).collect();
            growth::run(&sizes?)
        }
        _ => anyhow::bail!(
            "cannot measure {arguments:?}; give nothing, size, failover [rounds [settings [fault]]], \
             reloads [count] or growth [relations ...]"
        ),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().with_context(|| format!("{text} is no number"))
}

/// Start-up, hooks and the engine.
fn costs() -> Result<()> {
    println!("{:<44} {:>14} {:>14}", "what", "measured", "budget");
    charms()?;
    let engine = Talisman::new("bench").with("TALISMAN_TRACE_TOOLS", "1");
    let begun = Instant::now();
    let bundle = root().join("bundle.yaml").display().to_string();
    engine.call(&["up", &bundle])?;
    line(
        "talisman up, images built, to active",
        format!("{:.1} s", begun.elapsed().as_secs_f64()),
        "15 s",
    );
    engine.call(&["config", "pgbouncer-k8s", "pool_mode=transaction"])?;
    engine.wait_active(60)?;
    engine.call(&["config", "pgbouncer-k8s", "pool_mode=session"])?;
    engine.wait_active(60)?;
    engine.call(&["model-config", "update-status-hook-interval=2s"])?;
    engine.wait("update-status on every unit", 60, |_| updated(&engine).unwrap_or(false))?;
    engine.call(&["model-config", "update-status-hook-interval=300s"])?;
    idle::engine("bench", 3)?;
    lifecycle::run(&engine)?;
    hooks(&engine)?;
    lifecycle::complete(&table(&engine)?)?;
    drop(engine);
    println!();
    size::run()
}

/// Prints a line.
fn say(text: &str) {
    println!("{text}");
}

/// Prints one line of the table.
fn line(what: &str, measured: String, budget: &str) {
    println!("{what:<44} {measured:>14} {budget:>14}");
}

fn charms() -> Result<()> {
    for charm in ["pgbouncer-k8s", "postgresql-k8s", "data-integrator"] {
        let artefact = root().join(format!("dist/{charm}_ubuntu@22.04-amd64.charm"));
        let bytes = std::fs::metadata(&artefact).context("no charm; run `make build`")?.len();
        line(&format!("{charm}: artefact"), mebibytes(bytes), "5 MiB");
        let took = process::no_op(charm)?;
        line(&format!("{charm}: process, no tool call"), format!("{took:.2} ms"), "2 ms");
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn table(engine: &Talisman) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&engine.call(&["measurements"])?)?)
}

fn updated(engine: &Talisman) -> Result<bool> {
    let table = table(engine)?;
    let ran = |charm: &str| {
        table.iter().any(|line| {
            line["charm"] == charm
                && line["hook"] == "update-status"
                && line["runs"].as_u64() > Some(2)
        })
    };
    Ok(ran("pgbouncer-k8s") && ran("postgresql-k8s"))
}

fn hooks(engine: &Talisman) -> Result<()> {
    println!();
    println!(
        "{:<16} {:<36} {:>5} {:>7} {:>11} {:>11} {:>11} {:>7} {:>7} {:>9}",
        "charm",
        "hook",
        "runs",
        "failed",
        "ms median",
        "ms max",
        "waited max",
        "calls",
        "max",
        "KiB max"
    );
    let waits = lifecycle::waits(engine)?;
    for line in table(engine)? {
        let name = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let waited = waits.get(&(name("charm"), name("hook")));
        println!(
            "{:<16} {:<36} {:>5} {:>7} {:>11.1} {:>11.1} {:>11} {:>7} {:>7} {:>9}",
            name("charm"),
            name("hook"),
            line["runs"].to_string(),
            line["failed"].to_string(),
            line["wall_ms_median"].as_f64().unwrap_or_default(),
            line["wall_ms_max"].as_f64().unwrap_or_default(),
            waited.map_or_else(|| "-".to_owned(), u64::to_string),
            line["tool_calls_median"].to_string(),
            line["tool_calls_max"].to_string(),
            line["memory_kib_max"].to_string(),
        );
    }
    Ok(())
}
