//! The model's log.

use jiff::Timestamp;
use juju_names::UnitName;

use crate::{Hook, HookOutcome, Model};

/// One line of the model's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it, such as `unit-pgb-0`.
    pub entity: String,
    /// `TRACE`, `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
    pub level: String,
    /// The logger, such as `unit.pgb/0.juju-log`.
    pub module: String,
    /// The text.
    pub message: String,
}

impl Model {
    /// The lines since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }

    /// Notes that a hook has run, for who watches a model at its default level.
    pub(crate) fn ran(
        &mut self,
        unit: &UnitName,
        hook: &Hook,
        outcome: HookOutcome,
        now: Timestamp,
    ) {
        let (name, module) = (hook.name(), "juju.worker.uniter.operation");
        let message = match outcome {
            HookOutcome::NotImplemented => format!("skipped {name:?} hook (missing)"),
            _ => format!("ran {name:?} hook (via hook dispatching script: dispatch)"),
        };
        let (entity, level) = (unit.tag(), "INFO".to_owned());
        self.log.push(LogLine { at: now, entity, level, module: module.to_owned(), message });
    }

    /// Adds a line of a unit's agent.
    pub(crate) fn note(&mut self, at: Timestamp, unit: &UnitName, level: &str, message: String) {
        self.log.push(LogLine {
            at,
            entity: unit.tag(),
            level: level.to_owned(),
            module: "juju.worker.uniter".to_owned(),
            message,
        });
    }

    /// Adds a line of the controller.
    pub(crate) fn controller_log(&mut self, at: Timestamp, message: String) {
        let (entity, module) = ("controller".to_owned(), "juju.controller".to_owned());
        self.log.push(LogLine { at, entity, level: "INFO".to_owned(), module, message });
    }
}
