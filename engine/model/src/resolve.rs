//! What a unit does next: the resolvers in Juju's order.

use jiff::{SignedDuration, Timestamp};
use names::UnitName;

use crate::unit::Live;
use crate::{ActionStatus, Hook, HookRun, Life, Model, Next, Unit};

/// An agent without memory: it is not up.
static ABSENT: std::sync::LazyLock<Live> = std::sync::LazyLock::new(Live::default);

impl Model {
    /// What the unit's agent does next. Asking twice gives the same hook.
    ///
    /// A unit without an address or an agent, or with a hook running, has nothing to do.
    pub fn next(&mut self, unit: &UnitName, now: Timestamp) -> Next {
        self.tidy(unit, now);
        let Some(state) = self.units.get(unit) else {
            return Next::Idle { until: None };
        };
        let live = self.live_of(unit);
        if state.machine.removed || (state.life == Life::Dying && !state.machine.installed) {
            let running = live.running.is_some();
            return if running { Next::Idle { until: None } } else { Next::Gone };
        }
        if !live.up || live.running.is_some() || state.address.is_none() {
            return Next::Idle { until: None };
        }
        if live.ended {
            return Next::Restart;
        }
        let Some(hook) = self.decide(state, live, now) else {
            return Next::Idle { until: self.wake(state, live) };
        };
        let token = self.token(unit, &hook);
        let context_id = format!("{unit}-{}-{:032x}", hook.name(), self.seed.draw128());
        Next::Hook(HookRun { unit: unit.clone(), hook, context_id, token })
    }

    /// Whether no hook is due, failed or running for any unit.
    pub fn settled(&self, now: Timestamp) -> bool {
        self.units.iter().all(|(name, unit)| {
            self.live_of(name).running.is_none()
                && unit.machine.failed.is_none()
                && self.live_of(name).workload_due().is_none()
                && unit.life == Life::Alive
                && self.decide(unit, self.live_of(name), now).is_none()
        })
    }

    pub(crate) fn live_of(&self, unit: &UnitName) -> &Live {
        self.live.get(unit).unwrap_or(&ABSENT)
    }

    /// The first resolver with work wins.
    pub(crate) fn decide(&self, state: &Unit, live: &Live, now: Timestamp) -> Option<Hook> {
        let machine = &state.machine;
        if let Some(failed) = machine.holding() {
            let asked = failed.retry_at == Timestamp::UNIX_EPOCH;
            let due = asked || (self.retry_hooks && failed.retry_at <= now);
            let retry = || due.then(|| failed.hook.clone());
            return self.next_operation(state).or_else(retry);
        }
        if live.stopping && state.life == Life::Alive {
            return (machine.started && !machine.stopped).then_some(Hook::Stop);
        }
        if let Some(hook) = &machine.queued {
            return Some(hook.clone());
        }
        if state.life == Life::Dying {
            return self.next_operation(state).or_else(|| self.next_of_dying(state));
        }
        if !machine.installed {
            return Some(Hook::Install);
        }
        if machine.upgrade_due {
            return Some(Hook::UpgradeCharm);
        }
        if live.restarted && machine.started {
            return Some(Hook::Start);
        }
        self.next_created(state)
            .or_else(|| self.next_leadership(state))
            .or_else(|| self.next_storage(state))
            .or_else(|| live.next_workload(now))
            .or_else(|| self.next_secret(state, now))
            .or_else(|| self.next_operation(state))
            .or_else(|| self.next_config(state))
            .or_else(|| self.next_relation(state))
            .or_else(|| self.next_update_status(state, now))
    }

    fn next_leadership(&self, unit: &Unit) -> Option<Hook> {
        let due = self.is_leader(&unit.name) && !unit.machine.leader_told;
        due.then_some(Hook::LeaderElected)
    }

    fn next_storage(&self, unit: &Unit) -> Option<Hook> {
        let attached = self.storage_of(&unit.name).into_iter();
        let fresh = attached.filter(|id| !unit.machine.attached.contains(id));
        let storage = self.first_in_turn(&unit.name, fresh, Clone::clone)?;
        Some(Hook::StorageAttached { storage })
    }

    /// An action or command, once the unit has started or while a hook has failed.
    fn next_operation(&self, unit: &Unit) -> Option<Hook> {
        let machine = &unit.machine;
        if !machine.started && machine.failed.is_none() {
            return None;
        }
        let pending = self
            .actions
            .values()
            .find(|action| action.unit == unit.name && action.status == ActionStatus::Pending)
            .map(|action| Hook::Action { id: action.id, action: action.name.clone() });
        let command = || {
            let (id, command) = self.live_of(&unit.name).commands.front()?;
            Some(Hook::Exec { id: *id, command: command.clone() })
        };
        pending.or_else(command)
    }

    fn next_of_dying(&self, unit: &Unit) -> Option<Hook> {
        let machine = &unit.machine;
        if let Some(storage) = machine.attached.first() {
            return Some(Hook::StorageDetaching { storage: storage.clone() });
        }
        let after = || match (machine.stopped, machine.removed) {
            (false, _) => Some(Hook::Stop),
            (true, false) => Some(Hook::Remove),
            (true, true) => None,
        };
        self.next_relation(unit).or_else(after)
    }

