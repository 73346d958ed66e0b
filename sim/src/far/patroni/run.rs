//! What each member does once a second, by what it is in.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use juju_names::{AppName, UnitName};
use serde_json::json;

use super::cycle::Cycle;
use super::data::{Data, PGDATA};
use super::dcs::{self, Dcs};
use crate::far::Far;
use crate::far::member::{Credentials, Member, Phase};
use crate::far::pebble::Running;
use crate::far::postgresql;

/// Cycles without a change after which time may jump.
const QUIET: u32 = 2;

/// Cycles without a change after which a cluster is at rest.
const REST: i64 = 3;

/// The most cycles after a jump.
const AFTER_JUMP: u32 = 10;

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

impl Cycle<'_> {
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
        if !container.is_some_and(|container| container.disk.folders.contains_key(PGDATA)) {
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
}
