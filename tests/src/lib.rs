//! A driver for end-to-end scenarios: one engine of its own per test.

pub mod disk;
pub mod failover;
pub mod juju;
pub mod kubernetes;
pub mod parts;
pub mod pgbench;
pub mod pooled;
pub mod real;
pub mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One engine under test; dropping it removes everything it made.
pub struct Talisman {
    instance: String,
    variables: Vec<(String, String)>,
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The program under test: the built one, unless `TALISMAN_PROGRAM` names another.
pub fn program() -> PathBuf {
    let named = std::env::var_os("TALISMAN_PROGRAM").map(PathBuf::from);
    named.unwrap_or_else(|| root().join("talisman"))
}

/// When the newest file below a folder was changed.
fn newest(folder: &Path) -> std::io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let time =
            if path.is_dir() { self::newest(&path)? } else { path.metadata()?.modified()? };
        newest = newest.max(time);
    }
    Ok(newest)
}

/// The charm of the suite that is written in Python, packed; again only when its sources or what
/// packs them are newer, for that asks the package index.
pub fn packed_probe(engine: &Talisman) -> Result<PathBuf> {
    static PACKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = PACKING.lock();
    let source = root().join("tests/charms/ops-probe");
    let out = root().join("target/charms");
    let charm = out.join("ops-probe_ubuntu@22.04-amd64.charm");
    let made = charm.metadata().and_then(|meta| meta.modified());
    let packer =
        root().join("engine/talisman/src/package/pack_python.rs").metadata()?.modified()?;
    let newest = newest(&source)?.max(packer);
    if made.is_ok_and(|made| made > newest) {
        return Ok(charm);
    }
    engine.call(&["pack", &source.display().to_string(), "--out", &out.display().to_string()])?;
    Ok(charm)
}

impl Talisman {
    /// An engine of its own under a name of at most eight letters and digits.
    pub fn new(instance: &str) -> Self {
        let engine = Self { instance: instance.to_owned(), variables: Vec::new() };
        engine.call(&["down", "--destroy-storage"]).ok();
        engine
    }

    /// Adds a variable to the environment of every command line, and so to the engine's.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.variables.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The engine's name.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The address of a pod.
    pub fn address(&self, pod: &str) -> Result<String> {
        let path = format!("/run/talisman/{}/pods/{pod}/pod.json", self.instance);
        let record: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        Ok(record["address"].as_str().context("no address")?.to_owned())
    }

    /// Runs one command line.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        Command::new(program())
            .arg("--instance")
            .arg(&self.instance)
            .args(args)
            .envs(self.variables.iter().cloned())
            .current_dir(root())
            .output()
            .context("cannot run ./talisman; build it with `make build`")
    }

    /// Runs one command line that must succeed, and gives what it printed.
    pub fn call(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "talisman {}: {}{stdout}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        // Juju's command ends well however an action ends; a scenario wants to know.
        let words = String::from_utf8_lossy(&output.stderr);
        let failed = stdout.starts_with("Action id") || words.contains("failed to schedule");
        if args.first() == Some(&"run") && failed {
            bail!("talisman {}: {words}{stdout}", args.join(" "));
        }
        Ok(stdout)
    }

    /// Runs one command line that must fail, and gives its words.
    pub fn refusal(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        if output.status.success() {
            bail!("talisman {} succeeded", args.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The model in Juju's JSON.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.call(&["status", "--format", "json"])?)?)
    }

    /// Waits for a condition on the model, with a bound.
    pub fn wait(&self, what: &str, seconds: u64, ready: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let status = self.status()?;
            if ready(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let table = self.call(&["status", "--relations"])?;
                let log = self.call(&["debug-log", "--no-tail", "--limit", "200"])?;
                bail!("waited {seconds} s for {what}\n{table}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until every unit is active and idle.
    pub fn wait_active(&self, seconds: u64) -> Result<Value> {
        self.wait("all units active", seconds, all_active)
    }

    /// The results of an action on one unit, or on `<application>/leader`.
    pub fn action(&self, unit: &str, action: &str) -> Result<Value> {
        let text = self.call(&["run", unit, action, "--format", "json"])?;
        let answer: Value = serde_json::from_str(&text)?;
        let answers = answer.as_object().context("no results")?;
        let one = answers.values().next().context("no results")?;
        if one["status"] != "completed" {
            bail!("{action} on {unit}: {one}");
        }
        Ok(one["results"].clone())
    }
}

/// Whether every application has its units and all are active and idle.
pub fn all_active(status: &Value) -> bool {
    let Some(applications) = status["applications"].as_object() else { return false };
    applications.values().all(|app| {
        let units = app["units"].as_object();
        let count = units.map_or(0, |units| units.len() as u64);
        app["scale"].as_u64().unwrap_or(0) == count
            && units.into_iter().flat_map(|units| units.values()).all(|unit| {
                unit["workload-status"]["current"] == "active"
                    && unit["juju-status"]["current"] == "idle"
            })
    })
}

impl Drop for Talisman {
    fn drop(&mut self) {
        // What a failed test left may be worth a look.
        if std::env::var_os("TALISMAN_KEEP").is_some() {
            return;
        }
        self.call(&["down", "--destroy-storage"]).ok();
    }
}
