//! What is wrong with single fields of an object, as clients read it in `details.causes`.

use serde_json::{Value, json};

/// One field that breaks a rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The machine-readable reason, such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// The path of the field, such as `spec.ports[0].port`.
    pub field: String,
    /// The value and the rule.
    pub message: String,
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Cause {
        Cause { reason, field: field.into(), message }
    }

    /// A field that must be there.
    pub(crate) fn required(field: impl Into<String>, rule: &str) -> Cause {
        Cause::new("FieldValueRequired", field, with_rule("Required value".to_owned(), rule))
    }

    /// A value that breaks a rule.
    pub(crate) fn invalid(field: impl Into<String>, value: impl Into<Value>, rule: &str) -> Cause {
        let value = value.into();
        Cause::new("FieldValueInvalid", field, format!("Invalid value: {value}: {rule}"))
    }

    /// A value that may be there once.
    pub(crate) fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Cause {
        let value = value.into();
        Cause::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// A value that is none of `known`.
    pub(crate) fn unsupported(field: impl Into<String>, value: &str, known: &[&str]) -> Cause {
        let known = known.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value:?}: supported values: {known}");
        Cause::new("FieldValueNotSupported", field, message)
    }

    /// A value that may not be there as things are.
    pub(crate) fn forbidden(field: impl Into<String>, rule: &str) -> Cause {
        Cause::new("FieldValueForbidden", field, with_rule("Forbidden".to_owned(), rule))
    }

    /// A value of more than `most` bytes.
    pub(crate) fn too_long(field: impl Into<String>, most: usize) -> Cause {
        let message = format!("Too long: may not be more than {most} bytes");
        Cause::new("FieldValueTooLong", field, message)
    }

    /// A list of `found` items, more than `most`.
    pub(crate) fn too_many(field: impl Into<String>, found: usize, most: usize) -> Cause {
        let message = format!("Too many: {found}: must have at most {most} items");
        Cause::new("FieldValueTooMany", field, message)
    }

    /// A field that another manager owns.
    pub(crate) fn manager(manager: &str, field: &str) -> Cause {
        Cause::new("FieldManagerConflict", field, format!("conflict with {manager}"))
    }

    /// The cause as a client reads it.
    pub(crate) fn json(&self) -> Value {
        json!({ "reason": self.reason, "message": self.message, "field": self.field })
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn with_rule(what: String, rule: &str) -> String {
    if rule.is_empty() { what } else { format!("{what}: {rule}") }
}

/// All causes in one sentence, each once.
pub(crate) fn sentence(causes: &[Cause]) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in causes.iter().map(Cause::to_string) {
        if !said.contains(&cause) {
            said.push(cause);
        }
    }
    match said.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}
