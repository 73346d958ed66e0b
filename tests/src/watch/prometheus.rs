//! A real Prometheus in the network of a pod.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::Talisman;
use crate::failover::network;

/// Where it answers, in the network that it runs in.
const ADDRESS: &str = "127.0.0.1:9090";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; dropping it ends it.
pub struct Prometheus {
    child: Child,
    network: String,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The jobs that the library of Prometheus' charm makes of what an application wrote: one for each
/// unit and set of targets, with the labels of the topology, and the same `instance` for all of a
/// unit's targets.
fn jobs(relation: &Value, address: &dyn Fn(&str) -> Result<String>) -> Result<Vec<Value>> {
    let text = |key: &str| relation["application-data"][key].as_str().context(key.to_owned());
    let place: Value = serde_json::from_str(text("scrape_metadata")?)?;
    let written: Vec<Value> = serde_json::from_str(text("scrape_jobs")?)?;
    let units = relation["related-units"].as_object().context("no units")?;
    let mut jobs = Vec::new();
    for job in &written {
        for set in job["static_configs"].as_array().context("no targets")? {
            for unit in units.keys() {
                let host = address(unit)?;
                let targets = set["targets"].as_array().context("no targets")?.iter();
                let targets: Vec<String> =
                    targets.filter_map(|it| Some(it.as_str()?.replace('*', &host))).collect();
                let mut labels = Map::new();
                for (label, key) in [
                    ("juju_model", "model"),
                    ("juju_model_uuid", "model_uuid"),
                    ("juju_application", "application"),
                    ("juju_charm", "charm_name"),
                ] {
                    labels.insert(label.to_owned(), place[key].clone());
                }
                labels.insert("juju_unit".to_owned(), json!(unit));
                labels.extend(set["labels"].as_object().cloned().unwrap_or_default());
                jobs.push(json!({
                    "job_name": format!("job-{}-{unit}", jobs.len()),
                    "metrics_path": job["metrics_path"],
                    "scheme": job.get("scheme").unwrap_or(&json!("http")),
                    "static_configs": [{"targets": targets, "labels": labels}],
                    "relabel_configs": [{
                        "source_labels":
                            ["juju_model", "juju_model_uuid", "juju_application", "juju_unit"],
                        "separator": "_",
                        "target_label": "instance",
                        "regex": "(.*)",
                    }],
                }));
            }
        }
    }
    Ok(jobs)
}

impl Prometheus {
    /// Starts one, in the network of a pod, on what these relations say; it looks every second.
    ///
    /// # Errors
    /// When it does not start, or refuses the rules.
    pub fn start(engine: &Talisman, pod: &str, relations: &[Value]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let address = |unit: &str| engine.address(&unit.replace('/', "-"));
        let (mut all, mut files) = (Vec::new(), Vec::new());
        for (index, relation) in relations.iter().enumerate() {
            for mut job in jobs(relation, &address)? {
                job["job_name"] = json!(format!("{index}-{}", job["job_name"]));
                all.push(job);
            }
            let rules = &relation["application-data"]["alert_rules"];
            let file = path(&format!("rules-{index}.yaml"));
            std::fs::write(&file, rules.as_str().context("no rules")?)?;
            files.push(file.display().to_string());
        }
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": files,
            "scrape_configs": all,
        });
        std::fs::write(path("prometheus.yml"), config.to_string())?;
        let network = network::of_pod(engine.instance(), pod);
        let network = network.file_name().context("no network")?.to_string_lossy().into_owned();
        let child = Self::run(&network, folder.path())?;
        let server = Self { child, network, _folder: folder };
        let end = Instant::now() + PATIENCE;
        while server.query("vector(1)").is_err() {
            ensure!(Instant::now() < end, "Prometheus does not start");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(server)
    }

    fn run(network: &str, folder: &Path) -> Result<Child> {
        let argument = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
        Command::new("ip")
            .args(["netns", "exec", network, "prometheus"])
            .arg(argument("config.file", "prometheus.yml"))
            .arg(argument("storage.tsdb.path", "data"))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run prometheus; `tools/setup test` installs it")
    }

    /// What a query finds: the labels and the value of each series.
    ///
    /// # Errors
    /// When Prometheus refuses it.
    pub fn query(&self, query: &str) -> Result<Vec<(Value, f64)>> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.network, "promtool", "query", "instant", "-o", "json"])
            .args([&format!("http://{ADDRESS}"), query])
            .output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{query}: {words}");
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let found = found.as_array().context("no series")?.iter();
        let one = |series: &Value| {
            let value = series["value"][1].as_str().and_then(|text| text.parse().ok());
            Some((series["metric"].clone(), value?))
        };
        Ok(found.filter_map(one).collect())
    }

    /// The names of all that was read.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn names(&self) -> Result<BTreeSet<String>> {
        let found = self.query("{__name__=~\"(pgbouncer|patroni|pg)_.*\"}")?;
        let name = |(labels, _): (Value, f64)| labels["__name__"].as_str().map(str::to_owned);
        Ok(found.into_iter().filter_map(name).collect())
    }
}
