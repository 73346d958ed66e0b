//! The members, and how they are by what each says of itself now.
//!
//! What Patroni shows of other members may be seconds old; what it says of its own server it
//! has just asked that server for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{APP, DATABASE, Place, UNITS, eventually, network};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// How long after a unit has left its slot may stay.
const SLOTS_BOUND: Duration = Duration::from_secs(15);
/// The slots of standbys, whether they are there or not.
const SLOTS: &str = "SELECT slot_name FROM pg_replication_slots WHERE NOT temporary";

/// One member by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    leads: bool,
    runs: bool,
    timeline: u64,
    /// Who receives its commits before they are acknowledged.
    in_sync: Vec<String>,
    /// Who may lead after it, as Patroni publishes it.
    successors: Vec<String>,
}

/// The members, wherever they run.
pub struct Members {
    pub(super) place: Arc<dyn Place>,
    /// A client's URL of any member, whose address stands for `HOST`.
    pub(super) login: String,
    /// A client's URL that follows the primary.
    pub url: String,
}

impl Members {
    /// Members at a place; of `login` the host is `HOST`, and `url` follows the primary.
    pub fn new(place: Arc<dyn Place>, login: String, url: String) -> Self {
        Self { place, login, url }
    }

    /// The pod of a member.
    pub fn pod(number: usize) -> String {
        format!("{APP}-{number}")
    }

    /// What a line of shell in a member's workload container prints.
    pub(super) fn inside(&self, pod: &str, line: &str) -> Result<String> {
        self.place.inside(pod, line)
    }

    /// What a member answers to a query, by the socket that is for the workload's own user.
    pub(super) fn query(&self, pod: &str, query: &str) -> Result<String> {
        let psql = "runuser -u postgres -- psql -U backup -h /var/run/postgresql";
        self.inside(pod, &format!("{psql} -d {DATABASE} -Atc '{query}'"))
    }

    /// The address of a pod as it is now.
    pub(super) fn address(&self, pod: &str) -> Result<Ipv4Addr> {
        self.place.address(pod)
    }

    /// Deletes pods, all at once, and waits until others are in their places.
    pub(super) fn replace_pods(&self, pods: &[String]) -> Result<()> {
        let old: Vec<_> = pods.iter().map(|pod| self.address(pod)).collect::<Result<_>>()?;
        for pod in pods {
            self.place.delete(pod)?;
        }
        eventually("another pod, which has another address", || {
            for (pod, old) in pods.iter().zip(&old) {
                let found = self.address(pod)?;
                ensure!(found != *old, "{pod} is at {old}");
            }
            Ok(())
        })
    }

    /// The network of a pod that no fault concerns.
    pub(super) fn outlook(&self) -> PathBuf {
        self.place.outlook()
    }

    /// What the members that answer say of themselves, asked at the same time.
    fn members(&self) -> Result<BTreeMap<String, Member>> {
        self.ask((0..UNITS).map(Self::pod))
    }

    /// The cluster as one member shows it.
    pub(super) fn cluster(&self, pod: &str) -> Result<Value> {
        let address = self.address(pod)?;
        let look = move || network::ask(address, "/cluster");
        network::joined(network::inside(&self.outlook(), look)?)
    }

    fn ask(&self, pods: impl Iterator<Item = String>) -> Result<BTreeMap<String, Member>> {
        let asked: Vec<_> = pods
            .filter_map(|pod| Some((self.address(&pod).ok()?, pod)))
            .map(|(address, pod)| {
                let look = move || Ok((ask_member(address)?, pod));
                network::inside(&self.outlook(), look)
            })
            .collect::<Result<_>>()?;
        let told = asked.into_iter().filter_map(|thread| network::joined(thread).ok());
        Ok(told.map(|(member, pod)| (pod, member)).collect())
    }

    /// The primary's pod.
    ///
    /// # Errors
    /// When no member leads, or several say that they do.
    pub fn primary(&self) -> Result<String> {
        let members = self.members()?;
        let mut leaders = members.iter().filter(|(_, member)| member.leads && member.runs);
        let leader = leaders.next().context("no primary")?.0.clone();
        ensure!(leaders.next().is_none(), "several primaries: {members:?}");
        Ok(leader)
    }

    /// The primary's timeline: it grows by one with each promotion.
    pub(super) fn timeline(&self) -> Result<u64> {
        let members = self.members()?;
        let leader = members.values().find(|member| member.leads && member.runs);
        Ok(leader.context("no primary")?.timeline)
    }

    /// Whether one member leads and commits wait for all others, who may follow it.
    fn is_well(&self) -> Result<()> {
        let members = self.members()?;
        ensure!(members.len() == UNITS, "only these answer: {members:?}");
        ensure!(members.values().all(|member| member.runs), "not running: {members:?}");
        let leaders: Vec<_> = members.iter().filter(|(_, member)| member.leads).collect();
        ensure!(leaders.len() == 1, "leaders: {members:?}");
        let (pod, leader) = leaders[0];
        let same = members.values().all(|member| member.timeline == leader.timeline);
        ensure!(same, "timelines: {members:?}");
        let others: Vec<String> = members.keys().filter(|other| *other != pod).cloned().collect();
        ensure!(leader.in_sync == others, "not in sync: {members:?}");
        ensure!(leader.successors == others, "not to be promoted: {members:?}");
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
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Waits until the primary of so many units has a slot for each of the others and no more.
    pub(super) fn await_slots(&self, size: usize) -> Result<()> {
        let end = Instant::now() + SLOTS_BOUND;
        loop {
            let primary = self.primary()?;
            let others = (0..size).map(Self::pod).filter(|pod| *pod != primary);
            let wanted: BTreeSet<String> = others.map(|pod| pod.replace('-', "_")).collect();
            let found = self.query(&primary, SLOTS)?;
            let found: BTreeSet<String> = found.split_whitespace().map(str::to_owned).collect();
            if found == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{primary} has the slots {found:?}, not {wanted:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until a member leads that no other may replace.
    pub(super) fn await_alone(&self, pod: &str, bound: Duration) -> Result<()> {
        let end = Instant::now() + bound;
        loop {
            let members = self.ask(std::iter::once(pod.to_owned()))?;
            let leader = members.get(pod).filter(|member| member.leads);
            if leader.is_some_and(|leader| leader.successors.is_empty()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{pod} has successors: {members:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until another member than `pod` leads.
    pub(super) fn await_another(&self, pod: &str, bound: Duration) -> Result<()> {
        let end = Instant::now() + bound;
        loop {
            // The one that the fault is done to would keep the answer waiting.
            let members = self.ask((0..UNITS).map(Self::pod).filter(|other| other != pod))?;
            if members.values().any(|member| member.leads && member.runs) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{pod} stayed the primary: {members:?}");
            std::thread::sleep(PAUSE);
        }
    }
}

fn ask_member(address: Ipv4Addr) -> Result<Member> {
    let own = network::ask(address, "/patroni")?;
    let seen = network::ask(address, "/cluster")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut in_sync: Vec<String> = list(&own["replication"])
        .iter()
        .filter(|standby| standby["sync_state"] == "sync" && standby["state"] == "streaming")
        .map(|standby| text(&standby["application_name"]))
        .collect();
    let mut successors: Vec<String> = list(&seen["members"])
        .iter()
        .filter(|member| member["role"] == "sync_standby")
        .map(|member| text(&member["name"]))
        .collect();
    in_sync.sort();
    successors.sort();
    Ok(Member {
        leads: own["role"] == "primary",
        runs: own["state"] == "running",
        timeline: own["timeline"].as_u64().unwrap_or_default(),
        in_sync,
        successors,
    })
}
