//! Who leads, who follows, and the standbys that commits wait for.

use std::collections::BTreeSet;
use std::sync::Arc;

use juju_names::{AppName, UnitName};
use serde_json::json;

use super::cycle::Cycle;
use super::dcs::{self, Failover};
use super::members;
use crate::far::Far;
use crate::far::member::{Member, Phase};

/// The lock of a leader who lives is renewed.
pub(super) fn renew(far: &mut Far, app: &AppName, now: i64) {
    let holder = dcs::Dcs::read_at(far, app, now).holder;
    let lives = holder.and_then(|pod| UnitName::from_pod(&pod).ok()).is_some_and(|unit| {
        let cluster = far.patroni.get(app);
        let reaches =
            cluster.is_some_and(|cluster| cluster.trusted && !cluster.cut.contains(&unit));
        reaches && super::member(far, &unit).is_some()
    });
    if let Some(cluster) = far.patroni.get_mut(app).filter(|_| lives) {
        cluster.renewed = now;
    }
}

/// What clients reach follows from who leads; that there are not two.
pub(crate) fn watch(far: &mut Far, app: &AppName) {
    let leading: Vec<String> = members(far, app)
        .filter(|(_, member)| member.serves() && member.leads)
        .map(|(unit, _)| unit.to_string())
        .collect();
    if let Some(cluster) = far.clusters.get_mut(app) {
        cluster.up = !leading.is_empty();
    }
    if let Some(cluster) = far.patroni.get_mut(app).filter(|_| leading.len() > 1) {
        cluster.wrong.push(format!("{} take writes at once", leading.join(" and ")));
    }
}

/// A unit's Patroni gets a request to stop and stops in order: a primary sends everything first.
pub(crate) fn stop(far: &mut Far, unit: &UnitName) {
    if let Some(member) = super::member(far, unit).cloned() {
        resign(far, unit, &member);
    }
}

/// A unit's Patroni stopped in order, or another has taken its place, if it is not the one
/// that it was.
pub(crate) fn stopped(far: &mut Far, unit: &UnitName, was: &Member) {
    let now = super::member(far, unit);
    if now.is_some_and(|now| now.phase == was.phase && now.life == was.life) {
        return;
    }
    resign(far, unit, was);
    watch(far, unit.app());
    let app = unit.app().clone();
    let dcs = dcs::Dcs::read(far, &app);
    let now = far.now().as_second();
    Cycle { far, app, unit: unit.clone(), dcs, now, changed: false }.show_stopped();
}

fn resign(far: &mut Far, unit: &UnitName, member: &Member) {
    let app = unit.app();
    if !(member.leads && member.serves()) {
        return;
    }
    let life = member.life;
    let data = far.volumes.get(unit).and_then(|volume| volume.data.clone());
    let streams = |(_, other): &(&UnitName, &Member)| other.streams_from(unit, life);
    let standbys: Vec<UnitName> =
        members(far, app).filter(streams).map(|(unit, _)| unit.clone()).collect();
    for standby in standbys {
        far.volumes.entry(standby).or_default().data.clone_from(&data);
    }
    dcs::annotate(&far.kube, app, "", json!({"leader": null}));
}

/// The primary has made a commit: it stands in its data.
pub(crate) fn commit(far: &mut Far, app: &AppName) -> Option<u64> {
    let unit = super::primary(far, app)?;
    let content = Arc::new(far.clusters.get(app)?.clone());
    let data = far.volumes.get_mut(&unit)?.data.as_mut()?;
    data.position += 1;
    data.content = content;
    Some(data.position)
}

