//! What a charm keeps: its state, and the leader's settings.

use std::collections::BTreeMap;

use crate::tool::call::{ToolCall, refused};
use crate::tool::{Answer, Bag};

/// The longest key of the charm's state, in bytes.
const STATE_KEY: usize = 256;

/// The longest value of the charm's state, in bytes.
const STATE_VALUE: usize = 64 * 1024;

impl ToolCall<'_> {
    /// The whole controller-side state of the unit, own buffered writes laid over it.
    ///
    /// # Errors
    /// None so far.
    pub fn state_get(&self) -> Answer<Bag> {
        let unit = self.model.unit(&self.session.run.unit);
        let mut state = unit.map(|unit| unit.state.clone()).unwrap_or_default();
        for (key, value) in &self.session.writes.state {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        Ok(state)
    }

    /// Buffered; `None` deletes, as `state-delete` does.
    ///
    /// # Errors
    /// A key or a value that is too long, too much in all.
    pub fn state_set(&mut self, changes: BTreeMap<String, Option<String>>) -> Answer<()> {
        for (key, value) in &changes {
            if key.len() > STATE_KEY {
                let most = format!("max allowed key length ({STATE_KEY})");
                return Err(refused(format!("{most}: quota limit exceeded")));
            }
            if value.as_ref().is_some_and(|value| value.len() > STATE_VALUE) {
                let most = format!("max allowed value length ({STATE_VALUE})");
                return Err(refused(format!("{most}: quota limit exceeded")));
            }
        }
        let size =
            changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(8, String::len));
        self.session.make_room(size.sum())?;
        self.session.writes.state.extend(changes);
        Ok(())
    }

    /// What the leader has set for its application.
    ///
    /// # Errors
    /// None so far.
    pub fn leader_get(&self) -> Answer<Bag> {
        let app = self.model.apps.get(self.session.run.unit.app());
        Ok(app.map(|app| app.leader_settings.clone()).unwrap_or_default())
    }

    /// Sets at once; an empty value deletes.
    ///
    /// # Errors
    /// The unit does not lead.
    pub fn leader_set(&mut self, changes: Bag) -> Answer<()> {
        if !self.leads() {
            return Err(refused("cannot write settings: not the leader"));
        }
        let size = changes.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.session.make_room(size)?;
        if let Some(app) = self.model.apps.get_mut(self.session.run.unit.app()) {
            crate::entity::relation::overlay(&mut app.leader_settings, &changes);
        }
        Ok(())
    }
}
