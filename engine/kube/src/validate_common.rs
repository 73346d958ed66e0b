//! What the rules of several kinds have in common.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cause::Cause;
use crate::format;

/// The entries of a map of texts.
pub(crate) fn texts(map: &Value) -> impl Iterator<Item = (&String, &str)> {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key, value.as_str().unwrap_or_default()))
}

/// What is wrong with labels, or with a selector, which has the same form.
pub(crate) fn labels(field: &str, map: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in texts(map) {
        let wrong = format::qualified_name(key).map(|rule| (key.as_str(), rule));
        let wrong = wrong.into_iter().chain(format::label_value(value).map(|rule| (value, rule)));
        causes.extend(wrong.map(|(found, rule)| Cause::invalid(field, found, &rule)));
    }
    causes
}

/// The entry in a list whose value came before, for lists in which each may be once.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<String>);

impl Seen {
    /// Whether `value` is new.
    pub(crate) fn is_new(&mut self, value: impl ToString) -> bool {
        self.0.insert(value.to_string())
    }
}
