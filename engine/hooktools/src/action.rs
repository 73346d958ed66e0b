//! `action-get`, `action-set`, `action-fail` and `action-log`.

use model::tools::Context;
use serde_json::Value;

use crate::input::{Input, Printed, usage};

/// Keys that the engine fills in itself.
const RESERVED: [&str; 4] = ["stdout", "stderr", "stdout-encoding", "stderr-encoding"];

/// What a failed action says that gave no reason.
const NO_REASON: &str = "action failed without reason given, check action for errors";

/// `action-get [a.b.c]`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    let path = input.at_most(1)?.first().copied().filter(|path| !path.is_empty());
    let params = context.action_params()?;
    let Some(path) = path else { return input.print(&params) };
    let found = path.split('.').try_fold(&params, |value, key| value.get(key));
    input.print(found.unwrap_or(&Value::Null))
}

/// `action-set KEY=VALUE…`; dots in a key nest.
pub(crate) fn set(context: &mut dyn Context, input: &Input) -> Printed {
    let mut results = Vec::with_capacity(input.parsed.rest.len());
    for arg in &input.parsed.rest {
        let Some((key, value)) = arg.split_once('=') else {
            return usage(format!("argument {arg:?} must be of the form key...=value"));
        };
        if RESERVED.contains(&key) {
            return usage(format!("cannot set reserved action key {key:?}"));
        }
        if !valid_key(key) {
            return usage(format!(
                "key {key:?} must start and end with lowercase alphanumeric, \
                 and contain only lowercase alphanumeric, hyphens and periods"
            ));
        }
        results.push((key.to_owned(), value.to_owned()));
    }
    context.action_set(results)?;
    Ok(Vec::new())
}

/// The grammar `^[a-z0-9](([a-z0-9-.]+)?[a-z0-9])?$`.
fn valid_key(key: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = key.bytes().next().is_some_and(alphanumeric)
        && key.bytes().next_back().is_some_and(alphanumeric);
    ends && key.bytes().all(|b| alphanumeric(b) || b == b'-' || b == b'.')
}

/// `action-fail [MESSAGE]`; the process goes on.
pub(crate) fn fail(context: &mut dyn Context, input: &Input) -> Printed {
    let message = input.at_most(1)?.first().copied().unwrap_or(NO_REASON);
    context.action_fail(message)?;
    Ok(Vec::new())
}

/// `action-log MESSAGE…`: at once.
pub(crate) fn log(context: &mut dyn Context, input: &Input) -> Printed {
    if input.parsed.rest.is_empty() {
        return usage("no message specified");
    }
    context.action_log(&input.parsed.rest.join(" "))?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, check_effect, check_outside_action};

    #[test]
    fn parameters_are_read_by_path() {
        check(&["action-get", "--format=json"], 0, "{\"a\":{\"b\":[1]},\"name\":\"x\"}\n", "");
        check(&["action-get", "name"], 0, "x\n", "");
        check(&["action-get", "a.b", "--format=json"], 0, "[1]\n", "");
        check(&["action-get", "a.z"], 0, "", "");
        check(&["action-get", "name.z", "--format=json"], 0, "null\n", "");
        check(&["action-get", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check_outside_action(&["action-get"], 1, "", "not running an action");
    }

    #[test]
    fn results_are_set() {
        check_effect(&["action-set", "a=b", "a.b-c=d=e", "x="], &["action a=b a.b-c=d=e x="]);
        for key in ["A", "-a", "a-", "a_b", "", "a.", "é"] {
            let want = format!(
                "key {key:?} must start and end with lowercase alphanumeric, \
                 and contain only lowercase alphanumeric, hyphens and periods"
            );
            check(&["action-set", "--", &format!("{key}=1")], 2, "", &want);
        }
        check(&["action-set", "stdout=1"], 2, "", "cannot set reserved action key \"stdout\"");
        check(&["action-set", "a"], 2, "", "argument \"a\" must be of the form key...=value");
        check_outside_action(&["action-set", "a=b"], 1, "", "not running an action");
    }

    #[test]
    fn failures_and_lines_are_passed_on() {
        check_effect(&["action-fail", "--", "-x"], &["fail -x"]);
        let default = "fail action failed without reason given, check action for errors";
        check_effect(&["action-fail"], &[default]);
        check(&["action-fail", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check_effect(&["action-log", "--", "-a", "b"], &["action-log -a b"]);
        check(&["action-log"], 2, "", "no message specified");
    }
}
