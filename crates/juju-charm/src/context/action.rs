//! Actions: parameters in, results out.

use serde_json::{Map, Value};

use super::{Context, HookError, Reader};

impl Reader {
    /// The parameters of the running action, defaults included.
    ///
    /// # Errors
    /// When no action runs.
    pub fn action_params(&mut self) -> Result<Map<String, Value>, HookError> {
        let doing = || "read the action's parameters".to_owned();
        let found: Option<Map<String, Value>> =
            self.read(doing, "action-get", &["--format", "json"])?;
        Ok(found.unwrap_or_default())
    }
}

impl Context {
    /// Sets a result; dots in the key nest. All results leave in one call at the end.
    ///
    /// `action-set` takes its values as arguments and in no other way, so a secret that
    /// a person asked for by an action is in that one process's argument list.
    pub fn action_result(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.results.insert(key.into(), value.into());
    }

    /// Marks the action failed; the charm goes on and its writes are kept.
    ///
    /// # Errors
    /// When no action runs.
    pub fn action_fail(&mut self, message: &str) -> Result<(), HookError> {
        let doing = || "mark the action failed".to_owned();
        self.call(doing, "action-fail", &["--", message], None).map(drop)
    }

    /// Adds a line to the action's own log, at once.
    ///
    /// # Errors
    /// When no action runs.
    pub fn action_log(&mut self, message: &str) -> Result<(), HookError> {
        let doing = || "log for the action".to_owned();
        self.call(doing, "action-log", &["--", message], None).map(drop)
    }

    pub(super) fn flush_results(&mut self) -> Result<(), HookError> {
        let results = std::mem::take(&mut self.results);
        if results.is_empty() {
            return Ok(());
        }
        let pairs: Vec<String> = results.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let args: Vec<&str> = pairs.iter().map(String::as_str).collect();
        let doing = || "set the action's results".to_owned();
        self.call(doing, "action-set", &args, None).map(drop)
    }
}
