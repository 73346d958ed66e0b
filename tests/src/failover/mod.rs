//! A cluster of three behind the pooler, faults against it, and what a writer sees of them.

mod faults;
mod members;
mod network;
mod witness;
mod writer;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

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
    engine: Talisman,
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

    /// The numbers from `first` on that one member has.
    fn numbers(&self, pod: &str, first: u64) -> Result<HashSet<u64>> {
        // The socket is for the workload's own user.
        let query = writer::query(first);
        let line = format!(
            "runuser -u postgres -- psql -U backup -h /var/run/postgresql -d {DATABASE} \
             -Atc '{query}'"
        );
        self.inside(pod, &line)?.lines().map(|line| Ok(line.trim().parse()?)).collect()
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
        self.try_suffer(fault).with_context(|| fault.to_string())
    }

    fn try_suffer(&self, fault: Fault) -> Result<Outcome> {
        self.await_well(HEAL_BOUND)?;
        let (before, timeline) = (self.primary()?, self.timeline()?);
        let writer = Writer::start(&self.url)?;
        let first = writer.first;
        let witnesses = Witnesses::start(self, first)?;
        writer.await_writes(20)?;
        let begun = Instant::now();
        self.inject(fault, &before)?;
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
