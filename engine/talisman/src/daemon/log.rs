//! The model's log, kept in memory with a bound.

use std::collections::VecDeque;

use crate::api::LogEntry;

/// Lines kept; older ones are dropped.
const LINES_MAX: usize = 20_000;
/// Bytes kept, as much as Juju keeps of a model's log.
const BYTES_MAX: usize = 20 << 20;
/// Bytes of one answer; who reads asks again for the rest.
const ANSWER_MAX: usize = 4 << 20;
/// The longest line that is kept whole.
const LINE_MAX: usize = 64 << 10;
/// What a line takes besides its texts.
const LINE: usize = 100;

/// The last lines of the log.
#[derive(Default)]
pub(crate) struct Log {
    lines: VecDeque<LogEntry>,
    bytes: usize,
    last: u64,
}

fn size(line: &LogEntry) -> usize {
    LINE + line.entity.len() + line.level.len() + line.module.len() + line.message.len()
}

/// The start of a text, with a mark where it was cut.
fn short(text: &str) -> String {
    if text.len() <= LINE_MAX {
        return text.to_owned();
    }
    let cut = (0..=LINE_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}… ({} bytes in all)", &text[..cut], text.len())
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
        let line = LogEntry {
            position: self.last,
            at,
            entity: entity.to_owned(),
            level: level.to_owned(),
            module: short(module),
            message: short(message),
        };
        self.bytes += size(&line);
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= size(&first);
        }
    }

    /// The last lines, up to `limit`, after a position.
    pub(crate) fn last_after(&self, position: u64, limit: usize) -> Vec<LogEntry> {
        let first = self.last.saturating_sub(limit as u64);
        self.after(position.max(first), limit)
    }

    /// Up to `limit` lines after a position, as far as they fit into one answer.
    pub(crate) fn after(&self, position: u64, limit: usize) -> Vec<LogEntry> {
        let skip = self.lines.partition_point(|line| line.position <= position);
        let mut room = ANSWER_MAX;
        let fits = |line: &&LogEntry| {
            room = room.saturating_sub(size(line));
            room > 0
        };
        self.lines.iter().skip(skip).take(limit).take_while(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &mut Log, message: &str) {
        log.push(jiff::Timestamp::UNIX_EPOCH, "unit-a-0", "INFO", "unit.a/0.juju-log", message);
    }

    #[test]
    fn the_log_is_bounded_in_bytes_and_read_in_pieces() {
        let mut log = Log::default();
        let line = "x".repeat(LINE_MAX);
        for _ in 0..1000 {
            push(&mut log, &line);
        }
        assert!(log.bytes <= BYTES_MAX);
        assert_eq!(log.bytes, log.lines.iter().map(size).sum::<usize>());
        let mut position = 0;
        let mut read = 0;
        loop {
            let piece = log.after(position, usize::MAX);
            let Some(last) = piece.last() else { break };
            assert!(piece.iter().map(size).sum::<usize>() <= ANSWER_MAX);
            position = last.position;
            read += piece.len();
        }
        assert_eq!((position, read), (1000, log.lines.len()));
    }

    #[test]
    fn a_long_line_is_cut_between_signs() {
        let mut log = Log::default();
        push(&mut log, &format!("{}é", "x".repeat(LINE_MAX - 1)));
        let kept = &log.lines[0].message;
        assert!(kept.ends_with(&format!("x… ({} bytes in all)", LINE_MAX + 1)), "{}", kept.len());
        push(&mut log, "short");
        assert_eq!(log.lines[1].message, "short");
    }

    #[test]
    fn lines_are_bounded_too() {
        let mut log = Log::default();
        for _ in 0..LINES_MAX + 5 {
            push(&mut log, "");
        }
        assert_eq!(log.lines.len(), LINES_MAX);
        assert_eq!(log.last_after(0, 3).len(), 3);
    }
}