/// Whether those who must have it have a commit, so that it may be acknowledged.
pub(crate) fn is_safe(far: &mut Far, app: &AppName, position: u64) -> bool {
    let Some(unit) = super::primary(far, app) else { return false };
    let Some(life) = super::member(far, &unit).map(|member| member.life) else { return false };
    let Some(cluster) = far.patroni.get(app) else { return false };
    let (strict, sync) = (cluster.strict, cluster.sync.clone());
    let streams = |other: &UnitName| {
        super::member(far, other).is_some_and(|member| member.streams_from(&unit, life))
    };
    if !sync.iter().all(streams) || (strict && sync.is_empty()) {
        return false;
    }
    let data = far.volumes.get(&unit).and_then(|volume| volume.data.clone());
    for standby in &sync {
        far.volumes.entry(standby.clone()).or_default().data.clone_from(&data);
    }
    if let Some(cluster) = far.patroni.get_mut(app) {
        cluster.acknowledged = cluster.acknowledged.max(position);
    }
    true
}

impl Cycle<'_> {
    /// PostgreSQL runs; the member looks at the lock.
    pub(super) fn go_on(&mut self, member: &mut Member) {
        let pod = self.pod();
        if !self.reaches_api() {
            return self.without_api(member);
        }
        if self.dcs.leader.as_deref() == Some(pod.as_str()) {
            self.lead(member);
        } else if self.dcs.leader.is_some() || self.is_spared() {
            if member.leads {
                self.step_down(member);
            } else if let Some(leader) = self.leader() {
                self.follow(member, &leader);
            }
        } else if member.leads || self.may_lead(member) {
            self.acquire();
            self.lead(member);
        } else if let Some(leader) = self.leader() {
            self.follow(member, &leader);
        }
    }

    /// Whether the leader, which does not reach the API, answers the members all the same.
    fn is_spared(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        super::member(self.far, &leader).is_some_and(|member| member.serves() && member.leads)
    }

    /// Without the API a primary stays one while all others answer.
    fn without_api(&mut self, member: &mut Member) {
        if !member.leads {
            if let Some(leader) = self.leader().filter(|leader| *leader != self.unit) {
                self.follow(member, &leader);
            }
            return;
        }
        let known = super::known_members(self.far, &self.app);
        let silent =
            |unit: &&UnitName| **unit != self.unit && super::member(self.far, unit).is_none();
        if known.iter().any(|unit| silent(&unit)) {
            self.step_down(member);
        }
    }

    /// PostgreSQL becomes a standby.
    fn step_down(&mut self, member: &mut Member) {
        self.changed = true;
        member.leads = false;
        member.due = Some("on_role_change");
        member.phase = Phase::Starts;
    }

    /// Takes the lock.
    pub(super) fn acquire(&mut self) {
        self.changed = true;
        let (pod, time) = (self.pod(), self.now.to_string());
        let lock = json!({"leader": pod, "ttl": self.dcs.ttl().to_string(), "acquireTime": time});
        dcs::annotate(&self.far.kube, &self.app, "", lock);
        (self.dcs.leader, self.dcs.holder) = (Some(pod.clone()), Some(pod));
        if self.dcs.failover.take().is_some() {
            dcs::order(&self.far.kube, &self.app, None);
        }
    }

    /// Whether this member is the one to lead now that none does.
    fn may_lead(&mut self, member: &Member) -> bool {
        let pod = self.pod();
        if let Some(Failover { leader, candidate }) = self.dcs.failover.clone() {
            match candidate {
                Some(candidate) if candidate == pod => return true,
                Some(candidate) => {
                    let unit = UnitName::from_pod(&candidate).ok();
                    let able = |unit| super::member(self.far, &unit).is_some_and(Member::serves);
                    if unit.is_some_and(able) {
                        return false;
                    }
                }
                None if leader.as_ref() == Some(&pod) => return false,
                None => {}
            }
        }
        if !self.is_eligible(&pod) || member.phase != Phase::Runs {
            return false;
        }
        let Some(own) = self.data().map(|data| (data.timeline, data.position)) else {
            return false;
        };
        let lag = self.dcs.optime.saturating_sub(self.data().map_or(0, |data| data.location()));
        if lag > self.dcs.number("maximum_lag_on_failover").unwrap_or(1 << 20) {
            return false;
        }
        let ahead = |(unit, other): (&UnitName, &Member)| {
            let data = self.far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
            let further = data.is_some_and(|data| (data.timeline, data.position) > own);
            other.serves() && (other.leads || (further && self.is_eligible(&unit.pod())))
        };
        !members(self.far, &self.app).any(ahead)
    }

    /// Whether a member may have every acknowledged commit.
    fn is_eligible(&self, pod: &str) -> bool {
        let Some(leader) = &self.dcs.sync_leader else { return true };
        !self.dcs.is("synchronous_mode")
            || leader == pod
            || self.dcs.sync.iter().any(|name| name == pod)
    }

    /// The member holds the lock.
    pub(super) fn lead(&mut self, member: &mut Member) {
        if let Some(cluster) = self.far.patroni.get_mut(&self.app) {
            cluster.renewed = self.now;
        }
        if !member.leads {
            self.promote(member);
        }
        let Some(data) = self.data() else { return };
        let (optime, system) = (data.location(), data.system);
        let dynamic = data.dynamic.clone();
        match &self.dcs.config {
            Some(config) if *config != dynamic => {
                let config = config.clone();
                if let Some(data) = self.data() {
                    data.dynamic = config;
                }
            }
            Some(_) => {}
            None => dcs::configure(&self.far.kube, &self.app, &dynamic),
        }
        if let (None, Some(system)) = (&self.dcs.initialize, system) {
            let known = json!({"initialize": system.to_string()});
            dcs::annotate(&self.far.kube, &self.app, "-config", known);
        }
        if optime != self.dcs.optime {
            let progress = json!({"optime": optime.to_string()});
            dcs::annotate(&self.far.kube, &self.app, "", progress);
        }
        self.choose_standbys(member);
        self.keep_slots();
        if let Some(order) = self.dcs.failover.clone() {
            self.hand_over(member, &order);
        }
    }

    /// PostgreSQL takes writes from now on.
    fn promote(&mut self, member: &mut Member) {
        self.changed = true;
        (member.leads, member.source, member.told) = (true, None, None);
        member.due = Some("on_role_change");
        let (unit, life) = (self.unit.clone(), member.life);
        let Some(data) = self.data() else { return };
        // The first timeline begins with the cluster.
        if data.position > 1 {
            data.branch();
        }
        let (position, timeline) = (data.position, data.timeline);
        let mut content = data.content.as_ref().clone();
        (content.up, content.timeline, content.life) = (true, timeline, life);
        self.far.clusters.insert(self.app.clone(), content);
        dcs::write_sync(&self.far.kube, &self.app, &self.unit.pod(), &[]);
        (self.dcs.sync_leader, self.dcs.sync) = (Some(self.unit.pod()), Vec::new());
        let now = self.now;
        let Some(cluster) = self.far.patroni.get_mut(&self.app) else { return };
        cluster.sync.clear();
        cluster.slots.values_mut().for_each(|seen| *seen = now);
        if position < cluster.acknowledged && !std::mem::take(&mut cluster.forced) {
            cluster.wrong.push(format!("{unit} leads without commits that clients heard of"));
        }
        cluster.acknowledged = position;
    }

    /// Commits wait for as many standbys as they shall, of those that have everything.
    fn choose_standbys(&mut self, member: &Member) {
        let strict = self.dcs.is("synchronous_mode_strict");
        let wanted = self.dcs.number("synchronous_node_count").unwrap_or(1).max(strict.into());
        let wanted = if self.dcs.is("synchronous_mode") { wanted } else { 0 };
        let Some(position) = self.data().map(|data| data.position) else { return };
        let streaming: Vec<String> = members(self.far, &self.app)
            .filter(|(_, other)| other.streams_from(&self.unit, member.life))
            .filter(|(unit, _)| {
                let data = self.far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
                data.is_some_and(|data| data.position == position)
            })
            .map(|(unit, _)| unit.pod())
            .collect();
        let mut chosen: Vec<String> =
            self.dcs.sync.iter().filter(|name| streaming.contains(name)).cloned().collect();
        chosen.extend(streaming.iter().filter(|name| !self.dcs.sync.contains(name)).cloned());
        chosen.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        chosen.sort();
        let own = Some(self.pod());
        if chosen != self.dcs.sync || self.dcs.sync_leader != own {
            self.changed = true;
            dcs::write_sync(&self.far.kube, &self.app, &self.pod(), &chosen);
            self.dcs.sync.clone_from(&chosen);
        }
        let units: BTreeSet<UnitName> =
            chosen.iter().filter_map(|pod| UnitName::from_pod(pod).ok()).collect();
        if let Some(cluster) = self.far.patroni.get_mut(&self.app) {
            (cluster.sync, cluster.strict) = (units, strict);
        }
    }

    /// A switchover was requested from this member.
    fn hand_over(&mut self, member: &mut Member, order: &Failover) {
        let own = self.pod();
        let fits = |name: &String| *name != own && self.is_eligible(name);
        let able = members(self.far, &self.app)
            .filter(|(_, other)| other.streams_from(&self.unit, member.life))
            .map(|(unit, _)| unit.clone())
            .filter(|unit| fits(&unit.pod()))
            .find(|unit| order.candidate.as_ref().is_none_or(|name| *name == unit.pod()));
        let ours = order.leader.as_ref().is_none_or(|leader| *leader == own);
        self.changed = true;
        let Some(able) = able.filter(|_| ours) else {
            dcs::order(&self.far.kube, &self.app, None);
            return;
        };
        // A primary that stops in order sends everything first.
        let data = self.data().cloned();
        self.far.volumes.entry(able).or_default().data = data;
        dcs::annotate(&self.far.kube, &self.app, "", json!({"leader": null}));
        (self.dcs.leader, self.dcs.holder) = (None, None);
        self.step_down(member);
    }

    /// The member follows the leader, if that serves and lets it.
    fn follow(&mut self, member: &mut Member, leader: &UnitName) {
        let partitioned =
            |unit| self.far.patroni.get(&self.app).is_some_and(|c| c.partitioned.contains(unit));
        let apart = partitioned(leader) || partitioned(&self.unit);
        let life = super::member(self.far, leader).filter(|m| m.serves() && m.leads && !apart);
        let Some(life) = life.map(|leader| leader.life) else {
            self.changed |= member.source.take().is_some();
            return;
        };
        if member.told.as_ref() != Some(leader) {
            self.changed = true;
            member.told = Some(leader.clone());
            self.write_passfile(member);
        }
        let theirs = self.far.volumes.get(leader).and_then(|volume| volume.data.clone());
        let Some(theirs) = theirs else { return };
        let oldest = self.far.clusters.get(&self.app).map_or(0, |cluster| cluster.oldest);
        let joins = self.data().is_some_and(|own| own.leads_to(&theirs));
        let lacks = joins && self.data().is_some_and(|own| !own.is_kept_from(oldest));
        if !member.streams_from(leader, life) {
            self.changed |= member.source.take().is_some();
            if !joins {
                let rewinds = member.user("rewind");
                if rewinds.is_some_and(|who| self.lets_in(leader, &who, false)) {
                    self.changed = true;
                    self.far.volumes.entry(self.unit.clone()).or_default().data = Some(theirs);
                    member.phase = Phase::Starts;
                }
                return;
            }
            let who = super::read_passfile(self.far, &self.unit).filter(|_| !lacks);
            if !who.is_some_and(|who| self.lets_in(leader, &who, true)) {
                return;
            }
            self.changed = true;
            member.source = Some((leader.clone(), life));
        }
        if self.data().is_some_and(|own| *own != theirs) {
            self.changed = true;
            self.far.volumes.entry(self.unit.clone()).or_default().data = Some(theirs);
        }
    }
}
