//! `state-get`, `state-set` and `state-delete`: the unit's controller-side state.

use std::collections::BTreeMap;

use model::tools::Context;
use serde_json::Value;

use crate::input::{Input, Printed, refused};

/// The longest key, in bytes.
const MAX_KEY: usize = 256;
/// The longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// `state-get [KEY|-] [--strict]`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    let key = input.at_most(1)?.first().copied().filter(|&key| key != "-" && !key.is_empty());
    let mut state = context.state()?;
    match key {
        None if state.is_empty() => input.print(&Value::Null),
        None => input.print_map(&state),
        Some(key) => match state.remove(key) {
            None if input.parsed.on("strict") => refused(format!("{key:?} not found")),
            found => input.print(&Value::String(found.unwrap_or_default())),
        },
    }
}

/// `state-set [--file F] KEY=VALUE…`: buffered; an empty value stays a value.
pub(crate) fn set(context: &mut dyn Context, input: &Input) -> Printed {
    let settings = input.settings()?;
    for (key, value) in &settings {
        if key.len() > MAX_KEY {
            return refused(format!("max allowed key length ({MAX_KEY}) exceeded: {}", key.len()));
        }
        if value.len() > MAX_VALUE {
            let length = value.len();
            return refused(format!("max allowed value length ({MAX_VALUE}) exceeded: {length}"));
        }
    }
    if !settings.is_empty() {
        context.state_change(settings.into_iter().map(|(k, v)| (k, Some(v))).collect())?;
    }
    Ok(Vec::new())
}

/// `state-delete KEY`: buffered; a missing key is fine.
pub(crate) fn delete(context: &mut dyn Context, input: &Input) -> Printed {
    let key = input.one("no key specified")?;
    context.state_change(BTreeMap::from([(key.to_owned(), None)]))?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, check_effect, check_stateless, check_stdin};

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
        check_stateless(&["state-get"], 0, "", "");
        check_stateless(&["state-get", "--format=json"], 0, "null\n", "");
    }

    #[test]
    fn state_is_changed() {
        check_effect(&["state-set", "a=b", "c="], &["state a=b c="]);
        check_effect(&["state-set"], &[]);
        check_stdin(&["state-set", "--file=-"], "'#x#': |\n  a\n  b\n", &["state #x#=a\nb\n"]);
        check_stdin(&["state-set", "--file", "-", "a=z"], "{\"a\": \"b\"}", &["state a=z"]);
        check_effect(&["state-delete", "a"], &["state -a"]);
        check(&["state-delete"], 2, "", "no key specified");
        check(&["state-set", "--file", "-"], 1, "", "hook tool requires stdin, none supplied");
    }

    #[test]
    fn state_is_bounded() {
        let key = format!("{}=v", "k".repeat(257));
        check(&["state-set", &key], 1, "", "max allowed key length (256) exceeded: 257");
        let value = format!("k={}", "v".repeat(65537));
        check(&["state-set", &value], 1, "", "max allowed value length (65536) exceeded: 65537");
        let fits = format!("k={}", "v".repeat(65536));
        check(&["state-set", &fits], 0, "", "");
    }
}
