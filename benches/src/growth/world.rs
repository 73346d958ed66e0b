//! An engine with PostgreSQL, the pooler, and one application with many relations to it.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use end_to_end::{Talisman, all_active, root};
use serde_json::Value;

use super::{HOOKS, charms};

const POOLER: &str = "pgbouncer-k8s";
/// The most databases: a thousand in PostgreSQL are ten gigabytes in 300,000 files. Where there
/// are more relations, several share one.
const DATABASES: usize = 100;
/// How long a hook over all relations may take, with the databases it makes.
const SECONDS: u64 = 900;

/// In how many looks at the model, a tenth of a second apart, nothing may run.
const STILL: u32 = 30;

/// The tools that change nothing.
const READS: [&str; 14] = [
    "action-get",
    "config-get",
    "credential-get",
    "goal-state",
    "is-leader",
    "network-get",
    "opened-ports",
    "relation-get",
    "relation-ids",
    "relation-list",
    "secret-get",
    "secret-info-get",
    "state-get",
    "status-get",
];

/// What one hook cost.
pub(super) struct Cost {
    pub(super) calls: u64,
    pub(super) milliseconds: f64,
    /// Calls of tools that write.
    pub(super) written: BTreeMap<String, u64>,
}

impl Cost {
    pub(super) fn writes(&self) -> u64 {
        self.written.values().sum()
    }
}

pub(super) struct World {
    engine: Talisman,
    relations: usize,
    pub(super) databases: usize,
}

impl World {
    /// All relations are there, and all but the last have their credentials.
    pub(super) fn up(relations: usize) -> Result<Self> {
        let engine = Talisman::new("benchgro").with("TALISMAN_TRACE_TOOLS", "1");
        let databases = relations.min(DATABASES);
        let world = Self { engine, relations, databases };
        let image = |name: &str| {
            let file = root().join(format!("images/{name}.yaml"));
            format!("{name}-image={}", file.display())
        };
        let packed = |name: &str| {
            let file = root().join(format!("dist/{name}_ubuntu@22.04-amd64.charm"));
            file.display().to_string()
        };
        let client = charms::client(relations, databases)?.display().to_string();
        let placeholder = charms::placeholder()?.display().to_string();
        let (postgresql, pgbouncer) = (image("postgresql"), image("pgbouncer"));
        world.call(&["up"])?;
        let server = packed("postgresql-k8s");
        // The charm wants a server connection for each database and process.
        let connections = ["--config", "experimental_max_connections=500"];
        let server = ["deploy", &server, "--trust", "--resource", &postgresql];
        world.call(&[&server[..], &connections].concat())?;
        world.call(&["deploy", &placeholder, "--trust", "--resource", &pgbouncer])?;
        world.call(&["deploy", &client])?;
        world.engine.wait_active(60)?;
        for number in 0..relations {
            let endpoint = format!("growth-client:r{number:04}");
            world.call(&["integrate", &endpoint, &format!("{POOLER}:database")])?;
        }
        // One for each client that has joined, then one for each request.
        world.heard(relations)?;
        world.ask(0, relations - 1)?;
        world.heard(2 * relations - 1)?;
        world.call(&["refresh", POOLER, "--path", &packed(POOLER)])?;
        let backend = format!("{POOLER}:backend-database");
        world.call(&["integrate", &backend, "postgresql-k8s:database"])?;
        world.served(relations - 1)?;
        Ok(world)
    }

    /// Waits until so many changes of clients have reached the pooler's place.
    fn heard(&self, changes: usize) -> Result<()> {
        let what = format!("{changes} changes heard");
        let heard = || Ok::<_, anyhow::Error>(self.line(HOOKS[0])?["runs"].as_u64());
        let enough = |status: &Value| {
            all_active(status) && heard().is_ok_and(|runs| runs >= Some(changes as u64))
        };
        self.engine.wait(&what, SECONDS, enough).map(drop)
    }

    /// The client's charm asks for the databases from `first` to `end`.
    fn ask(&self, first: usize, end: usize) -> Result<()> {
        let (first, end) = (format!("first={first}"), format!("end={end}"));
        self.call(&["config", "growth-client", &first, &end]).map(drop)
    }

    /// One more request, in the relation that is left.
    pub(super) fn grant_last(&self) -> Result<Cost> {
        let cost = self
            .after("database-relation-changed", || self.ask(self.relations - 1, self.relations))?;
        self.served(self.relations)?;
        Ok(cost)
    }

