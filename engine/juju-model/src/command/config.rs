//! Options of applications and of the model: typed, and wrong values named.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_names::{AppName, SecretId};
use serde_json::Value;

use crate::error::listed;
use crate::limits::DOCUMENT_MAX;
use crate::{CharmMeta, Model, ModelError, OptionKind};

/// The model option that says how often `update-status` runs.
const INTERVAL: &str = "update-status-hook-interval";
/// The model option that lets failed hooks run again by themselves.
const RETRY: &str = "automatically-retry-hooks";

impl Model {
    /// Sets options, all or none; values as the user typed them.
    ///
    /// # Errors
    /// [`ModelError::Config`] names the application or option, its type and the value.
    pub fn set_config(
        &mut self,
        now: Timestamp,
        app: &AppName,
        values: BTreeMap<String, String>,
    ) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        let application = self.alive_app(app).ok_or(ModelError::Config(unknown))?;
        let values = parse(&application.charm, &values).map_err(ModelError::Config)?;
        let keys = listed(values.keys());
        let mut config = application.config.clone();
        config.extend(values);
        check_size(&config).map_err(ModelError::Config)?;
        application.config = config;
        self.controller_log(now, format!("setting {keys} of {app}"));
        Ok(())
    }

    /// Puts options back to their defaults.
    ///
    /// # Errors
    /// [`ModelError::Config`] names the application or option that is unknown.
    pub fn reset_config(
        &mut self,
        now: Timestamp,
        app: &AppName,
        keys: &[String],
    ) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        let application = self.alive_app(app).ok_or(ModelError::Config(unknown))?;
        for key in keys {
            known(&application.charm, key).map_err(ModelError::Config)?;
        }
        application.config.retain(|key, _| !keys.contains(key));
        self.controller_log(now, format!("resetting {} of {app}", listed(keys)));
        Ok(())
    }

    /// Sets options of the model: `update-status-hook-interval`, as `300`, `90s`, `5m` or `1h`,
    /// and whether failed hooks run again; others are kept for who reads them back.
    ///
    /// # Errors
    /// [`ModelError::ModelConfig`] names the option or value that is wrong.
    pub fn set_model_config(
        &mut self,
        now: Timestamp,
        values: BTreeMap<String, String>,
    ) -> Result<(), ModelError> {
        let mut interval = self.update_status_interval;
        let mut retry = self.retry_hooks;
        for (key, value) in &values {
            if key == RETRY {
                retry = value.parse().map_err(|_| {
                    ModelError::ModelConfig(format!("{key} is true or false, not {value:?}"))
                })?;
                continue;
            }
            if key != INTERVAL {
                continue;
            }
            interval = seconds(value).ok_or_else(|| {
                ModelError::ModelConfig(format!(
                    "{key} is a time such as 300, 90s, 5m or 1h, not {value:?}"
                ))
            })?;
        }
        self.update_status_interval = interval;
        self.retry_hooks = retry;
        let others =
            values.into_iter().filter(|(key, _)| ![INTERVAL, RETRY].contains(&key.as_str()));
        self.options.extend(others);
        let text = format!("model options: {INTERVAL}={interval}s {RETRY}={retry}");
        self.controller_log(now, text);
        Ok(())
    }

    /// Forgets options of the model that only the operator reads back.
    pub fn forget_model_config(&mut self, keys: &[String]) {
        self.options.retain(|key, _| !keys.contains(key));
    }

    /// The options of the model that only the operator reads back.
    pub fn other_options(&self) -> &BTreeMap<String, String> {
        &self.options
    }

    /// Sets the constraints of applications that are deployed from now on.
    pub fn set_model_constraints(&mut self, words: BTreeMap<String, String>) {
        self.constraints = words;
    }

    /// The constraints of applications that say nothing themselves.
    pub fn model_constraints(&self) -> &BTreeMap<String, String> {
        &self.constraints
    }

    /// Whether a failed hook runs again by itself.
    pub fn retries_hooks(&self) -> bool {
        self.retry_hooks
    }

    /// Lets the application use the Kubernetes API freely, or no longer.
    ///
    /// # Errors
    /// [`ModelError::Trust`] when there is no such application.
    pub fn set_trust(&mut self, app: &AppName, trust: bool) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        self.alive_app(app).ok_or(ModelError::Trust(unknown))?.trust = trust;
        Ok(())
    }

    /// Opens the application to the outside, or no longer: what `status` shows.
    ///
    /// # Errors
    /// [`ModelError::Expose`] when there is no such application.
    pub fn set_exposed(&mut self, app: &AppName, exposed: bool) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        self.alive_app(app).ok_or(ModelError::Expose(unknown))?.exposed = exposed;
        Ok(())
    }

    /// Limits what each workload container may use, from its next start on.
    ///
    /// # Errors
    /// The application is unknown or on its way out.
    pub fn set_constraints(
        &mut self,
        app: &AppName,
        constraints: crate::Constraints,
    ) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        self.alive_app(app).ok_or(ModelError::Constraints(unknown))?.constraints = constraints;
        Ok(())
    }
}

/// Refuses options that are too large together.
pub(crate) fn check_size(config: &BTreeMap<String, Value>) -> Result<(), String> {
    let size: usize = config.iter().map(|(key, one)| key.len() + crate::size::value(one)).sum();
    if size <= DOCUMENT_MAX {
        return Ok(());
    }
    Err(format!("the options have {size} bytes, and at most {DOCUMENT_MAX} are kept"))
}

/// Options as typed by the user, in their types.
pub(crate) fn parse(
    charm: &CharmMeta,
    values: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, String> {
    let one = |(key, text): (&String, &String)| {
        let kind = known(charm, key)?;
        match typed(kind, text) {
            Some(value) => Ok((key.clone(), value)),
            None => Err(format!("option {key:?} is of type {kind}, and {text:?} is not")),
        }
    };
    values.iter().map(one).collect()
}

/// The type of an option, or a message that lists what there is.
fn known(charm: &CharmMeta, key: &str) -> Result<OptionKind, String> {
    charm.config.get(key).map(|option| option.kind).ok_or_else(|| {
        let options = listed(charm.config.keys());
        format!("charm {:?} has no option {key:?}; it has {options}", charm.name)
    })
}

/// Whether a typed value is of the type.
pub(crate) fn fits(kind: OptionKind, value: &Value) -> bool {
    match kind {
        OptionKind::String | OptionKind::Secret => value.is_string(),
        OptionKind::Int => value.is_i64() || value.is_u64(),
        OptionKind::Float => value.is_number(),
        OptionKind::Boolean => value.is_boolean(),
    }
}

/// `300`, `90s`, `5m` or `1h` in seconds; zero is none.
fn seconds(text: &str) -> Option<u64> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|seconds| *seconds > 0)
}

/// Text in an option's type; `None` when it is not of that type.
pub(crate) fn typed(kind: OptionKind, text: &str) -> Option<Value> {
    match kind {
        OptionKind::String => Some(Value::from(text)),
        OptionKind::Int => text.trim().parse::<i64>().ok().map(Value::from),
        OptionKind::Float => {
            let number = text.trim().parse::<f64>().ok()?;
            serde_json::Number::from_f64(number).map(Value::Number)
        }
        OptionKind::Boolean => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        OptionKind::Secret if text.is_empty() => Some(Value::from("")),
        OptionKind::Secret => {
            let id: SecretId = text.parse().ok()?;
            Some(Value::from(id.to_string()))
        }
    }
}