    fn next_config(&self, unit: &Unit) -> Option<Hook> {
        let due = unit.machine.config_seen != Some(self.fingerprint(&unit.name));
        due.then_some(Hook::ConfigChanged)
    }

    fn next_update_status(&self, unit: &Unit, now: Timestamp) -> Option<Hook> {
        let due = self.update_status_due(unit)? <= now;
        due.then_some(Hook::UpdateStatus)
    }

    fn update_status_due(&self, unit: &Unit) -> Option<Timestamp> {
        let last = unit.machine.last_update_status.filter(|_| unit.machine.started)?;
        let seconds = i64::try_from(self.update_status_interval).unwrap_or(i64::MAX);
        last.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// When an idle unit may have something to do although nothing changes.
    fn wake(&self, unit: &Unit, live: &Live) -> Option<Timestamp> {
        if let Some(failed) = unit.machine.holding() {
            return Some(failed.retry_at).filter(|_| self.retry_hooks);
        }
        if unit.life == Life::Dying || live.stopping {
            return None;
        }
        let workload = live.workload_due();
        [self.update_status_due(unit), self.secret_due(unit), workload].into_iter().flatten().min()
    }

    /// The version of what causes the hook now; recorded when the hook commits.
    pub(crate) fn token(&self, unit: &UnitName, hook: &Hook) -> u64 {
        let relation = |id| self.relations.get(id);
        match hook {
            Hook::ConfigChanged => self.fingerprint(unit),
            Hook::RelationJoined { relation: event, unit: remote }
            | Hook::RelationChanged { relation: event, unit: Some(remote) } => {
                let bag = relation(&event.id).and_then(|r| r.unit_bags.get(remote));
                bag.map_or(0, |bag| bag.version)
            }
            Hook::RelationChanged { relation: event, unit: None } => {
                let bag = relation(&event.id).and_then(|r| r.app_bags.get(&event.remote_app));
                bag.map_or(0, |bag| bag.version)
            }
            Hook::PebbleReady { container } => {
                self.live_of(unit).boots.get(container).map_or(0, |boot| boot.number)
            }
            Hook::SecretChanged { id, .. } | Hook::SecretRotate { id, .. } => {
                self.secrets.get(id).map_or(0, |secret| u64::from(secret.latest))
            }
            _ => 0,
        }
    }

    /// A number that differs when options, trust or addresses differ.
    fn fingerprint(&self, unit: &UnitName) -> u64 {
        let app = self.apps.get(unit.app());
        let app = app.map(|app| *app.fingerprint.get_or_init(|| of_application(app)));
        let address = self.units.get(unit).and_then(|unit| unit.address.as_deref());
        hashed(&(app, address))
    }

    /// Steps that need no hook: leaving peer relations, dropping what no longer applies.
    fn tidy(&mut self, unit: &UnitName, now: Timestamp) {
        self.leave_quietly(unit);
        self.fail_lost_actions(unit, now);
        let failed = self.units.get(unit).and_then(|unit| unit.machine.failed.as_ref());
        if failed.is_some_and(|failed| self.is_stale(unit, &failed.hook))
            && let Some(state) = self.units.get_mut(unit)
        {
            state.machine.failed = None;
        }
    }

    /// Whether a failed hook no longer applies: leadership or the secret is gone.
    fn is_stale(&self, unit: &UnitName, hook: &Hook) -> bool {
        match hook {
            Hook::LeaderElected => !self.is_leader(unit),
            Hook::SecretChanged { id, .. } => !self.secrets.contains_key(id),
            Hook::SecretRotate { id, .. }
            | Hook::SecretExpired { id, .. }
            | Hook::SecretRemove { id, .. } => {
                !self.secrets.get(id).is_some_and(|secret| self.manages(unit, secret))
            }
            _ => false,
        }
    }

    /// An action that ran when the engine ended has failed.
    fn fail_lost_actions(&mut self, unit: &UnitName, now: Timestamp) {
        let running = self.live_of(unit).running.as_ref().map(|run| run.hook.clone());
        for action in self.actions.values_mut().filter(|action| action.unit == *unit) {
            let here = matches!(&running, Some(Hook::Action { id, .. }) if *id == action.id);
            if action.status == ActionStatus::Running && !here {
                action.status = ActionStatus::Failed;
                action.message = "action terminated".to_owned();
                action.completed = Some(now);
            }
        }
    }
}

fn of_application(app: &crate::Application) -> u64 {
    hashed(&(Options(app), app.trust, app.address.as_deref()))
}

fn hashed(parts: &impl serde::Serialize) -> u64 {
    let mut hash = Fnv::default();
    // Writing into a number cannot fail.
    drop(serde_json::to_writer(&mut hash, parts));
    hash.0
}

/// An application's options as a map, without one being made.
struct Options<'a>(&'a crate::Application);

impl serde::Serialize for Options<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.options())
    }
}

/// FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.add(text.as_bytes());
    hash.0
}

/// FNV-1a of what is written into it.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl std::io::Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
