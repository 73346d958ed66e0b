//! Deferred events: at most one per event and subject, kept in controller state.

use serde::{Deserialize, Serialize};

use crate::{Event, Vars, error_chain};

/// The most events that are remembered at a time.
pub const DEFERRED_MAX: usize = 64;

/// One event that is to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// The event.
    pub event: Event,
    /// What was missing.
    pub reason: String,
}

/// The events to be tried again, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deferrals(Vec<Deferred>);

/// How a deferred event is written down.
#[derive(Serialize, Deserialize)]
struct Wire {
    event: Vars,
    reason: String,
}

impl Deferrals {
    /// Reads what [`Deferrals::to_text`] wrote, and says why entries are left out that cannot be
    /// read, such as those of a later version of the framework.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let wire: Vec<Wire> = match serde_json::from_str(text) {
            Ok(wire) => wire,
            Err(error) => return (Self::default(), vec![error.to_string()]),
        };
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for Wire { event, reason } in wire.into_iter().take(DEFERRED_MAX) {
            match Event::parse(&event) {
                Ok(event) => read.push(Deferred { event, reason }),
                Err(error) => unread.push(error_chain(error)),
            }
        }
        (Self(read), unread)
    }

    /// The text for the controller state, or `None` where nothing is deferred.
    pub fn to_text(&self) -> Option<String> {
        let wire: Vec<Wire> = self
            .0
            .iter()
            .map(|entry| Wire { event: entry.event.to_vars(), reason: entry.reason.clone() })
            .collect();
        (!wire.is_empty()).then(|| serde_json::json!(wire).to_string())
    }

    /// Remembers an event; one that is known keeps its place and gets the new reason.
    /// Returns `false` when there are [`DEFERRED_MAX`] others already.
    #[must_use]
    pub fn remember(&mut self, event: &Event, reason: &str) -> bool {
        if let Some(known) = self.0.iter_mut().find(|entry| entry.event == *event) {
            reason.clone_into(&mut known.reason);
            return true;
        }
        let room = self.0.len() < DEFERRED_MAX;
        if room {
            self.0.push(Deferred { event: event.clone(), reason: reason.to_owned() });
        }
        room
    }

    /// Forgets an event.
    pub fn forget(&mut self, event: &Event) {
        self.0.retain(|entry| entry.event != *event);
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Deferred> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_remembered_once_and_survives_the_text() {
        let mut all = Deferrals::default();
        assert_eq!(all.to_text(), None);
        assert!(all.remember(&Event::ConfigChanged, "first"));
        assert!(all.remember(&Event::Start, "other"));
        assert!(all.remember(&Event::ConfigChanged, "second"));
        let text = all.to_text().unwrap();
        assert_eq!(Deferrals::parse(&text), (all.clone(), Vec::new()));
        let found: Vec<_> = all.iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!(found, ["second", "other"]);
        all.forget(&Event::ConfigChanged);
        assert_eq!(all.iter().count(), 1);
        for unreadable in [
            "nonsense",
            r#"[{"event": {"JUJU_DISPATCH_PATH": "hooks/db-relation-changed"}, "reason": "no id"}]"#,
        ] {
            let (read, unread) = Deferrals::parse(unreadable);
            assert_eq!((read, unread.len()), (Deferrals::default(), 1), "{unreadable}");
        }
    }

    #[test]
    fn the_queue_cannot_grow_without_bound() {
        let mut all = Deferrals::default();
        let fits = (0..100).filter(|n| all.remember(&Event::Custom(n.to_string()), "")).count();
        assert_eq!(fits, DEFERRED_MAX);
    }
}
