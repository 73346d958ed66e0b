//! Running actions and commands.

use jiff::Timestamp;
use juju_names::UnitName;
use serde_json::{Map, Value};

use crate::error::listed;
use crate::limits::DOCUMENT_MAX;
use crate::{Action, ActionStatus, Model, ModelError};

/// The most commands that wait for one unit.
const COMMANDS_MAX: usize = 100;
/// The longest command, in bytes: Linux gives a program no longer argument.
const COMMAND_BYTES_MAX: usize = (128 << 10) - 1;

impl Model {
    /// Queues an action; its parameters get their defaults.
    ///
    /// # Errors
    /// [`ModelError::RunAction`] names the unit, action or parameter that is wrong.
    pub fn enqueue_action(
        &mut self,
        now: Timestamp,
        unit: &UnitName,
        action: &str,
        params: Map<String, Value>,
    ) -> Result<u64, ModelError> {
        let app = self.apps.get(unit.app()).filter(|_| self.units.contains_key(unit));
        let unknown = || ModelError::RunAction(format!("{} (not found)", self.unknown_unit(unit)));
        let app = app.ok_or_else(unknown)?;
        let Some(meta) = app.charm.actions.get(action) else {
            let known = listed(app.charm.actions.keys());
            let charm = &app.charm.name;
            return Err(ModelError::RunAction(format!(
                "charm {charm:?} has no action {action:?}; it has {known} (not found)"
            )));
        };
        let undeclared = self.rules().undeclared_parameters;
        let params = crate::entity::action_schema::filled(action, meta, params, undeclared);
        let params = params.map_err(ModelError::RunAction)?;
        let params = Value::Object(params);
        let size = crate::size::value(&params);
        if size > DOCUMENT_MAX {
            return Err(ModelError::RunAction(format!(
                "the parameters have {size} bytes, and at most {DOCUMENT_MAX} are kept"
            )));
        }
        let id = self.next_action;
        self.next_action += 1;
        let action = Action {
            id,
            operation: None,
            unit: unit.clone(),
            name: action.to_owned(),
            params,
            status: ActionStatus::Pending,
            message: String::new(),
            results: Value::Object(Map::new()),
            log: Vec::new(),
            enqueued: now,
            started: None,
            completed: None,
        };
        self.actions.insert(id, action);
        Ok(id)
    }

    /// A number for an operation; its tasks take the next ones of the same row.
    pub fn begin_operation(&mut self) -> u64 {
        let id = self.next_action;
        self.next_action += 1;
        id
    }

    /// Makes an action a task of an operation.
    pub fn join_operation(&mut self, action: u64, operation: u64) {
        if let Some(action) = self.actions.get_mut(&action) {
            action.operation = Some(operation);
        }
    }

    /// Calls off an action whose turn has not come.
    ///
    /// # Errors
    /// [`ModelError::CancelTask`] when there is no such task, or it runs or has ended.
    pub fn cancel_action(&mut self, now: Timestamp, id: u64) -> Result<(), ModelError> {
        let Some(action) = self.actions.get_mut(&id) else {
            return Err(ModelError::CancelTask(format!("there is no task {id}")));
        };
        if action.status != ActionStatus::Pending {
            return Err(ModelError::CancelTask(format!(
                "task {id} is {}; only pending ones can be called off",
                action.status
            )));
        }
        action.status = ActionStatus::Cancelled;
        action.completed = Some(now);
        Ok(())
    }

    /// Queues a shell command for a hook context of the unit (`juju-exec`).
    ///
    /// The number comes back as the `id` of [`crate::Hook::Exec`]. It does not outlive the engine.
    ///
    /// # Errors
    /// [`ModelError::Exec`] when there is no such unit, its queue is full, or the command is too
    /// long.
    pub fn enqueue_exec(&mut self, unit: &UnitName, command: &str) -> Result<u64, ModelError> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(ModelError::Exec(format!(
                "it has {} bytes, and a program takes at most {COMMAND_BYTES_MAX}; put it into a file",
                command.len()
            )));
        }
        if !self.units.contains_key(unit) {
            return Err(ModelError::Exec(self.unknown_unit(unit)));
        }
        let memory = self.memory.entry(unit.clone()).or_default();
        if memory.commands.len() >= COMMANDS_MAX {
            return Err(ModelError::Exec(format!(
                "{COMMANDS_MAX} commands wait for unit {:?} already; try again later",
                unit.to_string()
            )));
        }
        self.next_exec += 1;
        memory.commands.push_back((self.next_exec, command.to_owned()));
        Ok(self.next_exec)
    }
}
