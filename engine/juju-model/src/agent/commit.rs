//! What a hook leaves in its unit's agent once it has ended.

use jiff::{SignedDuration, Timestamp};
use juju_names::UnitName;

use crate::agent::memory::{Agent, AgentMemory};
use crate::entity::uniter::{
    ConfigSeen, Failed, Lifecycle, Membership, Pending, Retry, Stage, UniterState,
};
use crate::tool::Status;
use crate::{AgentStatus, Hook, Life, Model, RelationEvent, Rules, Secret, Unit};

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
    pub(crate) fn commit(
        &mut self,
        unit: &UnitName,
        hook: &Hook,
        cause_version: u64,
        now: Timestamp,
    ) {
        let (leader, rules) = (self.is_leader(unit), self.rules());
        let Some(state) = self.units.get_mut(unit) else { return };
        let alive = state.life == Life::Alive;
        let uniter = &mut state.uniter;
        uniter.failed = None;
        if matches!(&uniter.pending, Pending::Queued(queued) if queued == hook) {
            uniter.pending = Pending::None;
        }
        match hook {
            Hook::Install => uniter.lifecycle = uniter.lifecycle.max(Lifecycle::Installed),
            Hook::Start => self.commit_start(unit, now),
            Hook::ConfigChanged => uniter.configured(cause_version, rules, alive),
            Hook::UpgradeCharm => uniter.pending = Pending::queued(Hook::ConfigChanged, alive),
            Hook::LeaderElected => uniter.leader_told = leader,
            Hook::LeaderSettingsChanged => {
                self.in_memory(unit, |memory| memory.leader_settings = Some(cause_version));
            }
            Hook::UpdateStatus => uniter.last_update_status = Some(now),
            Hook::Stop => state.ended(Lifecycle::Stopped, Status::new(now, "maintenance", "")),
            Hook::Remove => state.ended(Lifecycle::Removed, Status::new(now, "terminated", "")),
            Hook::RelationCreated { relation } => {
                uniter.membership(relation).stage = Stage::Created;
                // A change that the disk refused meanwhile has taken the entry at the start back.
                self.enter_scopes(unit);
            }
            Hook::RelationJoined { relation, unit: remote } => {
                uniter.membership(relation).heard_of(remote, cause_version, true);
            }
            Hook::RelationChanged { relation, unit: Some(remote) } => {
                uniter.membership(relation).heard_of(remote, cause_version, false);
            }
            Hook::RelationChanged { relation, unit: None } => {
                uniter.membership(relation).app_seen = cause_version;
            }
            Hook::RelationDeparted { relation, unit: remote, .. } => {
                uniter.membership(relation).members.remove(remote);
            }
            Hook::RelationBroken { relation, .. } => self.leave(unit, relation.id, true),
            Hook::PebbleReady { .. }
            | Hook::PebbleCustomNotice { .. }
            | Hook::PebbleCheckFailed { .. }
            | Hook::PebbleCheckRecovered { .. } => {
                self.in_memory(unit, |memory| memory.commit(hook, cause_version));
            }
            Hook::SecretChanged { id, .. }
            | Hook::SecretRotate { id, .. }
            | Hook::SecretExpired { id, .. }
            | Hook::SecretRemove { id, .. } => {
                if let Some(secret) = self.secrets.get_mut(id) {
                    secret.commit(unit, hook, cause_version, now);
                }
            }
            Hook::StorageAttached { storage } => drop(uniter.attached.insert(storage.clone())),
            Hook::StorageDetaching { storage } => {
                uniter.attached.remove(storage);
                if let Some(instance) = self.storage.get_mut(storage) {
                    instance.attached = false;
                }
            }
            Hook::Action { .. } | Hook::Exec { .. } => {}
        }
    }

    fn in_memory(&mut self, unit: &UnitName, change: impl FnOnce(&mut AgentMemory)) {
        if let Some(memory) = self.memory.get_mut(unit) {
            change(memory);
        }
    }

    fn commit_start(&mut self, unit: &UnitName, now: Timestamp) {
        self.in_memory(unit, |memory| {
            if memory.agent == Agent::Restarted {
                memory.agent = Agent::Up;
            }
        });
        let Some(state) = self.units.get_mut(unit) else { return };
        state.uniter.lifecycle = state.uniter.lifecycle.max(Lifecycle::Started);
        state.uniter.last_update_status.get_or_insert(now);
        if !state.uniter.status_set {
            state.workload = Status::new(now, "unknown", "");
        }
    }

    /// Records that the hook failed, and when it runs again.
    pub(crate) fn fail(&mut self, unit: &UnitName, hook: Hook, now: Timestamp, why: &str) {
        let message = format!("hook failed: {:?}", hook.name());
        self.note(now, unit, "ERROR", format!("{message}: {why}"));
        let relation = hook.relation().and_then(|event| self.relations.get(&event.id));
        let forced = self.units.get(unit).is_some_and(|state| state.uniter.forced);
        if forced || relation.is_some_and(|relation| relation.forced) {
            let cause_version = self.cause_version(unit, &hook);
            return self.commit(unit, &hook, cause_version, now);
        }
        let Some(state) = self.units.get_mut(unit) else { return };
        let before = state.uniter.failed.take().filter(|failed| failed.hook == hook);
        let attempts = before.as_ref().map_or(0, |failed| failed.attempts) + 1;
        let since = before.map_or(now, |failed| failed.since);
        let doublings = (attempts - 1).min(16);
        let pause = match hook.is_workload() {
            true => WORKLOAD_PAUSE,
            false => (FIRST_PAUSE << doublings).min(LONGEST_PAUSE),
        };
        let retry_at = now.checked_add(SignedDuration::from_secs(pause)).unwrap_or(now);
        if let Some(memory) = self.memory.get_mut(unit) {
            memory.fail_workload(&hook, retry_at);
        }
        state.uniter.failed = Some(Failed { hook, attempts, retry: Retry::At(retry_at), since });
        self.set_agent(unit, now, AgentStatus::Error, message);
    }
}

