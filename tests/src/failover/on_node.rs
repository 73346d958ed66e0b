//! Members in pods of a real node, in whose namespaces this program runs.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::made::Made;
use super::{DATABASE, Members, Place, writer};
use crate::kubernetes::quoted;
use crate::real::{Administrator, folder, import};

/// How long an image may take to become pods that serve.
const START_BOUND: Duration = Duration::from_secs(240);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// The API's address among those of services.
const API: &str = "10.152.183.1";
/// Asks the Patroni that it runs beside, with the rights to change things: verb, path, body.
const ASK: &str = "
import base64, sys, urllib.request, yaml
login = yaml.safe_load(open('/var/lib/postgresql/data/patroni.yml'))['restapi']['authentication']
login = base64.b64encode(f\"{login['username']}:{login['password']}\".encode()).decode()
verb, path, body = sys.argv[1:]
asked = urllib.request.Request(
    'http://localhost:8008' + path,
    body.encode(),
    {'Authorization': 'Basic ' + login},
    method=verb,
)
urllib.request.urlopen(asked).read()
";

struct OnNode {
    api: Administrator,
    namespace: String,
}

impl OnNode {
    /// Waits for an answer, on a thread of its own: the caller may be a task.
    fn run<T: Send>(&self, asked: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let wait = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(asked)
        };
        let answer = std::thread::scope(|scope| scope.spawn(wait).join());
        answer.map_err(|_| anyhow!("a thread panicked"))?
    }

    fn patroni(&self, pod: &str, verb: &str, path: &str, body: &Value) -> Result<()> {
        let (script, body) = (quoted(ASK), quoted(&body.to_string()));
        self.inside(pod, &format!("python3 -c {script} {verb} {path} {body}")).map(drop)
    }

    fn pod(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/pods/{name}", self.namespace)
    }
}

impl Place for OnNode {
    fn address(&self, pod: &str) -> Result<Ipv4Addr> {
        let found: Value = serde_json::from_str(&self.run(self.api.get(&self.pod(pod)))?)?;
        Ok(found["status"]["podIP"].as_str().context("no address")?.parse()?)
    }

    fn outlook(&self) -> PathBuf {
        "/proc/self/ns/net".into()
    }

    fn network(&self, pod: &str) -> Result<PathBuf> {
        Ok(format!("/proc/{}/ns/net", self.first_process(pod)?).into())
    }

    fn first_process(&self, pod: &str) -> Result<u32> {
        let name = format!("HOSTNAME={pod}");
        let read = |process: &Path, file: &str| {
            std::fs::read_to_string(process.join(file)).unwrap_or_default()
        };
        let pebble = |process: &PathBuf| {
            read(process, "cmdline").starts_with("/charm/bin/pebble\0run\0")
                && read(process, "environ").split('\0').any(|variable| variable == name)
        };
        let mut all = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
        let found = all.find(pebble).with_context(|| format!("{pod} does not run"))?;
        let number = found.file_name().and_then(|name| name.to_str()).context("no number")?;
        Ok(number.parse()?)
    }

    fn inside(&self, pod: &str, line: &str) -> Result<String> {
        let first = self.first_process(pod)?.to_string();
        let within = ["--target", &first, "--mount", "--uts", "--ipc", "--net", "--pid"];
        let shell = ["--root", "--wd=/", "sh", "-c", line];
        let output = Command::new("nsenter").args(within).args(shell).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{pod}: {line}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn switch_over(&self, pod: &str) -> Result<()> {
        self.patroni(pod, "POST", "/switchover", &json!({ "leader": pod }))
    }

    fn delete(&self, pod: &str) -> Result<()> {
        self.run(self.api.delete(&self.pod(pod)))
    }

    fn api(&self) -> &str {
        API
    }
}

impl Members {
    /// Brings what the charm made on an engine up on the node.
    ///
    /// # Errors
    /// When the node refuses an object, or the members do not become well.
    pub fn on_node(made: &Made) -> Result<Self> {
        import(folder(), "postgresql", &made.tree, &[])?;
        let node =
            OnNode { api: Administrator::of_environment()?, namespace: made.namespace.clone() };
        for (path, object) in made.objects() {
            node.run(node.api.create(&path, &object))?;
        }
        let path = format!("/api/v1/namespaces/{}/services/{}", made.namespace, made.primary());
        let service: Value = serde_json::from_str(&node.run(node.api.get(&path))?)?;
        let primary = service["spec"]["clusterIP"].as_str().context("no address")?;
        let login = format!("postgresql://operator:{}@HOST:5432/{DATABASE}", made.password);
        let url = login.replace("HOST", primary);
        node.run(prepare(&url.replace(DATABASE, "postgres")))?;
        node.patroni(&Self::pod(0), "PATCH", "/config", &made.configuration)?;
        let members = Self::new(Arc::new(node), login, url);
        members.await_well(START_BOUND)?;
        Ok(members)
    }
}

/// Makes what the charm makes by SQL, in so far as the checker needs it.
async fn prepare(url: &str) -> Result<()> {
    let end = Instant::now() + START_BOUND;
    let client = loop {
        match writer::connect(url).await {
            Ok(client) => break client,
            Err(error) if Instant::now() > end => return Err(error.context("no primary")),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    client.simple_query("CREATE ROLE backup LOGIN SUPERUSER").await?;
    client.simple_query(&format!("CREATE DATABASE {DATABASE}")).await?;
    Ok(())
}
