//! The model's log, kept in memory with a bound.

use std::collections::VecDeque;

use crate::api::LogEntry;

/// Lines kept; older ones are dropped.
const LINES_MAX: usize = 20_000;

/// The last lines of the log.
#[derive(Default)]
pub(crate) struct Log {
    lines: VecDeque<LogEntry>,
    last: u64,
}

impl Log {
    /// Adds a line and gives it its position.
    pub(crate) fn push(
        &mut self,
        at: jiff::Timestamp,
        entity: &str,
        level: &str,
        module: &str,
        message: &str,
    ) {
        self.last += 1;
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(LogEntry {
            position: self.last,
            at,
            entity: entity.to_owned(),
            level: level.to_owned(),
            module: module.to_owned(),
            message: message.to_owned(),
        });
    }

    /// The last lines, up to `limit`, after a position.
    pub(crate) fn last_after(&self, position: u64, limit: usize) -> Vec<LogEntry> {
        let first = self.last.saturating_sub(limit as u64);
        self.after(position.max(first), limit)
    }

    /// Up to `limit` lines after a position.
    pub(crate) fn after(&self, position: u64, limit: usize) -> Vec<LogEntry> {
        let skip = self.lines.partition_point(|line| line.position <= position);
        self.lines.iter().skip(skip).take(limit).cloned().collect()
    }
}