    /// The hook after a change of an option that nothing depends on while the Service is not a
    /// load balancer.
    pub(super) fn configure(&self, annotations: &str) -> Result<Cost> {
        let option = format!("loadbalancer-extra-annotations={annotations}");
        self.after(HOOKS[1], || self.call(&["config", POOLER, &option]).map(drop))
    }

    /// The hook that runs because time has passed.
    pub(super) fn update_status(&self) -> Result<Cost> {
        self.call(&["model-config", "update-status-hook-interval=2s"])?;
        let cost = self.after(HOOKS[2], || Ok(()))?;
        self.call(&["model-config", "update-status-hook-interval=300s"])?;
        Ok(cost)
    }

    /// What the next run of a hook costs.
    fn after(&self, hook: &str, trigger: impl FnOnce() -> Result<()>) -> Result<Cost> {
        let before = self.line(hook)?["runs"].clone();
        trigger()?;
        self.engine
            .wait(hook, SECONDS, |_| self.line(hook).is_ok_and(|line| line["runs"] != before))?;
        let line = self.line(hook)?;
        Ok(Cost {
            calls: line["tool_calls_last"].as_u64().context("no calls")?,
            milliseconds: line["wall_ms_last"].as_f64().context("no time")?,
            written: self.written(hook)?,
        })
    }

    fn line(&self, hook: &str) -> Result<Value> {
        let table: Vec<Value> = serde_json::from_str(&self.call(&["measurements"])?)?;
        let line = table.into_iter().find(|line| line["charm"] == POOLER && line["hook"] == hook);
        Ok(line.unwrap_or_default())
    }

    /// The writing tools among those that the hook's last run says it called.
    fn written(&self, hook: &str) -> Result<BTreeMap<String, u64>> {
        let include = format!("unit-{POOLER}-0");
        let log = ["debug-log", "--no-tail", "--level", "DEBUG", "--limit", "2000"];
        let text = self.call(&[&log[..], &["--include", &include]].concat())?;
        let said = format!("{POOLER}/0.{hook} Hook tools: ");
        let line = text.lines().rev().find_map(|line| line.split_once(&said));
        let (_, line) = line.with_context(|| format!("{hook} did not say what it called"))?;
        let (_, each) = line.rsplit_once(" KiB: ").context("no list of tools")?;
        let mut written = BTreeMap::new();
        for entry in each.split(", ") {
            let mut words = entry.split(' ');
            let (tool, calls) = (words.next().unwrap_or_default(), words.next());
            if !READS.contains(&tool) {
                let calls = calls.and_then(|calls| calls.parse().ok());
                written.insert(tool.to_owned(), calls.with_context(|| line.to_owned())?);
            }
        }
        Ok(written)
    }

    /// Waits until so many clients have their credentials and nothing has moved for a while: a
    /// hook that is still due would grant the next request before the one that is measured.
    fn served(&self, clients: usize) -> Result<()> {
        let granted = || {
            let shown = self.call(&["show-unit", "growth-client/0", "--format", "json"])?;
            Ok::<_, anyhow::Error>(shown.matches("\"secret-user\":").count())
        };
        let still = Cell::new(0);
        let ready = |status: &Value| {
            still.set(if all_active(status) { still.get() + 1 } else { 0 });
            still.get() >= STILL && granted().is_ok_and(|found| found == clients)
        };
        self.engine.wait(&format!("{clients} clients served"), SECONDS, ready).map(drop)
    }

    /// How large the configuration of one process is.
    pub(super) fn ini_bytes(&self) -> Result<u64> {
        let text = self.inside("stat -c %s /var/lib/pgbouncer/instance_0/pgbouncer.ini")?;
        text.trim().parse().with_context(|| text.clone())
    }

    /// The files that the charm writes, each with its time of change.
    pub(super) fn files(&self) -> Result<String> {
        let places = "/var/lib/pgbouncer /dev/shm /etc/logrotate.d";
        let text = self.inside(&format!("find {places} -type f -printf '%p %T@\\n' | sort"))?;
        ensure!(text.contains("pgbouncer.ini"), "no configuration among {text:?}");
        Ok(text)
    }

    fn inside(&self, script: &str) -> Result<String> {
        let unit = format!("{POOLER}/0");
        self.call(&["ssh", "--container", "pgbouncer", &unit, script])
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        self.engine.call(args)
    }
}
