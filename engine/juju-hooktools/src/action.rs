//! `action-get`, `action-set`, `action-fail` and `action-log`.

use juju_model::ToolCall;
use serde_json::Value;

use crate::input::{Input, Printed, usage};

/// Keys that the engine fills in itself.
const RESERVED: [&str; 4] = ["stdout", "stderr", "stdout-encoding", "stderr-encoding"];

/// What a failed action says that gave no reason.
const NO_REASON: &str = "action failed without reason given, check action for errors";

/// `action-get [a.b.c]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let path = input.at_most(1)?.first().copied();
    let params = tools.action_get()?;
    let Some(path) = path else { return input.print(&params) };
    let found = path.split('.').try_fold(&params, |value, key| value.get(key));
    input.print(found.unwrap_or(&Value::Null))
}

/// `action-set KEY=VALUE…`; dots in a key nest.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let mut results = Vec::with_capacity(input.parsed.rest.len());
    for arg in &input.parsed.rest {
        let Some((key, value)) = arg.split_once('=') else {
            return usage(format!("argument {arg:?} must be of the form key...=value"));
        };
        let parts = if key.contains('.') { key.split('.').collect() } else { vec![key] };
        if RESERVED.contains(&key) {
            return usage(format!("cannot set reserved action key {key:?}"));
        }
        if let Some(odd) = parts.into_iter().find(|part| !valid_key(part)) {
            return usage(format!(
                "key {odd:?} must start and end with lowercase alphanumeric, \
                 and contain only lowercase alphanumeric and hyphens"
            ));
        }
        results.push((key.to_owned(), value.to_owned()));
    }
    tools.action_set(results)?;
    Ok(Vec::new())
}

/// The grammar `^[a-z0-9](([a-z0-9-]+)?[a-z0-9])?$`, of what stands between the dots.
fn valid_key(key: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = key.bytes().next().is_some_and(alphanumeric)
        && key.bytes().next_back().is_some_and(alphanumeric);
    ends && key.bytes().all(|b| alphanumeric(b) || b == b'-')
}

/// `action-fail [MESSAGE]`; the process goes on.
pub(crate) fn fail(tools: &mut ToolCall, input: &Input) -> Printed {
    let message = input.at_most(1)?.first().copied().unwrap_or(NO_REASON);
    tools.action_fail(message)?;
    Ok(Vec::new())
}

/// `action-log MESSAGE…`: at once.
pub(crate) fn log(tools: &mut ToolCall, input: &Input) -> Printed {
    if input.parsed.rest.is_empty() {
        return usage("no message specified");
    }
    tools.action_log(&input.parsed.rest.join(" "))?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, Stage, check, check_at};

    #[track_caller]
    fn check_in_action(args: &[&str], code: u8, stdout: &str, error: &str) {
        check_at(At::Action, args, code, stdout, error);
    }

    /// The results, the message and the log that calls leave behind.
    #[track_caller]
    fn check_left(calls: &[&[&str]], want: &str) {
        let mut stage = Stage::at(At::Action);
        for call in calls {
            assert_eq!(stage.calls(call, None), "", "{call:?}");
        }
        let mut stage = stage.next();
        let action = stage.model().action(1).unwrap();
        let log: Vec<&str> = action.log.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(format!("{} {} {log:?}", action.results, action.message), want);
    }

    #[test]
    fn parameters_are_read_by_path() {
        check_in_action(
            &["action-get", "--format=json"],
            0,
            "{\"a\":{\"b\":[1]},\"name\":\"x\"}\n",
            "",
        );
        check_in_action(&["action-get", "name"], 0, "x\n", "");
        check_in_action(&["action-get", "a.b", "--format=json"], 0, "[1]\n", "");
        check_in_action(&["action-get", "a.z"], 0, "", "");
        check_in_action(&["action-get", "name.z", "--format=json"], 0, "null\n", "");
        check_in_action(&["action-get", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check(&["action-get"], 1, "", "not running an action");
    }

    #[test]
    fn results_are_set() {
        let want = "{\"a\":{\"b-c\":\"d=e\"},\"return-code\":0,\"x\":\"\"}  []";
        check_left(&[&["action-set", "a=b", "a.b-c=d=e", "x="]], want);
        for (key, odd) in [
            ("A", "A"),
            ("-a", "-a"),
            ("a-", "a-"),
            ("a_b", "a_b"),
            ("", ""),
            ("a.", ""),
            ("a..b", ""),
            ("a.B", "B"),
            ("é", "é"),
        ] {
            let want = format!(
                "key {odd:?} must start and end with lowercase alphanumeric, \
                 and contain only lowercase alphanumeric and hyphens"
            );
            check_in_action(&["action-set", "--", &format!("{key}=1")], 2, "", &want);
        }
        check_in_action(
            &["action-set", "stdout=1"],
            2,
            "",
            "cannot set reserved action key \"stdout\"",
        );
        check_in_action(
            &["action-set", "a"],
            2,
            "",
            "argument \"a\" must be of the form key...=value",
        );
        check(&["action-set", "a=b"], 1, "", "not running an action");
    }

    #[test]
    fn failures_and_lines_are_passed_on() {
        let code = "{\"return-code\":0}";
        check_left(&[&["action-fail", "--", "-x"]], &format!("{code} -x []"));
        let default = "action failed without reason given, check action for errors";
        check_left(&[&["action-fail"]], &format!("{code} {default} []"));
        check_in_action(&["action-fail", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check_left(&[&["action-log", "--", "-a", "b"]], &format!("{code}  [\"-a b\"]"));
        check_in_action(&["action-log"], 2, "", "no message specified");
    }
}
