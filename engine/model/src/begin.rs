//! The start of a hook: statuses that Juju sets itself, and what the hook will see.

use std::collections::BTreeMap;

use jiff::Timestamp;
use names::UnitName;

use crate::tools::Status;
use crate::{ActionStatus, AgentState, AgentStatus, Hook, HookRun, Model, Session, ToolCall};

impl Model {
    /// Marks the hook as running and gives its session.
    pub fn begin(&mut self, run: &HookRun, now: Timestamp) -> Session {
        self.live.entry(run.unit.clone()).or_default().running = Some(run.clone());
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
            _ => {}
        }
        self.fix_members(&mut session);
        session
    }

    /// The hook tools of a running hook, at this time.
    pub fn tools<'a>(&'a mut self, session: &'a mut Session, now: Timestamp) -> ToolCall<'a> {
        ToolCall { model: self, session, now }
    }

    /// Which remote units the hook sees: those that joined, without the one that departs.
    fn fix_members(&self, session: &mut Session) {
        let Some(unit) = self.units.get(&session.run.unit) else { return };
        let members =
            |membership: &crate::unit::Membership| membership.members.keys().cloned().collect();
        let relations = unit.machine.relations.iter();
        let mut all: BTreeMap<_, std::collections::BTreeSet<UnitName>> =
            relations.map(|(id, membership)| (*id, members(membership))).collect();
        if let Some(event) = session.run.hook.relation() {
            let here = all.entry(event.id).or_default();
            match &session.run.hook {
                Hook::RelationJoined { unit, .. } => {
                    here.insert(unit.clone());
                }
                Hook::RelationDeparted { unit, .. } => {
                    here.remove(unit);
                }
                Hook::RelationBroken { .. } => here.clear(),
                _ => {}
            }
        }
        session.reads.members = all;
    }

    /// A `maintenance` status that Juju sets; `gently` not over one of the charm's.
    fn automatic(&mut self, unit: &UnitName, now: Timestamp, message: &str, gently: bool) {
        let Some(unit) = self.units.get_mut(unit) else { return };
        if !(gently && unit.machine.status_set) {
            unit.workload = status(now, "maintenance", message);
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

pub(crate) fn status(since: Timestamp, status: &str, message: &str) -> Status {
    Status { status: status.to_owned(), message: message.to_owned(), since }
}
