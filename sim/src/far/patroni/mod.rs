//! Patroni: one member in each pod, over a volume that outlives the pod, and what the members
//! agree upon in the Kubernetes API.
//!
//! What a cluster's primary holds lies in [`Far::clusters`] while it leads, and in the
//! volumes of its members as far as it got there.

mod cycle;
mod data;
mod dcs;
mod elect;
mod hba;
pub(crate) mod rest_api;
mod run;
pub(crate) mod slots;

use std::collections::{BTreeMap, BTreeSet};

use juju_names::{AppName, UnitName};
use kube_api::{Kind, Selector};
use serde_json::Value;

use crate::far::Far;
use crate::far::member::{Credentials, Member, Phase};
use crate::far::pebble::Running;
use crate::far::postgresql;
use crate::names::MODEL;
use crate::rng::Rng;

pub(crate) use data::Volume;
pub(crate) use dcs::Dcs;
pub(crate) use elect::{commit, is_safe, stop, stopped, watch};
pub(crate) use hba::{Login, method};
pub(crate) use run::{rests, run};

/// Where Patroni keeps the password with which PostgreSQL streams.
const PASSFILE: &str = "/tmp/pgpass";

/// Loops that a member misses whose watch has ended.
const MISSED: u32 = 3;

/// One cluster, apart from what is in volumes and in the Kubernetes API.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// When the members last looked at each other.
    pub(crate) seen: i64,
    /// When the leader last renewed its lock.
    renewed: i64,
    /// Who reaches the API no more.
    pub(crate) cut: BTreeSet<UnitName>,
    /// Whose PostgreSQL reaches no other.
    pub(crate) partitioned: BTreeSet<UnitName>,
    /// The standbys that commits wait for, as configured on the primary.
    sync: BTreeSet<UnitName>,
    /// Whether commits wait although no standby is there.
    strict: bool,
    /// The last acknowledged commit.
    pub(crate) acknowledged: u64,
    /// Whether the operator gave up what only the lost primary had.
    forced: bool,
    /// The slots on the leader, and when each last had a reason to be there.
    slots: BTreeMap<String, i64>,
    /// The starts of PostgreSQL so far.
    lives: u64,
    /// What must not happen to a cluster and did.
    pub(crate) wrong: Vec<String>,
    /// Whether its members may use the Kubernetes API.
    pub(crate) trusted: bool,
    /// What callbacks recorded in members' containers and no charm has been notified of yet.
    pub(crate) notices: Vec<(UnitName, String)>,
    /// How many notices of its members are lost next.
    pub(crate) notices_lost: u32,
    /// Whether all was well at the last refresh, so that no two members may be away for it.
    pub(crate) guarded: bool,
    /// Cycles without a change so far.
    quiet: i64,
    dice: Rng,
}

impl Cluster {
    /// A cluster of which there is nothing yet.
    pub(crate) fn new(now: i64, seed: u64) -> Self {
        Self {
            seen: now,
            renewed: now,
            cut: BTreeSet::new(),
            partitioned: BTreeSet::new(),
            sync: BTreeSet::new(),
            strict: false,
            acknowledged: 0,
            forced: false,
            slots: BTreeMap::new(),
            lives: 0,
            wrong: Vec::new(),
            trusted: false,
            notices: Vec::new(),
            notices_lost: 0,
            guarded: false,
            quiet: 0,
            dice: Rng::new(seed ^ 0x7061_7472_6f6e_6921),
        }
    }
}

/// What Patroni calls the cluster of an application.
pub(crate) fn scope(app: &AppName) -> String {
    format!("patroni-{app}")
}

/// The member of a unit whose Patroni runs.
pub(crate) fn member<'a>(far: &'a Far, unit: &UnitName) -> Option<&'a Member> {
    far.pods.get(unit)?.container.as_ref()?.patroni()
}

/// The CA of the REST API of a unit's Patroni; none while it speaks in clear.
pub(crate) fn shown_authority(far: &Far, unit: &UnitName) -> Option<Vec<String>> {
    member(far, unit)?.tls.clone()
}

/// The slot of the unit's Patroni, whether it stands still or not.
fn slot<'a>(far: &'a mut Far, unit: &UnitName) -> Option<&'a mut Member> {
    let container = far.pods.get_mut(unit)?.container.as_mut()?;
    container.services.values_mut().find_map(|running| match running {
        Running::Patroni(member) => Some(member.as_mut()),
        _ => None,
    })
}

