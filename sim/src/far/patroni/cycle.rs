//! What a member sees and does in one cycle, whatever it is in.

use std::collections::BTreeMap;

use juju_names::{AppName, UnitName};
use kube_api::Kind;
use serde_json::{Value, json};

use super::PASSFILE;
use super::data::{CONTROL, Data, VERSION};
use super::dcs::Dcs;
use super::hba::{Login, method};
use crate::far::Far;
use crate::far::disk::{File, Owner};
use crate::far::member::{Credentials, Member, Phase};
use crate::far::pebble::Running;
use crate::far::postgresql;
use crate::names::MODEL;

/// The service that runs Patroni.
const SERVICE: &str = "postgresql";

/// Parameters that only a start of PostgreSQL changes.
const FIXED: [&str; 11] = [
    "archive_mode",
    "max_connections",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "shared_buffers",
    "shared_preload_libraries",
    "wal_level",
];

/// Those of them of which a standby must not have less than its primary.
const AT_LEAST: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// One cycle of one member.
pub(super) struct Cycle<'a> {
    pub(super) far: &'a mut Far,
    pub(super) app: AppName,
    pub(super) unit: UnitName,
    pub(super) dcs: Dcs,
    pub(super) now: i64,
    pub(super) changed: bool,
}

impl Cycle<'_> {
    /// The service in which the unit's Patroni runs.
    pub(super) fn slot(&mut self) -> Option<&mut Running> {
        let container = self.far.pods.get_mut(&self.unit)?.container.as_mut()?;
        container.services.get_mut(SERVICE)
    }

    /// A callback records a notice in the member's container.
    pub(super) fn notify(&mut self, key: &str) {
        if let Some(cluster) = self.far.patroni.get_mut(&self.app) {
            match cluster.notices_lost.checked_sub(1) {
                Some(left) => cluster.notices_lost = left,
                None => cluster.notices.push((self.unit.clone(), key.to_owned())),
            }
        }
    }

    /// Whether the member reaches the Kubernetes API.
    pub(super) fn reaches_api(&self) -> bool {
        let cluster = self.far.patroni.get(&self.app);
        cluster.is_some_and(|cluster| cluster.trusted && !cluster.cut.contains(&self.unit))
    }

    /// The pod's name, which is the member's.
    pub(super) fn pod(&self) -> String {
        self.unit.pod()
    }

    /// The own data.
    pub(super) fn data(&mut self) -> Option<&mut Data> {
        self.far.volumes.get_mut(&self.unit)?.data.as_mut()
    }

    /// The unit that holds the lock, or held it last.
    pub(super) fn leader(&self) -> Option<UnitName> {
        UnitName::from_pod(self.dcs.holder.as_deref()?).ok()
    }

    /// The password as Patroni knew it is written where PostgreSQL reads it, then the new one
    /// is known.
    pub(super) fn reload(&mut self, member: &mut Member) {
        self.changed = true;
        if member.told.is_some() {
            self.write_passfile(member);
        }
        let container = self.far.pods.get(&self.unit).and_then(|pod| pod.container.as_ref());
        if let Some(container) = container {
            member.read_again(&container.disk.files);
        }
    }

    /// Writes the password that Patroni knows to where PostgreSQL reads it.
    pub(super) fn write_passfile(&mut self, member: &Member) {
        let Some((user, password)) = member.user("replication") else { return };
        let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
        let text = format!("{}-primary:5432:*:{user}:{escaped}\n", self.app);
        self.put_file(PASSFILE, text.into(), 0o600);
    }

    /// Writes the version and the identifier of the data.
    pub(super) fn put_control(&mut self, system: u64) {
        self.put_file(VERSION, format!("{}\n", postgresql::MAJOR).into(), 0o600);
        self.put_file(CONTROL, system.to_le_bytes().into(), 0o600);
    }

    /// Writes a file of PostgreSQL's user.
    pub(super) fn put_file(&mut self, path: &str, content: Vec<u8>, mode: u32) {
        let container = self.far.pods.get_mut(&self.unit).and_then(|pod| pod.container.as_mut());
        if let Some(container) = container {
            container
                .disk
                .files
                .insert(path.to_owned(), File { content, mode, owner: Owner::Postgres });
        }
    }

    /// Whether the primary accepts a valid login.
    pub(super) fn lets_in(&self, leader: &UnitName, who: &Credentials, replicates: bool) -> bool {
        let (user, password) = who;
        let database = (!replicates).then_some("postgres");
        let member = super::member(self.far, leader);
        // libpq encrypts where it can.
        let encrypted = member.is_some_and(Member::speaks_tls);
        let login = Login { user, database, encrypted };
        let admitted = member.and_then(|member| method(member, login));
        let cluster = self.far.clusters.get(&self.app);
        admitted.is_some() && cluster.is_some_and(|cluster| cluster.proves(user, password))
    }

    /// PostgreSQL starts on the own data, as a standby.
    pub(super) fn come_up(&mut self, member: &mut Member) {
        let Some(cluster) = self.far.patroni.get_mut(&self.app) else { return };
        cluster.lives += 1;
        (member.life, member.phase) = (cluster.lives, Phase::Runs);
        (member.leads, member.source, member.told) = (false, None, None);
        member.due = Some("on_start");
        member.take_parameters();
        self.fix_parameters(member);
    }

    /// The parameters that a start would give PostgreSQL now.
    fn wanted(&self, member: &Member) -> BTreeMap<String, Value> {
        let shared = self.dcs.config.as_ref().map(|config| &config["postgresql"]["parameters"]);
        let own = &member.yml["postgresql"]["parameters"];
        let found = |name: &'static str| {
            shared.and_then(|shared| shared.get(name)).or_else(|| own.get(name))
        };
        let value = |name: &'static str| Some((name.to_owned(), found(name)?.clone()));
        FIXED.into_iter().filter_map(value).collect()
    }

    /// PostgreSQL starts: what waited for that is in force.
    pub(super) fn fix_parameters(&mut self, member: &mut Member) {
        member.fixed = self.wanted(member);
        let leader = self.leader().filter(|leader| *leader != self.unit);
        let leader = leader.and_then(|leader| super::member(self.far, &leader));
        for (name, value) in leader.iter().flat_map(|leader| &leader.fixed) {
            let own = member.fixed.get(name).and_then(Value::as_u64);
            if AT_LEAST.contains(&name.as_str()) && own < value.as_u64() {
                member.fixed.insert(name.clone(), value.clone());
            }
        }
        self.weigh_parameters(member);
    }

    fn reason(&self, member: &Member) -> Value {
        let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
        let change = |(name, new): (String, Value)| {
            let old = member.fixed.get(&name).unwrap_or(&Value::Null);
            (*old != new).then(|| (name, json!({"old_value": text(old), "new_value": text(&new)})))
        };
        self.wanted(member).into_iter().filter_map(change).collect()
    }

    /// Whether a parameter waits for a start is known from now on.
    pub(super) fn weigh_parameters(&mut self, member: &mut Member) {
        let pending = self.dcs.config.is_some() && member.fixed != self.wanted(member);
        self.changed |= pending != member.pending;
        member.pending = pending;
    }

    /// Shows in the API how the member is, where that differs.
    pub(super) fn show(&mut self, member: &mut Member) {
        let status = self.status(member).to_string();
        let leads = self.dcs.leader.as_deref() == Some(self.unit.pod().as_str());
        let role = match member.phase {
            _ if leads => Some("primary"),
            Phase::Runs if !member.leads => Some("replica"),
            _ => None,
        };
        let pod = self.pod();
        let Some(object) = self.far.kube.get(Kind::Pod, MODEL, &pod) else { return };
        let metadata = &object["metadata"];
        if metadata["labels"]["role"].as_str() == role
            && metadata["annotations"]["status"].as_str() == Some(&status)
        {
            return;
        }
        let patch =
            json!({"metadata": {"labels": {"role": role}, "annotations": {"status": status}}});
        drop(self.far.kube.patch(Kind::Pod, MODEL, &pod, &patch));
        self.changed = true;
    }

    /// Shows in the API that the member has stopped.
    pub(super) fn show_stopped(&mut self) {
        if !self.reaches_api() {
            return;
        }
        let mut status = self.identity(false);
        (status["state"], status["role"]) = ("stopped".into(), "replica".into());
        let status = status.to_string();
        let patch =
            json!({"metadata": {"labels": {"role": null}, "annotations": {"status": status}}});
        drop(self.far.kube.patch(Kind::Pod, MODEL, &self.pod(), &patch));
    }

    /// Where the member is reached.
    fn identity(&self, encrypted: bool) -> Value {
        let scheme = if encrypted { "https" } else { "http" };
        let host = format!("{}.{}-endpoints.{MODEL}.svc.cluster.local", self.pod(), self.app);
        json!({
            "conn_url": format!("postgres://{host}:5432/postgres"),
            "api_url": format!("{scheme}://{host}:8008/patroni"),
            "version": "4.0.7",
        })
    }

    fn status(&mut self, member: &Member) -> Value {
        let mut status = self.identity(member.speaks_tls());
        (status["state"], status["role"]) = (member.state().into(), member.role().into());
        if member.serves() {
            let streams = member.source.is_some();
            if let Some(data) = self.data() {
                status["xlog_location"] = data.location().into();
                status["timeline"] = data.timeline.into();
            }
            if streams {
                status["replication_state"] = "streaming".into();
            }
            if member.pending {
                status["pending_restart"] = true.into();
                status["pending_restart_reason"] = self.reason(member);
            }
        }
        status
    }
}

/// PostgreSQL stops and starts at once.
pub(super) fn start_again(far: &mut Far, unit: &UnitName) {
    let app = unit.app().clone();
    let (dcs, now) = (Dcs::read(far, &app), far.now().as_second());
    let mut cycle = Cycle { far, app, unit: unit.clone(), dcs, now, changed: false };
    let Some(slot) = cycle.slot() else { return };
    let Running::Patroni(mut member) = std::mem::replace(slot, Running::Other) else { return };
    let leads = member.leads;
    cycle.come_up(&mut member);
    member.leads = leads;
    let life = member.life;
    if let Some(cluster) = cycle.far.clusters.get_mut(unit.app()).filter(|_| leads) {
        cluster.life = life;
    }
    if let Some(slot) = cycle.slot() {
        *slot = Running::Patroni(member);
    }
}
