//! Label selectors: `a=b,c!=d,e in (f,g),h,!i`.

use std::collections::BTreeMap;

use crate::{ApiError, format};

/// The labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// Requirements on labels that all must hold. The empty selector matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// Reads the text of a `labelSelector` parameter.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] when the text is outside the grammar.
    pub fn parse(text: &str) -> Result<Selector, ApiError> {
        // A comma with nothing beside it is a mistake; nothing at all is not.
        let parts = if text.trim().is_empty() { Vec::new() } else { split(text) };
        parts
            .into_iter()
            .map(|part| requirement(part.trim()))
            .collect::<Option<_>>()
            .map(Selector)
            .ok_or_else(|| ApiError::BadRequest(format!("unable to parse requirement: {text:?}")))
    }

    /// A selector that wants each of `pairs` as it is.
    pub fn equals<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Selector {
        let wanted = |(key, value): (K, V)| Requirement::In(key.into(), vec![value.into()]);
        Selector(pairs.into_iter().map(wanted).collect())
    }

    /// Whether `labels` fulfil every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                labels.get(key).is_some_and(|value| values.contains(value))
            }
            Requirement::NotIn(key, values) => {
                !labels.get(key).is_some_and(|value| values.contains(value))
            }
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

/// Splits at the commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(found) = set_requirement(part) {
        return Some(found);
    }
    let (key, value, negated) = if let Some((key, value)) = part.split_once("!=") {
        (key, value, true)
    } else if let Some((key, value)) = part.split_once("==") {
        (key, value, false)
    } else if let Some((key, value)) = part.split_once('=') {
        (key, value, false)
    } else if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::Absent(label_key(key)?));
    } else {
        return Some(Requirement::Exists(label_key(part)?));
    };
    let (key, values) = (label_key(key)?, vec![label_value(value)?]);
    Some(if negated { Requirement::NotIn(key, values) } else { Requirement::In(key, values) })
}

fn set_requirement(part: &str) -> Option<Requirement> {
    let (head, rest) = part.split_once('(')?;
    let values: Vec<String> =
        rest.strip_suffix(')')?.split(',').map(label_value).collect::<Option<_>>()?;
    let mut words = head.split_whitespace();
    let (key, operator) = (label_key(words.next()?)?, words.next()?);
    match (operator, words.next()) {
        ("in", None) => Some(Requirement::In(key, values)),
        ("notin", None) => Some(Requirement::NotIn(key, values)),
        _ => None,
    }
}

fn label_key(text: &str) -> Option<String> {
    let text = text.trim();
    format::qualified_name(text).is_none().then(|| text.to_owned())
}

fn label_value(text: &str) -> Option<String> {
    let text = text.trim();
    format::label_value(text).is_none().then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(Selector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
    }

    #[test]
    fn requirements_hold_together() {
        let member = [("application", "patroni"), ("role", "primary")];
        check("", &member, true);
        check("application=patroni,role==primary", &member, true);
        check("application=patroni,role=replica", &member, false);
        check("role!=replica", &member, true);
        check("zone!=a", &member, true);
        check("role in (primary, replica),application", &member, true);
        check("role notin (primary)", &member, false);
        check("zone notin (a,b)", &member, true);
        check("zone", &member, false);
        check("!zone", &member, true);
        check("zone in (a)", &member, false);
        check("app.kubernetes.io/name=", &[("app.kubernetes.io/name", "")], true);
    }

    #[test]
    fn text_outside_the_grammar_is_refused() {
        for text in ["a in (b", "a within (b)", "=b", "a=b c", "a b", "a=b,", ",", "/a", "a=b-"] {
            assert_eq!(Selector::parse(text).unwrap_err().code(), 400, "{text}");
        }
    }
}