/// The unit's Patroni lists its objects anew, for which it needs some loops.
pub(crate) fn lose_watch(far: &mut Far, unit: &UnitName) {
    if let Some(member) = slot(far, unit) {
        member.misses = MISSED;
    }
}

/// The unit's PostgreSQL misses the next reload, as one does that is about to start.
pub(crate) fn miss_reload(far: &mut Far, unit: &UnitName) {
    if let Some(member) = slot(far, unit) {
        member.deaf = true;
    }
}

/// The primary of a cluster removes all log that nobody streams by now.
pub(crate) fn remove_log(far: &mut Far, app: &AppName) {
    let Some(primary) = primary(far, app) else { return };
    let Some(data) = far.volumes.get_mut(&primary).and_then(|volume| volume.data.as_mut()) else {
        return;
    };
    data.fill_segment();
    let here = data.location();
    if let Some(cluster) = far.clusters.get_mut(app) {
        cluster.oldest = here - here % postgres::SEGMENT;
    }
}

/// The data of a unit are where their folder is: one that has another name is not found.
pub(crate) fn look_for_data(far: &mut Far, unit: &UnitName) {
    let container = far.pods.get(unit).and_then(|pod| pod.container.as_ref());
    if container.is_some_and(|container| !container.disk.folders.contains_key(data::PGDATA))
        && let Some(volume) = far.volumes.get_mut(unit)
    {
        volume.data = None;
    }
}

/// Every PostgreSQL takes its next reload.
pub(crate) fn hear_again(far: &mut Far) {
    for unit in far.pods.keys().cloned().collect::<Vec<_>>() {
        if let Some(member) = slot(far, &unit) {
            member.deaf = false;
        }
    }
}

/// Whether the unit's pod stands still.
pub(crate) fn is_frozen(far: &Far, unit: &UnitName) -> bool {
    let container = far.pods.get(unit).and_then(|pod| pod.container.as_ref());
    container.is_some_and(|container| {
        container
            .services
            .values()
            .any(|running| matches!(running, Running::Patroni(member) if member.frozen))
    })
}

/// The unit's pod stands still; whether it did something before.
pub(crate) fn freeze(far: &mut Far, unit: &UnitName) -> bool {
    let Some(member) = slot(far, unit) else { return false };
    member.frozen = true;
    watch(far, unit.app());
    true
}

/// What is in the data folder of a unit goes; Patroni begins again.
fn forget_data(far: &mut Far, unit: &UnitName) {
    if let Some(volume) = far.volumes.get_mut(unit) {
        volume.data = None;
    }
    let container = far.pods.get_mut(unit).and_then(|pod| pod.container.as_mut());
    if let Some(container) = container {
        container.disk.files.retain(|path, _| !data::is_below(path, data::PGDATA));
    }
    if let Some(member) = slot(far, unit) {
        member.phase = Phase::Waits;
        (member.leads, member.source) = (false, None);
    }
}

/// The unit's pod goes on. The first that Patroni does is to look at its lock, which is lost.
pub(crate) fn thaw(far: &mut Far, unit: &UnitName) {
    let Some(member) = slot(far, unit) else { return };
    member.frozen = false;
    if member.serves() {
        member.phase = Phase::Starts;
        member.leads = false;
    }
}

/// The members of an application whose Patroni runs.
pub(crate) fn members<'a>(
    far: &'a Far,
    app: &AppName,
) -> impl Iterator<Item = (&'a UnitName, &'a Member)> {
    let own = far.pods.iter().filter(move |(unit, _)| unit.app() == app);
    own.filter_map(|(unit, pod)| Some((unit, pod.container.as_ref()?.patroni()?)))
}

/// The member whose PostgreSQL takes writes.
pub(crate) fn primary(far: &Far, app: &AppName) -> Option<UnitName> {
    let leading = members(far, app).find(|(_, member)| member.serves() && member.leads);
    leading.map(|(unit, _)| unit.clone())
}

/// The primary and the standbys that commits wait for.
pub(crate) fn chosen(far: &Far, app: &AppName) -> Vec<UnitName> {
    let sync = far.patroni.get(app).map(|cluster| cluster.sync.clone()).unwrap_or_default();
    sync.into_iter().chain(primary(far, app)).collect()
}

/// Changes a cluster's dynamic configuration without asking a member, once there is one.
pub(crate) fn edit(far: &Far, app: &AppName, patch: &Value) {
    if let Some(mut config) = dynamic(far, app) {
        rest_api::merge(&mut config, patch);
        dcs::configure(&far.kube, app, &config);
    }
}