impl UniterState {
    fn membership(&mut self, relation: &RelationEvent) -> &mut Membership {
        self.relations.entry(relation.id).or_default()
    }

    /// `config-changed` has run: before the first `start` that follows, later perhaps once more.
    fn configured(&mut self, fingerprint: u64, rules: &Rules, alive: bool) {
        let started = self.lifecycle >= Lifecycle::Started;
        let changed = self.config.fingerprint() != Some(fingerprint);
        self.config = match rules.config_changed_twice && started && changed {
            true => ConfigSeen::Once(fingerprint),
            false => ConfigSeen::Seen(fingerprint),
        };
        if self.pending != Pending::Upgrade {
            self.pending = Pending::queued(Hook::Start, alive && !started);
        }
    }
}

impl Unit {
    fn ended(&mut self, lifecycle: Lifecycle, status: Status) {
        self.uniter.lifecycle = lifecycle;
        self.workload = status;
    }
}

impl AgentMemory {
    /// `pebble-ready` has run for a boot, or the hook of the notice that is first in line.
    fn commit(&mut self, hook: &Hook, boot_number: u64) {
        if let Hook::PebbleReady { container } = hook
            && let Some(boot) = self.boots.get_mut(container)
        {
            boot.ready_ran_for = boot_number;
            boot.retry_at = None;
        }
        if self.workload.front() == Some(hook) {
            self.workload.pop_front();
        }
    }
}

impl Membership {
    /// The unit has seen a version of another's bag; `changed` follows `joined`.
    fn heard_of(&mut self, remote: &UnitName, version: u64, joined: bool) {
        self.members.insert(remote.clone(), version);
        self.changed_due = joined.then(|| remote.clone());
    }
}

impl Secret {
    fn commit(&mut self, unit: &UnitName, hook: &Hook, cause_version: u64, now: Timestamp) {
        if let Hook::SecretChanged { .. } = hook
            && let Some(tracking) = self.tracking.get_mut(unit)
        {
            tracking.told = u32::try_from(cause_version).unwrap_or(u32::MAX);
        }
        if let Hook::SecretRotate { .. } = hook {
            let rotated = u64::from(self.latest) != cause_version;
            self.next_rotation = if rotated { self.rotation.after(now) } else { later(now) };
        }
        if let Hook::SecretExpired { revision, .. } = hook
            && let Some(revision) = self.revisions.get_mut(revision)
        {
            revision.expire_due = later(now);
        }
        if let Hook::SecretRemove { revision, .. } = hook
            && let Some(revision) = self.revisions.get_mut(revision)
        {
            revision.removal_told = true;
        }
    }
}

/// When a secret is spoken of again.
fn later(now: Timestamp) -> Option<Timestamp> {
    now.checked_add(SignedDuration::from_secs(SECRET_PAUSE)).ok()
}
