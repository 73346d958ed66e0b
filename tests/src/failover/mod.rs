//! A cluster of three behind the pooler, faults against it, and what a writer sees of them.

mod faults;
mod writer;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Talisman, root};

pub use faults::Fault;
pub use writer::{Report, Writer};

const APP: &str = "postgresql-k8s";
const UNITS: usize = 3;
const DATABASE: &str = "app";

/// The default bundle with three units of PostgreSQL.
pub struct Cluster {
    engine: Talisman,
    instance: String,
    /// A client's URL that works on this host, through the pooler.
    pub url: String,
}

/// One member as the cluster shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    pod: String,
    leads: bool,
    in_sync: bool,
    timeline: u64,
}

/// What one fault did to the writer.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The longest time between two acknowledged transactions.
    pub gap: Duration,
    /// The attempts that failed or were not answered in time.
    pub failed: usize,
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
        let cluster = Self { engine, instance: instance.to_owned(), url };
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

    /// The members as one of them sees them.
    fn seen_by(&self, pod: &str) -> Result<Vec<Member>> {
        let line = "python3 -c 'import urllib.request as r; \
                    print(r.urlopen(\"http://localhost:8008/cluster\", timeout=2).read().decode())'";
        let answer: Value = serde_json::from_str(&self.inside(pod, line)?)?;
        let members = answer["members"].as_array().context("no members")?;
        Ok(members.iter().map(member).collect())
    }

    /// The primary's pod, by what a majority of the members says.
    ///
    /// # Errors
    /// When they do not agree.
    pub fn primary(&self) -> Result<String> {
        let views = (0..UNITS).filter_map(|number| self.seen_by(&Self::pod(number)).ok());
        let leaders = views.filter_map(|view| view.into_iter().find(|member| member.leads));
        let leaders: Vec<String> = leaders.map(|leader| leader.pod).collect();
        let votes = |pod: &String| leaders.iter().filter(|other| *other == pod).count();
        leaders.iter().find(|pod| votes(pod) > UNITS / 2).cloned().context("no primary")
    }

    /// Whether every member sees one leader and two standbys in sync on one timeline.
    fn is_well(&self) -> Result<()> {
        let mut first = None;
        for number in 0..UNITS {
            let mut view = self.seen_by(&Self::pod(number))?;
            view.sort_by(|a, b| a.pod.cmp(&b.pod));
            ensure!(view.len() == UNITS, "{number} sees {view:?}");
            ensure!(view.iter().filter(|member| member.leads).count() == 1, "leaders in {view:?}");
            ensure!(view.iter().all(|member| member.in_sync), "not in sync: {view:?}");
            ensure!(view.iter().all(|m| m.timeline == view[0].timeline), "timelines: {view:?}");
            ensure!(*first.get_or_insert_with(|| view.clone()) == view, "views differ: {view:?}");
        }
        Ok(())
    }

    /// Waits until all members are well.
    ///
    /// # Errors
    /// When that takes longer than `bound`; the error says what is wrong.
    pub fn await_well(&self, bound: Duration) -> Result<()> {
        let end = Instant::now() + bound;
        loop {
            match self.is_well() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    return Err(error.context(format!("not well after {bound:?}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// The numbers that one member has.
    fn numbers(&self, pod: &str) -> Result<HashSet<u64>> {
        // The socket is for the workload's own user.
        let table = writer::TABLE;
        let line = format!(
            "runuser -u postgres -- psql -U backup -h /var/run/postgresql -d {DATABASE} \
             -Atc 'SELECT n FROM {table}'"
        );
        self.inside(pod, &line)?.lines().map(|line| Ok(line.trim().parse()?)).collect()
    }

    /// Checks that every member has every number that was acknowledged, and the same numbers.
    ///
    /// # Errors
    /// When a number is lost, or the members do not converge; it says how long after `begun`
    /// the lost ones were acknowledged.
    pub fn check_history(&self, report: &Report, begun: Instant) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let all = (0..UNITS).map(|number| self.numbers(&Self::pod(number)));
            let all: Vec<HashSet<u64>> = all.collect::<Result<_>>()?;
            let lost = |n: &u64| all.iter().any(|has| !has.contains(n));
            let lost: Vec<Instant> =
                report.acknowledged.iter().filter(|(n, _)| lost(n)).map(|(_, at)| *at).collect();
            if lost.is_empty() && all.iter().all(|has| *has == all[0]) {
                return Ok(());
            }
            if Instant::now() > end {
                let sizes: Vec<usize> = all.iter().map(HashSet::len).collect();
                let after = |at: Option<&Instant>| at.map(|at| at.saturating_duration_since(begun));
                bail!(
                    "{} of {} acknowledged numbers are lost, acknowledged {:?} to {:?} after the \
                     fault; the members have {sizes:?}",
                    lost.len(),
                    report.acknowledged.len(),
                    after(lost.first()),
                    after(lost.last()),
                );
            }
        }
    }

    /// Does one fault to the primary under a writer, and waits until all is well again.
    ///
    /// # Errors
    /// When an acknowledged number is lost or the cluster does not heal.
    pub fn suffer(&self, fault: Fault) -> Result<Outcome> {
        let before = self.primary()?;
        let writer = Writer::start(&self.url)?;
        writer.await_writes(20)?;
        let begun = Instant::now();
        self.inject(fault, &before)?;
        self.await_well(Duration::from_secs(90)).with_context(|| fault.to_string())?;
        writer.await_writes(20)?;
        // What the members say of each other may be older than the fault.
        self.await_well(Duration::from_secs(60)).with_context(|| fault.to_string())?;
        let healed = begun.elapsed();
        let report = writer.stop()?;
        self.check_history(&report, begun).with_context(|| fault.to_string())?;
        let moved = self.primary()? != before;
        Ok(Outcome { gap: report.longest_gap(), failed: report.failed, healed, moved })
    }
}

fn member(value: &Value) -> Member {
    let role = value["role"].as_str().unwrap_or_default();
    let state = value["state"].as_str().unwrap_or_default();
    let leads = role == "leader";
    Member {
        pod: value["name"].as_str().unwrap_or_default().to_owned(),
        leads,
        in_sync: leads && state == "running" || role == "sync_standby" && state == "streaming",
        timeline: value["timeline"].as_u64().unwrap_or_default(),
    }
}
