//! What a unit does next: the resolvers in Juju's order.

use jiff::{SignedDuration, Timestamp};
use juju_names::{AppName, UnitName};

use crate::agent::memory::{Agent, AgentMemory};
use crate::entity::uniter::{ConfigSeen, Lifecycle, Pending, Retry};
use crate::hash::{hash, hashed};
use crate::{ActionStatus, Hook, Life, Model, Next, Unit};

/// An agent without memory: it is not up.
static ABSENT: std::sync::LazyLock<AgentMemory> = std::sync::LazyLock::new(AgentMemory::default);

impl Model {
    /// What the unit's agent does next. Asking twice gives the same hook.
    ///
    /// A unit without an address or an agent, or with a hook running, has nothing to do.
    pub fn next(&mut self, unit: &UnitName, now: Timestamp) -> Next {
        self.tidy(unit, now);
        let Some(state) = self.units.get(unit) else {
            return Next::Idle { until: None };
        };
        let memory = self.memory_of(unit);
        if state.is_done() {
            let running = memory.running.is_some();
            return if running { Next::Idle { until: None } } else { Next::Gone };
        }
        if memory.agent == Agent::Absent || memory.running.is_some() || state.address.is_none() {
            return Next::Idle { until: None };
        }
        if memory.agent == Agent::Ended {
            return Next::Restart;
        }
        let Some(hook) = self.decide(state, memory, now) else {
            return Next::Idle { until: self.wake(state, memory) };
        };
        Next::Hook(self.given_hook(unit, hook))
    }

    pub(crate) fn memory_of(&self, unit: &UnitName) -> &AgentMemory {
        self.memory.get(unit).unwrap_or(&ABSENT)
    }

    /// The first resolver with work wins.
    pub(crate) fn decide(
        &self,
        state: &Unit,
        memory: &AgentMemory,
        now: Timestamp,
    ) -> Option<Hook> {
        let uniter = &state.uniter;
        // An agent that ends looks at no failed hook but `stop` itself.
        let ends = memory.agent == Agent::Stopping && state.life == Life::Alive;
        if ends && !uniter.has_failed_to_stop() {
            return (uniter.lifecycle == Lifecycle::Started).then_some(Hook::Stop);
        }
        if let Some(failed) = uniter.holding() {
            let due = match failed.retry {
                Retry::Now => true,
                Retry::At(at) => self.retry_hooks && at <= now,
            };
            let retry = || due.then(|| failed.hook.clone());
            return self.next_operation(state).or_else(retry);
        }
        let started = uniter.lifecycle >= Lifecycle::Started;
        if let Pending::Queued(hook) = &uniter.pending {
            let storage = self.next_storage(state).filter(|_| started);
            return storage.or_else(|| Some(hook.clone()));
        }
        if state.life == Life::Dying {
            return self.next_operation(state).or_else(|| self.next_of_dying(state));
        }
        if uniter.lifecycle == Lifecycle::New {
            return Some(Hook::Install);
        }
        if uniter.pending == Pending::Upgrade {
            return Some(Hook::UpgradeCharm);
        }
        if memory.agent == Agent::Restarted {
            return Some(Hook::Start);
        }
        self.next_created(state)
            .or_else(|| self.next_leadership(state))
            .or_else(|| memory.next_workload(now, self.draws(&state.name, "notices", 2)))
            .or_else(|| self.next_secret(state, now))
            .or_else(|| self.next_operation(state))
            .or_else(|| self.next_storage(state))
            .or_else(|| self.next_config(state))
            .or_else(|| self.next_relation(state))
            .or_else(|| self.next_update_status(state, now))
    }

    /// A new leader gets an event for it. The others get one for the leader's settings when these
    /// have changed and, in any case, once after their agent has started.
    fn next_leadership(&self, unit: &Unit) -> Option<Hook> {
        if self.is_leader(&unit.name) {
            return (!unit.uniter.leader_told).then_some(Hook::LeaderElected);
        }
        let seen = self.memory_of(&unit.name).leader_settings;
        let due =
            self.rules().leader_settings && seen != Some(self.leader_settings(unit.name.app()));
        due.then_some(Hook::LeaderSettingsChanged)
    }

    /// A number that differs where the leader's settings do.
    fn leader_settings(&self, app: &AppName) -> u64 {
        self.apps.get(app).map_or(0, |app| hashed(&app.leader_settings))
    }

    /// Where Juju leaves an order open: whether this history has it so, one time in so many.
    fn draws(&self, unit: &UnitName, what: &str, of: u64) -> bool {
        self.shuffle.is_some_and(|seed| hash(&format!("{seed} {unit} {what}")).is_multiple_of(of))
    }

    /// Storage comes when it has been made, which may be long after the unit's start.
    fn next_storage(&self, unit: &Unit) -> Option<Hook> {
        if unit.uniter.lifecycle < Lifecycle::Started && self.draws(&unit.name, "storage", 3) {
            return None;
        }
        let attached = self.storage_of(&unit.name).into_iter();
        let fresh = attached.filter(|id| !unit.uniter.attached.contains(id));
        let storage = self.first_in_turn(&unit.name, fresh, Clone::clone)?;
        Some(Hook::StorageAttached { storage })
    }

    /// An action or command, once the unit has started or while a hook has failed.
    fn next_operation(&self, unit: &Unit) -> Option<Hook> {
        let uniter = &unit.uniter;
        if uniter.lifecycle < Lifecycle::Started && uniter.failed.is_none() {
            return None;
        }
        let pending = self
            .actions
            .values()
            .find(|action| action.unit == unit.name && action.status == ActionStatus::Pending)
            .map(|action| Hook::Action { id: action.id, action: action.name.clone() });
        let command = || {
            let (id, command) = self.memory_of(&unit.name).commands.front()?;
            Some(Hook::Exec { id: *id, command: command.clone() })
        };
        pending.or_else(command)
    }

