//! The start of a hook: statuses that Juju sets itself, and what the hook will see.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_names::UnitName;

use crate::tool::Status;
use crate::{ActionStatus, AgentState, AgentStatus, Hook, HookRun, Model, Session, ToolCall};

impl Model {
    /// Marks the hook as running and gives its session.
    pub fn begin(&mut self, run: &HookRun, now: Timestamp) -> Session {
        self.memory.entry(run.unit.clone()).or_default().running = Some(run.clone());
        let mut session = Session::new(run.clone());
        let message = match &run.hook {
            Hook::Action { action, .. } => format!("running action {action}"),
            Hook::Exec { .. } => "running commands".to_owned(),
            hook => format!("running {} hook", hook.name()),
        };
        if run.hook != Hook::UpdateStatus {
            self.set_agent(&run.unit, now, AgentStatus::Executing, message.clone());
        }
        self.note(now, &run.unit, "DEBUG", message);
        match &run.hook {
            Hook::Install => self.automatic(&run.unit, now, "installing charm software", true),
            Hook::Stop => self.automatic(&run.unit, now, "stopping charm software", false),
            Hook::Remove => {
                self.automatic(&run.unit, now, "cleaning up prior to charm deletion", false);
            }
            Hook::RelationCreated { .. } => self.enter_scopes(&run.unit),
            Hook::Action { id, .. } => {
                if let Some(action) = self.actions.get_mut(id) {
                    action.status = ActionStatus::Running;
                    action.started = Some(now);
                }
            }
            Hook::Start
            | Hook::ConfigChanged
            | Hook::UpdateStatus
            | Hook::LeaderElected
            | Hook::LeaderSettingsChanged
            | Hook::UpgradeCharm
            | Hook::RelationJoined { .. }
            | Hook::RelationChanged { .. }
            | Hook::RelationDeparted { .. }
            | Hook::RelationBroken { .. }
            | Hook::PebbleReady { .. }
            | Hook::PebbleCustomNotice { .. }
            | Hook::PebbleCheckFailed { .. }
            | Hook::PebbleCheckRecovered { .. }
            | Hook::SecretChanged { .. }
            | Hook::SecretRotate { .. }
            | Hook::SecretExpired { .. }
            | Hook::SecretRemove { .. }
            | Hook::StorageAttached { .. }
            | Hook::StorageDetaching { .. }
            | Hook::Exec { .. } => {}
        }
        self.fix_members(&mut session);
        self.prune_bags(&session);
        session
    }

    /// The hook tools of a running hook, at this time.
    pub fn tools<'a>(&'a mut self, session: &'a mut Session, now: Timestamp) -> ToolCall<'a> {
        ToolCall { model: self, session, now }
    }

    /// Which remote units the hook sees: those that joined, without the one that departs.
    fn fix_members(&self, session: &mut Session) {
        let Some(unit) = self.units.get(&session.run.unit) else { return };
        let members = |membership: &crate::entity::uniter::Membership| {
            membership.members.keys().cloned().collect()
        };
        let relations = unit.uniter.relations.iter();
        let mut all: BTreeMap<_, std::collections::BTreeSet<UnitName>> =
            relations.map(|(id, membership)| (*id, members(membership))).collect();
        if let Some(event) = session.run.hook.relation() {
            let here = all.entry(event.id).or_default();
            let hook = &session.run.hook;
            if let Hook::RelationJoined { unit, .. } = hook {
                here.insert(unit.clone());
            } else if let Hook::RelationDeparted { unit, .. } = hook {
                here.remove(unit);
            } else if let Hook::RelationBroken { .. } = hook {
                here.clear();
            }
        }
        session.reads.members = all;
    }

    /// The agent forgets databags of units that are no members, and of the one that the event is
    /// about.
    fn prune_bags(&mut self, session: &Session) {
        let Some(memory) = self.memory.get_mut(&session.run.unit) else { return };
        let members = &session.reads.members;
        memory.bags.retain(|(id, unit), _| members.get(id).is_some_and(|all| all.contains(unit)));
        if let (Some(event), Some(unit)) =
            (session.run.hook.relation(), session.run.hook.remote_unit())
        {
            memory.bags.remove(&(event.id, unit.clone()));
        }
    }

    /// A `maintenance` status that Juju sets; `gently` not over one of the charm's.
    fn automatic(&mut self, unit: &UnitName, now: Timestamp, message: &str, gently: bool) {
        let Some(unit) = self.units.get_mut(unit) else { return };
        if !(gently && unit.uniter.status_set) {
            unit.workload = Status::new(now, "maintenance", message);
        }
    }

    pub(crate) fn set_agent(
        &mut self,
        unit: &UnitName,
        now: Timestamp,
        status: AgentStatus,
        message: String,
    ) {
        if let Some(unit) = self.units.get_mut(unit) {
            let same = unit.agent.status == status && unit.agent.message == message;
            let since = if same { unit.agent.since } else { now };
            unit.agent = AgentState { status, message, since };
        }
    }
}
