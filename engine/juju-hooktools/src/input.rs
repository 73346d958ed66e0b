//! What a call brings: parsed flags, positionals, standard input; and the common readings.

use std::collections::BTreeMap;

use juju_model::ToolCall;
use juju_model::tools::{Answer, Bag, ToolError};
use juju_names::{RelationId, SecretId, UnitName};
use serde::Serialize;
use serde_json::Value;

use crate::flags::Parsed;
use crate::node::Node;
use crate::output::Format;

/// What a tool's function gets.
pub(crate) struct Input<'a> {
    /// The flags and the positionals.
    pub(crate) parsed: Parsed<'a>,
    /// Standard input, or the content of `--file`.
    pub(crate) stdin: Option<&'a [u8]>,
    /// How to print.
    pub(crate) format: Format,
}

/// Standard output of a call.
pub(crate) type Printed = Answer<Vec<u8>>;

pub(crate) fn usage<T>(message: impl Into<String>) -> Answer<T> {
    Err(ToolError::Usage(message.into()))
}

pub(crate) fn refused<T>(message: impl Into<String>) -> Answer<T> {
    Err(ToolError::Refused(message.into()))
}

impl<'a> Input<'a> {
    /// The positionals; at most `most` of them.
    ///
    /// # Errors
    /// `unrecognized args`.
    pub(crate) fn at_most(&self, most: usize) -> Answer<&[&'a str]> {
        match self.parsed.rest.get(most..) {
            Some(extra) if !extra.is_empty() => {
                let quoted: Vec<String> = extra.iter().map(|arg| format!("{arg:?}")).collect();
                usage(format!("unrecognized args: [{}]", quoted.join(" ")))
            }
            _ => Ok(&self.parsed.rest),
        }
    }

    /// The one positional, which must be there.
    pub(crate) fn one(&self, missing: &str) -> Answer<&'a str> {
        match self.at_most(1)?.first() {
            Some(arg) => Ok(arg),
            None => usage(missing),
        }
    }

    /// Prints a value in the format of the call.
    pub(crate) fn print(&self, value: &Value) -> Printed {
        self.format.print(value)
    }

    /// Prints a record in the format of the call.
    pub(crate) fn print_record(&self, record: &Node) -> Printed {
        self.format.print_record(record)
    }

    /// Prints a map in the format of the call.
    pub(crate) fn print_map<V: Serialize + Clone + Into<Value>>(
        &self,
        map: &BTreeMap<String, V>,
    ) -> Printed {
        self.format.print_map(map)
    }

    /// `-r`, if given, as an id of a relation that is there.
    ///
    /// # Errors
    /// `invalid relation id` and `relation not found`, exit code 2.
    pub(crate) fn given_relation(&self, tools: &mut ToolCall) -> Answer<Option<RelationId>> {
        let Some(given) = self.parsed.given("relation") else { return Ok(None) };
        let bad = |why: &str| {
            let value = given.value;
            usage(format!("invalid value {value:?} for option {}: {why}", given.typed()))
        };
        let number = given.value.rsplit(':').next().unwrap_or_default();
        let Ok(id) = given.value.parse::<RelationId>() else {
            let negative = number.parse::<i64>().is_ok();
            return bad(if negative { "relation not found" } else { "invalid relation id" });
        };
        match tools.relation_endpoint(id) {
            Ok(_) => Ok(Some(id)),
            // The context does not know how the id was spelled.
            Err(ToolError::Usage(_)) => bad("relation not found"),
            Err(refused) => Err(refused),
        }
    }

    /// `-r`, or the hook's relation.
    ///
    /// # Errors
    /// Those of `given_relation`; `no relation id specified`.
    pub(crate) fn relation(&self, tools: &mut ToolCall) -> Answer<RelationId> {
        if let Some(id) = self.given_relation(tools)? {
            return Ok(id);
        }
        match tools.hook_relation().relation {
            Some((id, _)) => Ok(id),
            None => usage("no relation id specified"),
        }
    }

    /// The map in `--file`, empty without the flag.
    ///
    /// # Errors
    /// No standard input; not a map of texts. The content is never quoted.
    pub(crate) fn file(&self) -> Answer<Bag> {
        if self.parsed.text("file").is_none() {
            return Ok(Bag::new());
        }
        match self.stdin {
            Some(content) => parse_file(content),
            None => refused("hook tool requires stdin, none supplied"),
        }
    }

    /// `--file` with `key=value` positionals laid over it; a key may come once.
    pub(crate) fn settings(&self) -> Answer<Bag> {
        let mut settings = self.file()?;
        let mut seen = Vec::with_capacity(self.parsed.rest.len());
        for arg in &self.parsed.rest {
            let Some((key, value)) = arg.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return usage(format!("expected \"key=value\", got {arg:?}"));
            };
            if seen.contains(&key) {
                return usage(format!("key {key:?} specified more than once"));
            }
            seen.push(key);
            settings.insert(key.to_owned(), value.trim().to_owned());
        }
        Ok(settings)
    }
}

