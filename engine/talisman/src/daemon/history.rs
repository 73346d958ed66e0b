//! The statuses that units and applications had, kept in memory with a bound.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use juju_model::Model;
use serde::Serialize;

/// Statuses kept of one unit or application, of each kind.
const KEPT_MAX: usize = 200;
/// Bytes kept of a status' words.
const MESSAGE_MAX: usize = 1024;

/// A status that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Past {
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) since: Timestamp,
    /// `workload`, `juju-unit` or `application`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

/// What was, by name and kind.
#[derive(Default)]
pub(crate) struct History {
    known: BTreeMap<(String, &'static str), VecDeque<Past>>,
}

impl History {
    /// Notes what is different now, and forgets who is gone.
    pub(crate) fn see(&mut self, model: &Model) {
        for unit in model.all_units() {
            let name = unit.name.to_string();
            let workload = unit.status();
            self.note(&name, "workload", &workload.status, &workload.message, workload.since);
            let agent = &unit.agent;
            let status = agent.status.to_string();
            self.note(&name, "juju-unit", &status, &agent.message, agent.since);
        }
        for app in model.applications() {
            if let Some(status) = model.app_status(&app.name) {
                let name = app.name.as_str();
                self.note(name, "application", &status.status, &status.message, status.since);
            }
        }
        self.known.retain(|(name, _), _| {
            let unit = name.parse().ok().and_then(|unit| model.unit(&unit));
            let app = name.parse().ok().and_then(|app| model.application(&app));
            unit.is_some() || app.is_some()
        });
    }

    fn note(
        &mut self,
        name: &str,
        kind: &'static str,
        status: &str,
        message: &str,
        since: Timestamp,
    ) {
        let message: String = message.chars().take(MESSAGE_MAX).collect();
        let past = self.known.entry((name.to_owned(), kind)).or_default();
        if past.back().is_some_and(|last| last.status == status && last.message == message) {
            return;
        }
        past.push_back(Past { status: status.to_owned(), message, since, kind });
        if past.len() > KEPT_MAX {
            past.pop_front();
        }
    }

    /// What is kept of a unit or application, the oldest first. `unit` is both kinds of a unit.
    pub(crate) fn of(&self, name: &str, kind: &str) -> Vec<Past> {
        let is_meant = |known: &str| known == kind || (kind == "unit" && known != "application");
        let all = self.known.iter().filter(|((of, known), _)| of == name && is_meant(known));
        let mut all: Vec<Past> = all.flat_map(|(_, past)| past.iter().cloned()).collect();
        all.sort_by_key(|past| past.since);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_again_is_noted_once_and_the_oldest_goes_first() {
        let mut history = History::default();
        for second in 0..500 {
            let at = Timestamp::from_second(second).unwrap();
            let status = if second % 2 == 0 { "active" } else { "blocked" };
            history.note("a/0", "workload", status, "", at);
            history.note("a/0", "workload", status, "", at);
            history.note("a/0", "juju-unit", "idle", "", at);
        }
        let past = history.of("a/0", "workload");
        assert_eq!(past.len(), KEPT_MAX);
        assert_eq!(past.last().map(|last| last.status.as_str()), Some("blocked"));
        assert_eq!(history.of("a/0", "unit").len(), KEPT_MAX + 1);
        assert_eq!(history.of("a/0", "juju-unit").len(), 1);
        assert_eq!(history.of("b/0", "unit"), []);
    }
}
