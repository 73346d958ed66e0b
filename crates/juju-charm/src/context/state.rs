//! Controller state: text by key, kept by Juju where a pod restart does not lose it.

use std::collections::BTreeMap;

use super::cache::bound;
use super::pairs::Pairs;
use super::{Context, HookError, Reader};
use crate::Bag;

/// The controller state as it is stored, and as it shall be.
#[derive(Default)]
pub(super) struct State {
    stored: Bag,
    wanted: Bag,
}

impl Reader {
    /// The value of a key, with own writes laid over it. All keys are read in one call.
    ///
    /// # Errors
    /// When `state-get` fails.
    pub fn state(&mut self, key: &str) -> Result<Option<String>, HookError> {
        Ok(self.whole_state()?.get(key).cloned())
    }

    /// The whole state, which leaves at the end of the hook as far as it differs.
    pub(super) fn whole_state(&mut self) -> Result<&mut Bag, HookError> {
        if self.state.is_none() {
            let doing = || "read the controller state".to_owned();
            let args = ["--format", "json", "-"];
            let found: Option<Pairs<String>> = self.read(doing, "state-get", &args)?;
            let stored = Bag::from_iter(found.unwrap_or_default().0);
            self.state = Some(State { wanted: stored.clone(), stored });
        }
        Ok(&mut self.state.get_or_insert_default().wanted)
    }
}

impl Context {
    /// Wants a key to have a value, or to be gone; returns whether anything differs.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn set_state(&mut self, key: &str, value: Option<String>) -> Result<bool, HookError> {
        let state = self.whole_state()?;
        let before = match &value {
            Some(value) => state.insert(key.to_owned(), value.clone()),
            None => state.remove(key),
        };
        Ok(before != value)
    }

    pub(super) fn flush_state(&mut self) -> Result<(), HookError> {
        let Some(State { stored, mut wanted }) = self.state.take() else { return Ok(()) };
        bound(&mut wanted);
        let doing = || "write the controller state".to_owned();
        for key in stored.keys().filter(|key| !wanted.contains_key(*key)) {
            self.call(doing, "state-delete", &[key], None)?;
        }
        let differs = |(key, value): &(&String, &String)| stored.get(*key) != Some(*value);
        let set: BTreeMap<_, _> = wanted.iter().filter(differs).collect();
        if !set.is_empty() {
            let content = serde_json::json!(set).to_string();
            self.call(doing, "state-set", &["--file", "-"], Some(&content))?;
        }
        self.state = Some(State { stored: wanted.clone(), wanted });
        Ok(())
    }
}
