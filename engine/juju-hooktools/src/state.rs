//! `state-get`, `state-set` and `state-delete`: the unit's controller-side state.

use std::collections::BTreeMap;

use juju_model::ToolCall;
use serde_json::Value;

use crate::input::{Input, Printed, refused};
use crate::output::Format;

/// The longest key, in bytes.
const MAX_KEY: usize = 256;
/// The longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// `state-get [KEY|-] [--strict]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let key = input.at_most(1)?.first().copied().filter(|&key| key != "-" && !key.is_empty());
    let mut state = tools.state_get()?;
    match key {
        None if state.is_empty() && input.format == Format::Json => input.print(&Value::Null),
        None => input.print_map(&state),
        Some(key) => match state.remove(key) {
            None if input.parsed.on("strict") => refused(format!("{key:?} not found")),
            found => input.print(&Value::String(found.unwrap_or_default())),
        },
    }
}

/// `state-set [--file F] KEY=VALUE…`: buffered; an empty value stays a value.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let settings = input.settings()?;
    for (key, value) in &settings {
        if key.len() > MAX_KEY {
            return refused(format!("max allowed key length ({MAX_KEY}): quota limit exceeded"));
        }
        if value.len() > MAX_VALUE {
            return refused(format!(
                "max allowed value length ({MAX_VALUE}): quota limit exceeded"
            ));
        }
    }
    if !settings.is_empty() {
        tools.state_set(settings.into_iter().map(|(k, v)| (k, Some(v))).collect())?;
    }
    Ok(Vec::new())
}

/// `state-delete [KEY]`: buffered; a missing key is fine, and so is none.
pub(crate) fn delete(tools: &mut ToolCall, input: &Input) -> Printed {
    if let Some(&key) = input.at_most(1)?.first() {
        tools.state_set(BTreeMap::from([(key.to_owned(), None)]))?;
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, check, check_at};

    #[track_caller]
    fn check_left(args: &[&str], stdin: Option<&str>, want: &str) {
        crate::stage::check_left(args, stdin, &["state-get", "--format=json"], want);
    }

    #[test]
    fn state_is_read_whole_or_by_key() {
        check(&["state-get", "k"], 0, "v\n", "");
        check(&["state-get"], 0, "empty: \"\"\nk: v\n", "");
        check(&["state-get", "-", "--format=json"], 0, "{\"empty\":\"\",\"k\":\"v\"}\n", "");
        check(&["state-get", "empty", "--format=json"], 0, "\"\"\n", "");
        check(&["state-get", "empty", "--strict"], 0, "", "");
    }

    #[test]
    fn missing_state_is_empty() {
        check(&["state-get", "nope"], 0, "", "");
        check(&["state-get", "nope", "--format=json"], 0, "\"\"\n", "");
        check(&["state-get", "nope", "--strict"], 1, "", "\"nope\" not found");
        check_at(At::Bare, &["state-get"], 0, "{}\n", "");
        check_at(At::Bare, &["state-get", "--format=json"], 0, "null\n", "");
    }

    #[test]
    fn state_is_changed() {
        let set = "{\"a\":\"b\",\"c\":\"\",\"empty\":\"\",\"k\":\"v\"}\n";
        check_left(&["state-set", "a=b", "c="], None, set);
        let same = "{\"empty\":\"\",\"k\":\"v\"}\n";
        check_left(&["state-set"], None, same);
        let lines = "{\"#x#\":\"a\\nb\\n\",\"empty\":\"\",\"k\":\"v\"}\n";
        check_left(&["state-set", "--file=-"], Some("'#x#': |\n  a\n  b\n"), lines);
        let over = "{\"a\":\"z\",\"empty\":\"\",\"k\":\"v\"}\n";
        check_left(&["state-set", "--file", "-", "a=z"], Some("{\"a\": \"b\"}"), over);
        check_left(&["state-delete", "k"], None, "{\"empty\":\"\"}\n");
        check_left(&["state-delete", "nope"], None, same);
        check_left(&["state-delete"], None, same);
        check(&["state-set", "--file", "-"], 1, "", "hook tool requires stdin, none supplied");
    }

    #[test]
    fn state_is_bounded() {
        let key = format!("{}=v", "k".repeat(257));
        check(&["state-set", &key], 1, "", "max allowed key length (256): quota limit exceeded");
        let value = format!("k={}", "v".repeat(65537));
        check(
            &["state-set", &value],
            1,
            "",
            "max allowed value length (65536): quota limit exceeded",
        );
        let fits = format!("k={}", "v".repeat(65536));
        check(&["state-set", &fits], 0, "", "");
    }
}
