//! What a hook leaves in its unit's agent once it has ended.

use jiff::{SignedDuration, Timestamp};
use names::{SecretId, UnitName};

use crate::begin::status;
use crate::unit::{Failed, Membership};
use crate::{AgentStatus, Hook, Life, Model};

/// The first pause after a failed hook, in seconds; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: i64 = 5;

/// Seconds until a `pebble-ready` that failed is offered again, however often it has failed.
const WORKLOAD_PAUSE: i64 = 5;

/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 300;

/// How long a secret waits after a hook that did not rotate or replace it, in seconds.
const SECRET_PAUSE: i64 = 300;

impl Model {
    /// Records that the hook has run.
    pub(crate) fn commit(&mut self, unit: &UnitName, hook: &Hook, token: u64, now: Timestamp) {
        if let Some(state) = self.units.get_mut(unit) {
            state.machine.failed = None;
            if state.machine.queued.as_ref() == Some(hook) {
                state.machine.queued = None;
            }
        }
        if matches!(hook, Hook::RelationCreated { .. }) {
            // A change that the disk refused meanwhile has taken the entry at the start back.
            self.enter_scopes(unit);
        }
        match hook {
            Hook::RelationBroken { relation } => self.leave(unit, relation.id),
            Hook::PebbleReady { .. }
            | Hook::PebbleCustomNotice { .. }
            | Hook::PebbleCheckFailed { .. }
            | Hook::PebbleCheckRecovered { .. } => self.commit_workload(unit, hook, token),
            Hook::SecretChanged { id, .. }
            | Hook::SecretRotate { id, .. }
            | Hook::SecretExpired { id, .. }
            | Hook::SecretRemove { id, .. } => self.commit_secret(unit, id, hook, token, now),
            Hook::StorageDetaching { storage } => {
                if let Some(instance) = self.storage.get_mut(storage) {
                    instance.attached = false;
                }
                if let Some(state) = self.units.get_mut(unit) {
                    state.machine.attached.remove(storage);
                }
            }
            Hook::Stop => self.commit_stop(unit, now),
            _ => self.commit_machine(unit, hook, token, now),
        }
    }

    /// Hooks that change nothing but the unit.
    fn commit_machine(&mut self, unit: &UnitName, hook: &Hook, token: u64, now: Timestamp) {
        let leader = self.is_leader(unit);
        if let (Hook::Start, Some(live)) = (hook, self.live.get_mut(unit)) {
            live.restarted = false;
        }
        let Some(state) = self.units.get_mut(unit) else { return };
        let alive = state.life == Life::Alive;
        let machine = &mut state.machine;
        match hook {
            Hook::Install => machine.installed = true,
            Hook::Start => {
                machine.started = true;
                machine.last_update_status.get_or_insert(now);
                if !machine.status_set {
                    state.workload = status(now, "unknown", "");
                }
            }
            Hook::ConfigChanged => {
                machine.config_seen = Some(token);
                machine.queued = (alive && !machine.started).then_some(Hook::Start);
            }
            Hook::UpgradeCharm => {
                machine.upgrade_due = false;
                machine.queued = alive.then_some(Hook::ConfigChanged);
            }
            Hook::LeaderElected => machine.leader_told = leader,
            Hook::UpdateStatus => machine.last_update_status = Some(now),
            Hook::StorageAttached { storage } => {
                machine.attached.insert(storage.clone());
            }
            Hook::Remove => {
                machine.removed = true;
                state.workload = status(now, "terminated", "");
            }
            _ => {
                if let Some(event) = hook.relation() {
                    let membership = machine.relations.entry(event.id).or_default();
                    commit_relation(membership, hook, token);
                }
            }
        }
    }

    /// After `stop` of a unit that stays, nothing runs until its new pod is there.
    fn commit_stop(&mut self, unit: &UnitName, now: Timestamp) {
        if let Some(state) = self.units.get_mut(unit) {
            state.machine.stopped = true;
            state.workload = status(now, "maintenance", "");
        }
    }

    fn commit_workload(&mut self, unit: &UnitName, hook: &Hook, token: u64) {
        let Some(live) = self.live.get_mut(unit) else { return };
        match hook {
            Hook::PebbleReady { container } => {
                if let Some(boot) = live.boots.get_mut(container) {
                    boot.told = token;
                    boot.again = None;
                }
            }
            _ if live.workload.front() == Some(hook) => {
                live.workload.pop_front();
            }
            _ => {}
        }
    }

    fn commit_secret(
        &mut self,
        unit: &UnitName,
        id: &SecretId,
        hook: &Hook,
        token: u64,
        now: Timestamp,
    ) {
        let Some(secret) = self.secrets.get_mut(id) else { return };
        let later = now.checked_add(SignedDuration::from_secs(SECRET_PAUSE)).ok();
        match hook {
            Hook::SecretChanged { .. } => {
                if let Some(tracking) = secret.tracking.get_mut(unit) {
                    tracking.told = u32::try_from(token).unwrap_or(u32::MAX);
                }
            }
            Hook::SecretRotate { .. } => {
                let rotated = u64::from(secret.latest) != token;
                secret.next_rotation = if rotated { secret.rotation.after(now) } else { later };
            }
            Hook::SecretExpired { revision, .. } => {
                if let Some(revision) = secret.revisions.get_mut(revision) {
                    revision.expire_due = later;
                }
            }
            Hook::SecretRemove { revision, .. } => {
                if let Some(revision) = secret.revisions.get_mut(revision) {
                    revision.removal_told = true;
                }
            }
            _ => {}
        }
    }

    /// Records that the hook failed, and when it runs again.
    pub(crate) fn fail(&mut self, unit: &UnitName, hook: Hook, now: Timestamp, why: &str) {
        let message = format!("hook failed: {:?}", hook.name());
        self.note(now, unit, "ERROR", format!("{message}: {why}"));
        if self.units.get(unit).is_some_and(|state| state.machine.forced) {
            let token = self.token(unit, &hook);
            return self.commit(unit, &hook, token, now);
        }
        let Some(state) = self.units.get_mut(unit) else { return };
        let before = state.machine.failed.take().filter(|failed| failed.hook == hook);
        let attempts = before.as_ref().map_or(0, |failed| failed.attempts) + 1;
        let since = before.map_or(now, |failed| failed.since);
        let doublings = (attempts - 1).min(16);
        let pause = match hook.is_workload() {
            true => WORKLOAD_PAUSE,
            false => (FIRST_PAUSE << doublings).min(LONGEST_PAUSE),
        };
        let retry_at = now.checked_add(SignedDuration::from_secs(pause)).unwrap_or(now);
        if let Some(live) = self.live.get_mut(unit) {
            live.fail_workload(&hook, retry_at);
        }
        state.machine.failed = Some(Failed { hook, attempts, retry_at, since });
        self.set_agent(unit, now, AgentStatus::Error, message);
    }
}

fn commit_relation(membership: &mut Membership, hook: &Hook, token: u64) {
    match hook {
        Hook::RelationCreated { .. } => membership.created = true,
        Hook::RelationJoined { unit, .. } => {
            membership.members.insert(unit.clone(), token);
            membership.changed_due = Some(unit.clone());
        }
        Hook::RelationChanged { unit: Some(unit), .. } => {
            membership.members.insert(unit.clone(), token);
            membership.changed_due = None;
        }
        Hook::RelationChanged { unit: None, .. } => membership.app_seen = token,
        Hook::RelationDeparted { unit, .. } => {
            membership.members.remove(unit);
        }
        _ => {}
    }
}