/// The dynamic configuration of a cluster.
pub(crate) fn dynamic(far: &Far, app: &AppName) -> Option<Value> {
    dcs::Dcs::read(far, app).config
}

/// Whether no member leads and none of these units has every commit, so that none may.
pub(crate) fn is_headless<'a>(
    far: &Far,
    app: &AppName,
    units: impl IntoIterator<Item = &'a UnitName>,
) -> bool {
    let dcs = dcs::Dcs::read(far, app);
    let named = |pod: &String| dcs.sync.contains(pod) || dcs.sync_leader.as_ref() == Some(pod);
    let mut units = units.into_iter();
    dcs.sync_leader.is_some()
        && primary(far, app).is_none()
        && !units.any(|unit| named(&unit.pod()) && is_whole(far, unit))
}

/// Whether a unit's volume has a cluster's data.
fn is_whole(far: &Far, unit: &UnitName) -> bool {
    let data = far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
    data.is_some_and(|data| data.system.is_some())
}

/// The pods with these labels, as the API has them.
fn pods(far: &Far, labels: BTreeMap<String, String>) -> Vec<Value> {
    if labels.is_empty() {
        return Vec::new();
    }
    far.kube.list(Kind::Pod, MODEL, &Selector::equals(labels))
}

/// The unit of a pod.
fn unit_of(pod: &Value) -> Option<UnitName> {
    UnitName::from_pod(pod["metadata"]["name"].as_str()?).ok()
}

/// The member at a host that is a pod's name.
pub(crate) fn member_at(far: &Far, host: &str) -> Option<UnitName> {
    let unit = UnitName::from_pod(host.split('.').next()?).ok()?;
    far.patroni.contains_key(unit.app()).then_some(unit)
}

/// The units behind a service: those whose pods are ready and have the labels that it selects.
pub(crate) fn behind(far: &Far, service: &str) -> Vec<UnitName> {
    let Some(service) = far.kube.get(Kind::Service, MODEL, service) else { return Vec::new() };
    let wanted = service["spec"]["selector"].as_object().into_iter().flatten();
    let wanted = wanted.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let units = pods(far, wanted.collect());
    let units = units.iter().filter_map(unit_of);
    units.filter(|unit| !far.starting.contains(unit)).collect()
}

/// The unit at a host or behind a service whose PostgreSQL answers but takes no writes.
pub(crate) fn standby_behind(far: &Far, host: &str) -> Option<UnitName> {
    let service = host.split('.').next()?;
    let follows =
        |unit: &UnitName| member(far, unit).is_some_and(|member| member.serves() && !member.leads);
    let member = member_at(far, host);
    member.into_iter().chain(behind(far, service)).find(follows)
}

/// The database as a standby has it.
pub(crate) fn copy_of(far: &Far, unit: &UnitName) -> Option<postgresql::Cluster> {
    let data = far.volumes.get(unit)?.data.as_ref()?;
    // What distinguishes a primary is not in the data.
    Some(postgresql::Cluster { up: true, timeline: 0, ..data.content.as_ref().clone() })
}

/// The pods that Patroni takes for members.
fn known_pods(far: &Far, app: &AppName) -> Vec<Value> {
    let labels = [("application", "patroni".to_owned()), ("cluster-name", scope(app))];
    pods(far, labels.map(|(key, value)| (key.to_owned(), value)).into())
}

/// The units that Patroni takes for members.
fn known_members(far: &Far, app: &AppName) -> Vec<UnitName> {
    known_pods(far, app).iter().filter_map(unit_of).collect()
}

/// The user and the password with which a unit's PostgreSQL streams.
pub(crate) fn read_passfile(far: &Far, unit: &UnitName) -> Option<Credentials> {
    let container = far.pods.get(unit)?.container.as_ref()?;
    let file = container.disk.files.get(PASSFILE)?;
    let text = String::from_utf8_lossy(&file.content).into_owned();
    let mut fields = text.lines().next()?.splitn(5, ':').skip(3);
    let (user, escaped) = (fields.next()?.to_owned(), fields.next()?);
    let mut password = String::new();
    let mut rest = escaped.chars();
    while let Some(letter) = rest.next() {
        password.extend(if letter == '\\' { rest.next() } else { Some(letter) });
    }
    Some((user, password))
}
