//! Reloads of every PgBouncer process while pgbench works through the pooler.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
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
    let prepared = pgbench(&world)?.args(["-i", "-q"]).output().context(MISSING)?;
    ensure!(prepared.status.success(), "pgbench: {}", words(&prepared));

    let mut load = Load::start(&world)?;
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

const MISSING: &str = "cannot start pgbench; install it with `tools/setup test`";

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

/// pgbench as the world's client; the password is in its environment only.
fn pgbench(world: &Pooled) -> Result<Command> {
    let (user, rest) = world.url.split_once('@').context("no user in the URL")?;
    let (_, credentials) = user.split_once("//").context("no scheme in the URL")?;
    let (user, password) = credentials.split_once(':').context("no password in the URL")?;
    let (_, database) = rest.split_once('/').context("no database in the URL")?;
    let mut command = Command::new("pgbench");
    command
        .envs([("PGHOST", "127.0.0.1"), ("PGUSER", user), ("PGPASSWORD", password)])
        .envs([("PGDATABASE", database), ("PGPORT", &PORT.to_string())]);
    Ok(command)
}

/// What became of the load.
struct Outcome {
    transactions: u64,
    failed: u64,
    dropped: usize,
    said: String,
}

/// A running pgbench; dropping it ends it.
struct Load(Option<Child>);

impl Load {
    fn start(world: &Pooled) -> Result<Self> {
        let clients = CLIENTS.to_string();
        let child = pgbench(world)?
            .args(["-n", "-b", "simple-update", "-j", "2", "-T", "86400", "-c", &clients])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(MISSING)?;
        Ok(Self(Some(child)))
    }

    fn still_runs(&mut self) -> Result<()> {
        let child = self.0.as_mut().context("no pgbench")?;
        if child.try_wait()?.is_some() {
            bail!("pgbench ended early: {}", self.output()?.said);
        }
        Ok(())
    }

    /// Ends it as its own timer would, so that it reports.
    fn end(mut self) -> Result<Outcome> {
        let id = self.0.as_ref().context("no pgbench")?.id().to_string();
        let told = Command::new("kill").args(["-ALRM", &id]).status()?;
        ensure!(told.success(), "cannot end pgbench, process {id}");
        self.output()
    }

    fn output(&mut self) -> Result<Outcome> {
        let output = self.0.take().context("no pgbench")?.wait_with_output()?;
        let said = words(&output);
        let count = |begin: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(begin));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        };
        Ok(Outcome {
            transactions: count("number of transactions actually processed: ")
                .with_context(|| said.clone())?,
            failed: count("number of failed transactions: ").unwrap_or_default(),
            dropped: said.lines().filter(|line| line.contains("aborted in command")).count(),
            said,
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Everything that a process said.
fn words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
