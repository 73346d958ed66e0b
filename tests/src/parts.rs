//! The real counterparts of what the simulator simulates, in pods: three members of PostgreSQL
//! under Patroni, and a pooler's container in which nothing runs yet.

use std::future::Future;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::failover::network;
use crate::{Talisman, root};

/// PostgreSQL's application.
pub const DATABASE: &str = "postgresql-k8s";
/// The pooler's application.
pub const POOLER: &str = "pgbouncer-k8s";

/// The pods.
pub struct Parts {
    /// The engine; dropping it takes everything down.
    pub engine: Talisman,
    instance: String,
}

impl Parts {
    /// Brings the pods up in an engine of its own.
    ///
    /// # Errors
    /// When the members do not become active.
    pub fn up(instance: &str) -> Result<Self> {
        let engine = Talisman::new(instance);
        engine.call(&["up"])?;
        let path = |name: &str| root().join(name).display().to_string();
        for (app, image, units) in [
            (DATABASE, "postgresql-image=images/postgresql.yaml", "3"),
            (POOLER, "pgbouncer-image=images/pgbouncer.yaml", "1"),
        ] {
            let charm = path(&format!("dist/{app}_ubuntu@22.04-amd64.charm"));
            let args = ["deploy", &charm, app, "--resource", image, "-n", units, "--trust"];
            engine.call(&args)?;
        }
        engine.wait("all units", 180, |status| {
            let all = |app: &str, wanted: &str, count: usize| {
                let units = status["applications"][app]["units"].as_object();
                let ready = units.into_iter().flat_map(|units| units.values()).filter(|unit| {
                    unit["workload-status"]["current"] == wanted
                        && unit["juju-status"]["current"] == "idle"
                });
                ready.count() == count
            };
            // The pooler has no PostgreSQL, so it starts nothing.
            all(DATABASE, "active", 3) && all(POOLER, "blocked", 1)
        })?;
        Ok(Self { engine, instance: instance.to_owned() })
    }

    /// The socket of the Pebble of a pod's container.
    pub fn socket(&self, pod: &str, container: &str) -> PathBuf {
        let instance = &self.instance;
        let pods = format!("/var/lib/talisman/{instance}/pods");
        format!("{pods}/{pod}/shared/{container}/pebble.socket").into()
    }

    /// The address of a pod.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn address(&self, pod: &str) -> Result<String> {
        self.engine.address(pod)
    }

    /// What an account of a unit has for the Kubernetes API: a file of this name.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn account(&self, pod: &str, name: &str) -> Result<String> {
        let path = format!("/run/talisman/{}/units/{pod}/account/{name}", self.instance);
        Ok(std::fs::read_to_string(path)?)
    }

    /// Runs a suite in the network of the pods.
    ///
    /// # Errors
    /// The suite's own.
    pub fn run<T, E, F>(&self, suite: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let namespace = network::of_pod(&self.instance, &format!("{POOLER}-0"));
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(suite()).map_err(|error| anyhow!("{error}"))
        };
        network::joined(network::inside(&namespace, work)?)
    }
}
