//! The model's log.

use jiff::Timestamp;
use names::UnitName;

use crate::Model;

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
}
