//! Log lines: collected, and sent as one call per level.

use std::io::Write;

use super::Reader;

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Finest steps.
    Trace,
    /// Steps.
    Debug,
    /// What was done.
    Info,
    /// What may need attention.
    Warning,
    /// What failed.
    Error,
}

impl Level {
    /// Juju's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// One argument may be 128 KiB long on Linux; longer texts are split.
const ARGUMENT_BYTES_MAX: usize = 100 << 10;

impl Reader {
    /// Adds a line to the model's log. Errors are sent at once, the rest at the end.
    pub fn log(&mut self, level: Level, message: impl Into<String>) {
        self.logs.entry(level).or_default().push(message.into());
        if level == Level::Error {
            self.flush_level(level);
        }
    }

    /// Sends every collected line, least serious first. The totals of a traced hook go to the
    /// process's output, so that reporting them is no call itself.
    pub fn flush_logs(&mut self) {
        let levels: Vec<Level> = self.logs.keys().copied().collect();
        for level in levels {
            self.flush_level(level);
        }
        if let Some(line) = self.tools.totals() {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    /// A line that cannot be logged is lost: a hook does not fail for its log.
    fn flush_level(&mut self, level: Level) {
        let lines = self.logs.remove(&level).unwrap_or_default().join("\n");
        let mut rest = lines.as_str();
        while !rest.is_empty() {
            let mut end = rest.len().min(ARGUMENT_BYTES_MAX);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (now, later) = rest.split_at(end);
            let _ = self.tools.call("juju-log", &["-l", level.word(), "--", now], None);
            rest = later;
        }
    }
}
