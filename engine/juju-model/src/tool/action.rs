//! Actions: their results.

use serde_json::{Map, Value};

use crate::tool::Answer;
use crate::tool::call::{ToolCall, refused};
use crate::{Action, Hook};

/// Results that the engine itself sets.
const RESERVED: [&str; 4] = ["stdout", "stderr", "stdout-encoding", "stderr-encoding"];

impl ToolCall<'_> {
    /// The action that runs.
    fn action(&mut self) -> Answer<&mut Action> {
        let none = || refused("not running an action");
        let Hook::Action { id, .. } = &self.session.run.hook else {
            return Err(none());
        };
        self.model.actions.get_mut(id).ok_or_else(none)
    }

    /// The action's parameters.
    ///
    /// # Errors
    /// No action runs; so for all tools of actions.
    pub fn action_get(&mut self) -> Answer<Value> {
        if let Hook::Exec { command, .. } = &self.session.run.hook {
            return Ok(serde_json::json!({ "command": command, "timeout": 3e11 }));
        }
        Ok(self.action()?.params.clone())
    }

    /// Marks the action failed; the process goes on.
    ///
    /// # Errors
    /// No action runs, or it has said too much.
    pub fn action_fail(&mut self, message: &str) -> Answer<()> {
        if matches!(self.session.run.hook, Hook::Exec { .. }) {
            return Ok(());
        }
        self.action()?;
        self.session.say(message.len())?;
        self.session.action_failed = Some(message.to_owned());
        Ok(())
    }

    /// Writes one line of the action's log, at once.
    ///
    /// # Errors
    /// No action runs, or it has said too much.
    pub fn action_log(&mut self, message: &str) -> Answer<()> {
        let (at, message) = (self.now, message.to_owned());
        if matches!(self.session.run.hook, Hook::Exec { .. }) {
            return Ok(());
        }
        self.action()?;
        self.session.say(message.len() + 32)?;
        self.action()?.log.push(crate::ActionLog { at, message });
        Ok(())
    }

    /// Results, merged into what was set before; keys are dotted paths.
    ///
    /// # Errors
    /// No action runs, a key is odd or reserved, or the action has said too much.
    pub fn action_set(&mut self, results: Vec<(String, String)>) -> Answer<()> {
        if matches!(self.session.run.hook, Hook::Exec { .. }) {
            return Ok(());
        }
        self.action()?;
        for (key, _) in &results {
            if !is_result_key(key) {
                return Err(refused(format!(
                    "key {key:?} must start and end with lowercase alphanumeric, \
                     and contain only lowercase alphanumeric, hyphens and periods"
                )));
            }
            if RESERVED.contains(&key.as_str()) {
                return Err(refused(format!("cannot set reserved action key {key:?}")));
            }
        }
        let size = results.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        self.session.say(size)?;
        for (key, value) in results {
            nest(&mut self.session.results, &key, value);
        }
        Ok(())
    }
}

/// `^[a-z0-9](([a-z0-9-.]+)?[a-z0-9])?$`
fn is_result_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(plain)
        && key.ends_with(plain)
        && key.chars().all(|c| plain(c) || c == '-' || c == '.')
}

/// Sets a dotted path; a value in the way gives way.
fn nest(map: &mut Map<String, Value>, path: &str, value: String) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), Value::String(value));
        }
        Some((head, rest)) => {
            let slot = map.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(inner) = slot {
                nest(inner, rest, value);
            }
        }
    }
}
