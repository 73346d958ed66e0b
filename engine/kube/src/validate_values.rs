//! The rules for secrets and config maps.

use serde_json::Value;

use crate::cause::Cause;
use crate::validate_common::texts;

/// The most bytes of the values of one object.
const BYTES_MAX: usize = 1 << 20;

/// What is wrong with the values of a secret or a config map.
pub(crate) fn causes(value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut bytes = 0;
    for field in ["data", "binaryData"] {
        for (key, text) in texts(&value[field]) {
            if let Some(rule) = wrong_key(key) {
                causes.push(Cause::invalid(format!("{field}[{key}]"), key.as_str(), rule));
            }
            bytes += text.len();
        }
    }
    if bytes > BYTES_MAX {
        causes.push(Cause::too_long("data", BYTES_MAX));
    }
    let Some(old) = old else { return causes };
    if old["type"] != value["type"] {
        causes.push(Cause::invalid("type", value["type"].clone(), "field is immutable"));
    }
    if old["immutable"] == true {
        for field in ["data", "binaryData", "immutable"] {
            if old[field] != value[field] {
                let rule = "field is immutable when `immutable` is set";
                causes.push(Cause::forbidden(field, rule));
            }
        }
    }
    causes
}

/// What is wrong with the name of a value.
fn wrong_key(key: &str) -> Option<&'static str> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if key.len() > 253 {
        Some("must be no more than 253 bytes")
    } else if key.is_empty() || !key.bytes().all(sound) {
        Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
             'key.name',  or 'KEY_NAME',  or 'key-name')",
        )
    } else if key == "." || key.starts_with("..") {
        Some("must not be '.' or start with '..'")
    } else {
        None
    }
}