/// Reads a YAML (or JSON) map of texts; numbers and booleans are taken as written.
pub(crate) fn parse_file(content: &[u8]) -> Answer<Bag> {
    parse_into(content, "map[string]string")
}

/// The same, for words that name what is read into.
pub(crate) fn parse_into(content: &[u8], what: &str) -> Answer<Bag> {
    let bad = || ToolError::Refused(misfit(content, what));
    let text = std::str::from_utf8(content).map_err(|_| bad())?;
    if text.trim().is_empty() {
        return Ok(Bag::new());
    }
    // JSON is YAML but for surrogate pairs, and quicker to read as what it is.
    let map: BTreeMap<String, Option<String>> = match serde_json::from_str(text) {
        Ok(map) => map,
        Err(_) => {
            let options = serde_saphyr::options! {
                duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
                with_snippet: false,
            };
            serde_saphyr::from_str_with_options(text, options).map_err(|_| bad())?
        }
    };
    Ok(map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// Why a file is no map of texts: in Juju's words, but never with what the file holds.
fn misfit(content: &[u8], what: &str) -> String {
    let value: Option<Value> = serde_saphyr::from_slice(content).ok();
    let kind = |value: &Value| match value {
        Value::Array(_) => Some("!!seq"),
        Value::Object(_) => Some("!!map"),
        _ => None,
    };
    let said = |kind: &str, what: &str| {
        format!("yaml: unmarshal errors:\n  line 1: cannot unmarshal {kind} into {what}")
    };
    match &value {
        Some(Value::Object(map)) => map.values().find_map(kind).map(|kind| said(kind, "string")),
        Some(value) => kind(value).map(|kind| said(kind, what)),
        None => None,
    }
    .unwrap_or_else(|| "cannot read the file as a YAML map of text to text".to_owned())
}

/// A secret's id in any spelling.
pub(crate) fn secret_id(text: &str) -> Answer<SecretId> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => usage(format!("secret URI {text:?} not valid")),
    }
}

/// A unit's name.
pub(crate) fn unit_name(text: &str) -> Answer<UnitName> {
    match text.parse() {
        Ok(unit) => Ok(unit),
        Err(_) => usage(format!("invalid unit name {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, want: Option<&[(&str, &str)]>) {
        let want = want
            .map(|pairs| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect::<Bag>());
        assert_eq!(parse_file(content.as_bytes()).ok(), want, "{content:?}");
    }

    #[test]
    fn files_are_maps_of_texts() {
        check("", Some(&[]));
        check("{}\n", Some(&[]));
        check("a: b\nc: 'd e'\n", Some(&[("a", "b"), ("c", "d e")]));
        check("{\"a\": \"\\ud83d\\ude00\"}", Some(&[("a", "😀")]));
        check(
            "a: 1\nb: true\nc: yes\nd: 0755\n",
            Some(&[("a", "1"), ("b", "true"), ("c", "yes"), ("d", "0755")]),
        );
        check("{\"a\": 1}", Some(&[("a", "1")]));
        check(
            "a:\nb: null\nc: 'null'\nd: ''\n",
            Some(&[("a", ""), ("b", ""), ("c", "null"), ("d", "")]),
        );
        check("a: |\n  x\n  y\n", Some(&[("a", "x\ny\n")]));
        check("a: 1\na: 2\n", Some(&[("a", "2")]));
        check("- a\n", None);
        check("a: [1]\n", None);
        check("a: {b: c}\n", None);
        check("just words", None);
    }

    #[test]
    fn a_large_value_is_read() {
        let value = "x".repeat(1_000_000);
        check(&format!("a: {value}\n"), Some(&[("a", &value)]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(content: Vec<u8>) {
            let _ = parse_file(&content);
        }
    }
}
