//! `leader-get` and `leader-set`: settings of the application that only its leader makes.

use juju_model::ToolCall;
use juju_model::tools::ToolError;
use serde_json::Value;

use crate::input::{Input, Printed, usage};

/// `leader-get [KEY|-]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let key = input.parsed.rest.first().copied().unwrap_or_default();
    if key != "-" && key.contains('=') {
        return usage(format!("invalid key {key:?}"));
    }
    input.at_most(1)?;
    let settings = tools.leader_get()?;
    match key {
        "" | "-" => input.print_map(&settings),
        key => input.print(&settings.get(key).map_or(Value::Null, |value| value.as_str().into())),
    }
}

/// `leader-set KEY=VALUE…`: at once; an empty value deletes.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let changes = input.settings()?;
    tools.leader_set(changes).map_err(|error| {
        ToolError::Refused(format!("cannot write leadership settings: {error}"))
    })?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, check, check_at, check_left};

    #[test]
    fn settings_are_read_by_all_and_made_by_the_leader() {
        check(&["leader-get"], 0, "a: \"1\"\n", "");
        check(&["leader-get", "a"], 0, "1\n", "");
        check(&["leader-get", "b", "--format=json"], 0, "null\n", "");
        check(&["leader-get", "a=b"], 2, "", "invalid key \"a=b\"");
        check_left(&["leader-set", "a=2", "b="], None, &["leader-get"], "a: \"2\"\n");
        check_left(&["leader-set", "a=", "b=1"], None, &["leader-get"], "b: \"1\"\n");
        let not = "cannot write leadership settings: cannot write settings: not the leader";
        check_at(At::Follower, &["leader-set", "a=2"], 1, "", not);
    }
}
