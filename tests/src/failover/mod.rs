//! A cluster of three behind the pooler, faults against it, and what a writer sees of them.

mod faults;
mod life;
mod members;
mod neighbour;
pub(crate) mod network;
mod objects;
mod repairs;
mod rest;
mod tls;
mod witness;
mod writer;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{Talisman, root};

pub use faults::Fault;
use witness::Witnesses;
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
    /// A client's URL of any member, whose address stands for `HOST`.
    login: String,
    /// A client's URL that works on this host, through the pooler.
    pub url: String,
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
        let cluster = Self { engine, instance: instance.to_owned(), login, url };
        cluster.await_well(Duration::from_secs(30))?;
        Ok(cluster)
    }

    fn pod(number: usize) -> String {
        format!("{APP}-{number}")
    }

    /// The unit of a pod.
    fn unit(pod: &str) -> Result<String> {
        let (app, number) = pod.rsplit_once('-').context("a pod without number")?;
        Ok(format!("{app}/{number}"))
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

    /// What a line of shell in a member's workload container prints.
    fn inside(&self, pod: &str, line: &str) -> Result<String> {
        self.engine.call(&["ssh", "--container", "postgresql", &Self::unit(pod)?, line])
    }

    /// What a member answers to a query, by the socket that is for the workload's own user.
    fn query(&self, pod: &str, query: &str) -> Result<String> {
        let psql = "runuser -u postgres -- psql -U backup -h /var/run/postgresql";
        self.inside(pod, &format!("{psql} -d {DATABASE} -Atc '{query}'"))
    }

    /// The numbers from `first` on that one member has.
    fn numbers(&self, pod: &str, first: u64) -> Result<HashSet<u64>> {
        let text = self.query(pod, &writer::query(first))?;
        text.lines().map(|line| Ok(line.trim().parse()?)).collect()
    }

    /// Stops or starts Patroni, and PostgreSQL with it, as Pebble does.
    fn pebble(&self, pod: &str, verb: &str) -> Result<()> {
        let socket = "PEBBLE_SOCKET=/charm/container/pebble.socket";
        self.inside(pod, &format!("{socket} /charm/bin/pebble {verb} postgresql")).map(drop)
    }

    /// Loses the primary and its data after all standbys had left: nobody may lead then.
    ///
    /// # Errors
    /// When the units do not say what to run, or running it does not heal them.
    pub fn lose_for_good(&self) -> Result<()> {
        self.await_well(HEAL_BOUND)?;
        // Nothing happens to the units that they would be told of.
        self.engine.call(&["model-config", "update-status-hook-interval=3s"])?;
        let primary = self.primary()?;
        let others = (0..UNITS).map(Self::pod).filter(|pod| *pod != primary);
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

    /// Checks that every member has every number that was acknowledged, and the same numbers.
    ///
    /// # Errors
    /// When a number is lost, or the members do not converge; it says how long after `begun`
    /// the lost ones were acknowledged.
    fn check_history(
        &self,
        first: u64,
        acknowledged: &[(u64, Instant)],
        begun: Instant,
    ) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let all = (0..UNITS).map(|number| self.numbers(&Self::pod(number), first));
            let all: Vec<HashSet<u64>> = all.collect::<Result<_>>()?;
            let is_lost = |n: &u64| all.iter().any(|has| !has.contains(n));
            let lost = acknowledged.iter().filter(|(n, _)| is_lost(n));
            let lost: Vec<(u64, Duration)> =
                lost.map(|(n, at)| (*n, at.saturating_duration_since(begun))).collect();
            if lost.is_empty() && all.iter().all(|has| *has == all[0]) {
                return Ok(());
            }
            if Instant::now() > end {
                let sizes: Vec<usize> = all.iter().map(HashSet::len).collect();
                bail!(
                    "{} of {} acknowledged numbers are lost, acknowledged so long after the \
                     fault: {:?} to {:?}; the members have {sizes:?}",
                    lost.len(),
                    acknowledged.len(),
                    lost.first(),
                    lost.last(),
                );
            }
        }
    }

    /// Does one fault to the primary under writers, and waits until all is well again.
    ///
    /// # Errors
    /// When an acknowledged number is lost, a second member accepted one, or the cluster does
    /// not heal.
    pub fn suffer(&self, fault: Fault) -> Result<Outcome> {
        self.watched(|pod, _| self.inject(fault, pod)).with_context(|| fault.to_string())
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
                    .map(|number| self.query(&Self::pod(number), &format!("SHOW {parameter}")))
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

    /// Does something to the cluster under writers; the primary's pod is given, and the writer
    /// that comes through the pooler.
    fn watched(&self, act: impl FnOnce(&str, &Writer) -> Result<()>) -> Result<Outcome> {
        self.await_well(HEAL_BOUND)?;
        let (before, timeline) = (self.primary()?, self.timeline()?);
        let writer = Writer::start(&self.url)?;
        let first = writer.first;
        let witnesses = Witnesses::start(self, first)?;
        writer.await_writes(20)?;
        let begun = Instant::now();
        act(&before, &writer)?;
        writer.await_writes(20)?;
        self.await_well(HEAL_BOUND)?;
        let healed = begun.elapsed();
        let report = writer.stop()?;
        let witnessed = witnesses.stop()?;
        let moved = self.primary()? != before;
        witness::check_single(&witnessed, self.timeline()? - timeline)?;
        let mut acknowledged = report.acknowledged.clone();
        acknowledged.extend(witnessed.iter().map(|one| (one.number, one.at)));
        self.check_history(first, &acknowledged, begun)?;
        let gap = report.longest_gap();
        Ok(Outcome { gap, failed: report.failed, acknowledged: acknowledged.len(), healed, moved })
    }
}
