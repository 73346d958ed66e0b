//! What each member does once a second.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use juju_names::{AppName, UnitName};
use kube_api::Kind;
use serde_json::{Value, json};

use super::PASSFILE;
use super::data::{CONTROL, Data, PGDATA, VERSION};
use super::dcs::{self, Dcs};
use super::hba::{Login, method};
use super::member::{Credentials, Member, Phase};
use crate::far::Far;
use crate::far::pebble::{File, Owner, Running};
use crate::far::postgresql;
use crate::names::MODEL;

/// The service that runs Patroni.
const SERVICE: &str = "postgresql";

/// Cycles without a change after which time may jump.
const QUIET: u32 = 2;

/// Cycles without a change after which a cluster is at rest.
const REST: i64 = 3;

/// The most cycles after a jump.
const AFTER_JUMP: u32 = 10;

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

/// Lets the members of every cluster do what they do in the time that has passed.
pub(crate) fn run(far: &mut Far) {
    if far.patroni.is_empty() {
        return;
    }
    let apps: Vec<AppName> = far.patroni.keys().cloned().collect();
    let now = far.now().as_second();
    for app in apps {
        run_one(far, &app, now);
    }
}

/// Lets a second pass; whether nothing changed in any cluster.
pub(crate) fn rests(far: &mut Far) -> bool {
    if far.patroni.is_empty() {
        return true;
    }
    far.pass(SignedDuration::from_secs(1));
    let now = far.now().as_second();
    let apps: Vec<AppName> = far.patroni.keys().cloned().collect();
    let mut rests = true;
    for app in apps {
        let Some(cluster) = far.patroni.get_mut(&app) else { continue };
        cluster.seen = now;
        let changed = cycle(far, &app, now);
        let Some(cluster) = far.patroni.get_mut(&app) else { continue };
        cluster.quiet = if changed { 0 } else { cluster.quiet + 1 };
        let quiet = cluster.quiet;
        let ttl = Dcs::read(far, &app).ttl();
        let headless = super::primary(far, &app).is_none()
            && super::members(far, &app).any(|(_, member)| member.serves());
        // A lock that is not renewed has to expire first.
        let enough = if headless { ttl + 5 } else { REST };
        rests &= quiet > enough;
    }
    rests
}

fn run_one(far: &mut Far, app: &AppName, now: i64) {
    let Some(cluster) = far.patroni.get_mut(app) else { return };
    let mut at = std::mem::replace(&mut cluster.seen, now);
    let mut quiet = 0;
    while at < now && quiet < QUIET {
        at += 1;
        quiet = if cycle(far, app, at) { 0 } else { quiet + 1 };
    }
    if at >= now {
        return;
    }
    // Nothing happens any more but that locks are renewed, or expire.
    super::elect::renew(far, app, now);
    let mut quiet = 0;
    for _ in 0..AFTER_JUMP {
        quiet = if cycle(far, app, now) { 0 } else { quiet + 1 };
        if quiet >= QUIET {
            break;
        }
    }
}

