//! Controller state: text by key, kept by Juju where a pod restart does not lose it.

use std::collections::BTreeMap;

use super::pairs::Pairs;
use super::{Hook, HookError};
use crate::Bag;

impl Hook {
    /// The value of a key, with own writes laid over it. All keys are read in one call.
    ///
    /// # Errors
    /// When `state-get` fails.
    pub fn state(&mut self, key: &str) -> Result<Option<String>, HookError> {
        Ok(self.whole_state()?.get(key).cloned())
    }

    /// Wants a key to have a value, or to be gone; returns whether anything differs.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn set_state(&mut self, key: &str, value: Option<String>) -> Result<bool, HookError> {
        let state = self.whole_state()?;
        if state.get(key) == value.as_ref() {
            return Ok(false);
        }
        match &value {
            Some(value) => state.insert(key.to_owned(), value.clone()),
            None => state.remove(key),
        };
        self.state_changes.insert(key.to_owned(), value);
        Ok(true)
    }

    /// The keys that begin with `prefix`.
    pub(super) fn state_keys(&mut self, prefix: &str) -> Result<Vec<String>, HookError> {
        let state = self.whole_state()?;
        Ok(state.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn whole_state(&mut self) -> Result<&mut Bag, HookError> {
        if self.state.is_none() {
            let doing = || "read the controller state".to_owned();
            let args = ["--format", "json", "-"];
            let found: Option<Pairs<String>> = self.read(doing, "state-get", &args)?;
            self.state = Some(Bag::from_iter(found.unwrap_or_default().0));
        }
        Ok(self.state.get_or_insert_default())
    }

    pub(super) fn flush_state(&mut self) -> Result<(), HookError> {
        let doing = || "write the controller state".to_owned();
        let mut set = BTreeMap::new();
        for (key, value) in std::mem::take(&mut self.state_changes) {
            match value {
                Some(value) => drop(set.insert(key, value)),
                None => drop(self.call(doing, "state-delete", &[&key], None)?),
            }
        }
        if !set.is_empty() {
            // A map of texts is always JSON.
            let content = serde_json::to_string(&set).unwrap_or_default();
            self.call(doing, "state-set", &["--file", "-"], Some(&content))?;
        }
        Ok(())
    }
}
