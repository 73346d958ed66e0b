//! A cluster of three behind the pooler, faults against it, and what a writer sees of them.

mod deaths;
mod eventually;
mod faults;
mod kinds;
mod life;
mod long;
mod made;
mod members;
mod neighbour;
pub(crate) mod network;
mod objects;
mod on_node;
mod place;
mod planned;
mod repairs;
mod rest;
mod tls;
mod upgraded;
mod watched;
mod witness;
mod writer;

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::{Talisman, root};

pub use deaths::Dies;
pub use eventually::eventually;
pub use faults::Fault;
pub use kinds::{Kind, Noticed};
pub use long::Growth;
pub use made::Made;
pub use members::Members;
use place::OnEngine;
pub use place::Place;
pub use planned::Planned;
pub use writer::{Report, Writer};

const APP: &str = "postgresql-k8s";
const UNITS: usize = 3;
const DATABASE: &str = "app";
/// How long the members may take until all are well again.
const HEAL_BOUND: Duration = Duration::from_secs(90);

/// The default bundle with three units of PostgreSQL.
pub struct Cluster {
    /// The engine; dropping it takes everything down.
    pub engine: Talisman,
    instance: String,
    members: Members,
}

impl Deref for Cluster {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.members
    }
}

/// What one fault did to the writer.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The longest time between two acknowledged transactions.
    pub gap: Duration,
    /// The attempts that failed or were not answered in time.
    pub failed: usize,
    /// The numbers that were acknowledged, none of which is lost.
    pub acknowledged: usize,
    /// The time until all members were well again.
    pub healed: Duration,
    /// Whether another member leads.
    pub moved: bool,
}

impl Cluster {
    /// Brings it up in an engine of its own.
    ///
    /// # Errors
    /// When it does not become active.
    pub fn up(instance: &str, port: u16) -> Result<Self> {
        let engine = Talisman::new(instance);
        let forward = format!("{port}:pgbouncer-k8s-service:6432");
        let bundle = root().join("bundle.yaml").display().to_string();
        engine.call(&["up", &bundle, "--forward", &forward])?;
        engine.call(&["scale-application", APP, &UNITS.to_string()])?;
        engine.wait_active(90)?;
        let results = engine.action("data-integrator/0", "get-credentials")?;
        let uris = results["postgresql"]["uris"].as_str().context("no uris")?;
        let (user, _) = uris.split_once('@').context("no user in the uris")?;
        let url = format!("{user}@127.0.0.1:{port}/{DATABASE}");
        let login = format!("{user}@HOST:5432/{DATABASE}");
        let place = Arc::new(OnEngine { instance: instance.to_owned() });
        let members = Members::new(place, login, url);
        let cluster = Self { engine, instance: instance.to_owned(), members };
        cluster.await_well(Duration::from_secs(30))?;
        Ok(cluster)
    }

    /// Changes settings of the pooler, in the form of its option `pgbouncer-settings`.
    ///
    /// # Errors
    /// When it refuses them.
    pub fn tune_pooler(&self, settings: &str) -> Result<()> {
        let option = format!("pgbouncer-settings={settings}");
        self.engine.call(&["config", "pgbouncer-k8s", &option])?;
        self.engine.wait_active(60).map(drop)
    }

    /// Stops or starts Patroni, and PostgreSQL with it, as Pebble does.
    fn pebble(&self, pod: &str, verb: &str) -> Result<()> {
        let socket = "PEBBLE_SOCKET=/charm/container/pebble.socket";
        self.inside(pod, &format!("{socket} /charm/bin/pebble {verb} postgresql")).map(drop)
    }

    /// Loses the primary and its data after all standbys had left: no member may lead then.
    ///
    /// # Errors
    /// When the units do not say what to run, or running it does not heal them.
    pub fn lose_for_good(&self) -> Result<()> {
        self.await_well(HEAL_BOUND)?;
        // Nothing happens to the units that causes an event.
        self.engine.call(&["model-config", "update-status-hook-interval=3s"])?;
        let primary = self.primary()?;
        let others = (0..UNITS).map(Members::pod).filter(|pod| *pod != primary);
        let others: Vec<String> = others.collect();
        for pod in &others {
            self.pebble(pod, "stop")?;
        }
        self.await_alone(&primary, HEAL_BOUND)?;
        self.pebble(&primary, "stop")?;
        self.inside(&primary, "rm -rf /var/lib/postgresql/data/pgdata")?;
        for pod in others.iter().chain([&primary]) {
            self.pebble(pod, "start")?;
        }
        let told = |status: &serde_json::Value| {
            let units = status["applications"][APP]["units"].as_object()?;
            let texts = units.values().map(|unit| &unit["workload-status"]);
            let blocked = texts.filter(|status| status["current"] == "blocked");
            let text = blocked.filter_map(|status| status["message"].as_str()).next()?;
            Some(text.split_once("`juju ")?.1.trim_end_matches('`').to_owned())
        };
        let status = self.engine.wait("a command to run", 60, |status| told(status).is_some())?;
        let command = told(&status).context("no command")?;
        self.engine.call(&command.split(' ').collect::<Vec<_>>())?;
        self.await_well(HEAL_BOUND)?;
        self.engine.wait_active(60).map(drop)
    }

    /// Sets an option under writers and waits until every member has the parameter.
    ///
    /// # Errors
    /// As with a fault, and when the parameter does not get there.
    pub fn reconfigure(&self, option: &str, parameter: &str, value: &str) -> Result<Outcome> {
        self.watched(|_, _| {
            self.engine.call(&["config", APP, option])?;
            let end = Instant::now() + HEAL_BOUND;
            loop {
                let values: Vec<String> = (0..UNITS)
                    .map(|number| self.query(&Members::pod(number), &format!("SHOW {parameter}")))
                    .map(Result::unwrap_or_default)
                    .collect();
                if values.iter().all(|found| found.trim() == value) {
                    return Ok(());
                }
                ensure!(Instant::now() < end, "{parameter} is {values:?}");
                std::thread::sleep(Duration::from_millis(200));
            }
        })
    }
}