/// One cycle of every member, in an order by chance; whether anything changed.
fn cycle(far: &mut Far, app: &AppName, now: i64) -> bool {
    let mut units: Vec<UnitName> = super::members(far, app).map(|(unit, _)| unit.clone()).collect();
    if let Some(cluster) = far.patroni.get_mut(app).filter(|_| units.len() > 1) {
        let first = cluster.dice.below(units.len());
        units.rotate_left(first);
    }
    let mut changed = false;
    for unit in units {
        let dcs = Dcs::read_at(far, app, now);
        let mut cycle = Cycle { far, app: app.clone(), unit, dcs, now, changed: false };
        cycle.run();
        changed |= cycle.changed;
    }
    super::elect::watch(far, app);
    changed
}

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
    fn slot(&mut self) -> Option<&mut Running> {
        let container = self.far.pods.get_mut(&self.unit)?.container.as_mut()?;
        container.services.get_mut(SERVICE)
    }

    fn run(&mut self) {
        let Some(slot) = self.slot() else { return };
        let taken = std::mem::replace(slot, Running::Other);
        let Running::Patroni(mut member) = taken else { return };
        if let Some(left) = member.misses.checked_sub(1) {
            (member.misses, self.changed) = (left, true);
            if let Some(slot) = self.slot() {
                *slot = Running::Patroni(member);
            }
            return;
        }
        if std::mem::take(&mut member.reload) {
            self.reload(&mut member);
        }
        match member.phase {
            Phase::Waits => self.begin(&mut member),
            Phase::Founds => self.found(&mut member),
            Phase::Copies => self.copy(&mut member),
            Phase::Starts => self.start(&mut member),
            Phase::Runs => self.go_on(&mut member),
            Phase::Broken => {}
        }
        if member.serves() {
            self.weigh_parameters(&mut member);
        }
        if self.reaches_api() {
            self.show(&mut member);
        }
        if let Some(key) = member.due.take().and_then(|callback| member.notice(callback)) {
            self.changed = true;
            self.notify(key);
        }
        if let Some(slot) = self.slot() {
            *slot = Running::Patroni(member);
        }
    }

    /// A callback records a notice in the member's container.
    fn notify(&mut self, key: &str) {
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
    fn reload(&mut self, member: &mut Member) {
        self.changed = true;
        if member.told.is_some() {
            self.write_passfile(member);
        }
        let container = self.far.pods.get(&self.unit).and_then(|pod| pod.container.as_ref());
        if let Some(container) = container {
            member.read_again(&container.files);
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
    fn put_control(&mut self, system: u64) {
        self.put_file(VERSION, format!("{}\n", postgresql::MAJOR).into(), 0o600);
        self.put_file(CONTROL, system.to_le_bytes().into(), 0o600);
    }

    fn put_file(&mut self, path: &str, content: Vec<u8>, mode: u32) {
        let container = self.far.pods.get_mut(&self.unit).and_then(|pod| pod.container.as_mut());
        if let Some(container) = container {
            container.files.insert(path.to_owned(), File { content, mode, owner: Owner::Postgres });
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

    /// There is no data yet, or PostgreSQL has not been started on it.
    fn begin(&mut self, member: &mut Member) {
        let known = self.dcs.initialize.clone();
        if let Some(data) = self.data() {
            let own = data.system.map(|system| system.to_string());
            let fits = own.is_some() && known.is_none_or(|known| Some(known) == own);
            member.phase = if fits { Phase::Starts } else { Phase::Broken };
            self.changed = true;
            return;
        }
        if !self.reaches_api() {
            return;
        }
        // What runs as PostgreSQL's own user cannot make a folder where root's volume begins.
        let container = self.far.pods.get(&self.unit).and_then(|pod| pod.container.as_ref());
        if !container.is_some_and(|container| container.folders.contains_key(PGDATA)) {
            return;
        }
        let begins = known.is_none() && self.dcs.holder.is_none();
        if begins {
            dcs::annotate(&self.far.kube, &self.app, "-config", json!({"initialize": ""}));
            dcs::guard(&self.far.kube, &self.app);
        } else if !self.may_copy(member) {
            return;
        }
        self.changed = true;
        member.phase = if begins { Phase::Founds } else { Phase::Copies };
        self.far.volumes.entry(self.unit.clone()).or_default().data = Some(Data::unfinished());
        self.put_file(&format!("{PGDATA}/postgresql.conf"), Vec::new(), 0o600);
    }

    /// Whether there is a primary that lets this member copy it.
    fn may_copy(&self, member: &Member) -> bool {
        let Some(leader) = self.leader() else { return false };
        let partitioned =
            |unit| self.far.patroni.get(&self.app).is_some_and(|c| c.partitioned.contains(unit));
        let serves = super::member(self.far, &leader).is_some_and(|m| m.serves() && m.leads);
        serves
            && !partitioned(&leader)
            && !partitioned(&self.unit)
            && member.user("replication").is_some_and(|who| self.lets_in(&leader, &who, true))
    }

    /// The cluster is made.
    fn found(&mut self, member: &mut Member) {
        self.changed = true;
        let users = ["superuser", "replication", "rewind"].map(|kind| (kind, member.user(kind)));
        let users: BTreeMap<&str, Credentials> =
            users.into_iter().filter_map(|(kind, user)| Some((kind, user?))).collect();
        let roles = users.iter().map(|(kind, (user, password))| {
            (user.clone(), postgresql::Role::of_patroni(password, *kind != "replication"))
        });
        let content = postgresql::Cluster::of_initdb(roles.collect());
        let Some(cluster) = self.far.patroni.get_mut(&self.app) else { return };
        let system = 7_000_000_000_000_000_000 + cluster.dice.draw() % 1_000_000_000_000;
        if cluster.acknowledged > 0 {
            cluster.wrong.push(format!("{} made the cluster anew", self.unit));
        }
        let first = member.yml["bootstrap"]["dcs"].clone();
        let data = Data::new(system, content, first.clone());
        self.far.volumes.entry(self.unit.clone()).or_default().data = Some(data);
        self.put_control(system);
        let made = json!({"initialize": system.to_string(), "config": first.to_string()});
        dcs::annotate(&self.far.kube, &self.app, "-config", made);
        self.dcs = Dcs::read_at(self.far, &self.app, self.now);
        self.come_up(member);
        self.acquire();
        self.lead(member);
    }

    /// The leader's data are copied.
    fn copy(&mut self, member: &mut Member) {
        self.changed = true;
        let leader = self.leader().filter(|_| self.may_copy(member));
        let copied = leader.and_then(|leader| self.far.volumes.get(&leader)?.data.clone());
        let system = copied.as_ref().and_then(|data| data.system);
        self.far.volumes.entry(self.unit.clone()).or_default().data = copied;
        member.phase = if system.is_some() { Phase::Starts } else { Phase::Waits };
        if let Some(system) = system {
            self.put_control(system);
        }
    }

    /// PostgreSQL comes up.
    fn start(&mut self, member: &mut Member) {
        self.changed = true;
        self.come_up(member);
        self.go_on(member);
    }

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

    fn weigh_parameters(&mut self, member: &mut Member) {
        let pending = self.dcs.config.is_some() && member.fixed != self.wanted(member);
        self.changed |= pending != member.pending;
        member.pending = pending;
    }

    /// Shows in the API how the member is, where that differs.
    fn show(&mut self, member: &mut Member) {
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