    fn next_of_dying(&self, unit: &Unit) -> Option<Hook> {
        let uniter = &unit.uniter;
        if let Some(storage) = uniter.attached.first() {
            return Some(Hook::StorageDetaching { storage: storage.clone() });
        }
        let after = || match uniter.lifecycle {
            Lifecycle::Started => Some(Hook::Stop),
            // What has not started, be it in a new pod only, has nothing to stop.
            Lifecycle::Installed | Lifecycle::Stopped => Some(Hook::Remove),
            Lifecycle::New | Lifecycle::Removed => None,
        };
        self.next_relation(unit).or_else(after)
    }

    fn next_config(&self, unit: &Unit) -> Option<Hook> {
        let due = unit.uniter.config != ConfigSeen::Seen(self.fingerprint(&unit.name));
        due.then_some(Hook::ConfigChanged)
    }

    fn next_update_status(&self, unit: &Unit, now: Timestamp) -> Option<Hook> {
        let due = self.update_status_due(unit)? <= now;
        due.then_some(Hook::UpdateStatus)
    }

    fn update_status_due(&self, unit: &Unit) -> Option<Timestamp> {
        let started = unit.uniter.lifecycle >= Lifecycle::Started;
        let last = unit.uniter.last_update_status.filter(|_| started)?;
        let seconds = i64::try_from(self.update_status_interval).unwrap_or(i64::MAX);
        last.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// When an idle unit may have something to do although nothing changes.
    fn wake(&self, unit: &Unit, memory: &AgentMemory) -> Option<Timestamp> {
        if let Some(failed) = unit.uniter.holding() {
            return match failed.retry {
                Retry::At(at) if self.retry_hooks => Some(at),
                Retry::At(_) | Retry::Now => None,
            };
        }
        if unit.life == Life::Dying || memory.agent == Agent::Stopping {
            return None;
        }
        let workload = memory.workload_due();
        [self.update_status_due(unit), self.secret_due(unit), workload].into_iter().flatten().min()
    }

    /// The version of what causes the hook now; recorded when the hook commits.
    pub(crate) fn cause_version(&self, unit: &UnitName, hook: &Hook) -> u64 {
        let relation = |id| self.relations.get(id);
        match hook {
            Hook::ConfigChanged => self.fingerprint(unit),
            Hook::LeaderSettingsChanged => self.leader_settings(unit.app()),
            Hook::RelationJoined { relation: event, unit: remote }
            | Hook::RelationChanged { relation: event, unit: Some(remote) } => {
                let bag = relation(&event.id).and_then(|r| r.unit_bags.get(remote));
                bag.map_or(0, |bag| bag.mark(self.rules()))
            }
            Hook::RelationChanged { relation: event, unit: None } => {
                let bag = relation(&event.id).and_then(|r| r.app_bags.get(&event.remote_app));
                bag.map_or(0, |bag| bag.mark(self.rules()))
            }
            Hook::PebbleReady { container } => {
                self.memory_of(unit).boots.get(container).map_or(0, |boot| boot.number)
            }
            Hook::SecretChanged { id, .. } | Hook::SecretRotate { id, .. } => {
                self.secrets.get(id).map_or(0, |secret| u64::from(secret.latest))
            }
            Hook::Install
            | Hook::Start
            | Hook::UpdateStatus
            | Hook::LeaderElected
            | Hook::UpgradeCharm
            | Hook::Stop
            | Hook::Remove
            | Hook::RelationCreated { .. }
            | Hook::RelationDeparted { .. }
            | Hook::RelationBroken { .. }
            | Hook::PebbleCustomNotice { .. }
            | Hook::PebbleCheckFailed { .. }
            | Hook::PebbleCheckRecovered { .. }
            | Hook::SecretExpired { .. }
            | Hook::SecretRemove { .. }
            | Hook::StorageAttached { .. }
            | Hook::StorageDetaching { .. }
            | Hook::Action { .. }
            | Hook::Exec { .. } => 0,
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
        let failed = self.units.get(unit).and_then(|unit| unit.uniter.failed.as_ref());
        if failed.is_some_and(|failed| self.is_stale(unit, &failed.hook))
            && let Some(state) = self.units.get_mut(unit)
        {
            state.uniter.failed = None;
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
            Hook::Install
            | Hook::Start
            | Hook::ConfigChanged
            | Hook::UpdateStatus
            | Hook::LeaderSettingsChanged
            | Hook::UpgradeCharm
            | Hook::Stop
            | Hook::Remove
            | Hook::RelationCreated { .. }
            | Hook::RelationJoined { .. }
            | Hook::RelationChanged { .. }
            | Hook::RelationDeparted { .. }
            | Hook::RelationBroken { .. }
            | Hook::PebbleReady { .. }
            | Hook::PebbleCustomNotice { .. }
            | Hook::PebbleCheckFailed { .. }
            | Hook::PebbleCheckRecovered { .. }
            | Hook::StorageAttached { .. }
            | Hook::StorageDetaching { .. }
            | Hook::Action { .. }
            | Hook::Exec { .. } => false,
        }
    }

    /// An action that ran when the engine ended has failed.
    fn fail_lost_actions(&mut self, unit: &UnitName, now: Timestamp) {
        let running = self.memory_of(unit).running.as_ref().map(|run| run.hook.clone());
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

/// An application's options as a map, without one being made.
struct Options<'a>(&'a crate::Application);

impl serde::Serialize for Options<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.options())
    }
}
