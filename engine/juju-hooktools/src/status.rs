//! Statuses, leadership, the workload's version and the goal state.

use std::collections::BTreeMap;

use juju_model::ToolCall;
use juju_model::tools::Status;
use serde_json::{Map, Value, json};

use crate::input::{Input, Printed, usage};
use crate::node::Node;
use crate::output::Format;

/// `is-leader`.
pub(crate) fn is_leader(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let leader = tools.is_leader()?;
    input.print(&Value::Bool(leader))
}

/// `status-get [--include-data] [--application]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let data = input.parsed.on("include-data");
    let bare = !data && input.format == Format::Smart;
    if !input.parsed.on("application") {
        let status = tools.status_get()?;
        if bare {
            return input.print(&Value::String(status.status));
        }
        return input.print(&Value::Object(details(status, data)));
    }
    let (status, units) = tools.status_get_application()?;
    if bare {
        return input.print(&Value::String(status.status));
    }
    let mut application = details(status, data);
    let units = units.into_iter().map(|(unit, s)| (unit, Value::Object(details(s, data))));
    application.insert("units".to_owned(), Value::Object(units.collect()));
    input.print(&json!({ "application-status": application }))
}

fn details(status: Status, data: bool) -> Map<String, Value> {
    let mut details = Map::new();
    details.insert("status".to_owned(), Value::String(status.status));
    if data {
        details.insert("message".to_owned(), Value::String(status.message));
        details.insert("status-data".to_owned(), Value::Object(Map::new()));
    }
    details
}

/// `status-set [--application] STATUS [MESSAGE]`: at once.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let Some(&status) = input.parsed.rest.first() else {
        return usage("invalid args, require <status> [message]");
    };
    const STATUSES: [&str; 4] = ["maintenance", "blocked", "waiting", "active"];
    if !STATUSES.contains(&status) {
        let known = STATUSES.join(" ");
        return usage(format!("invalid status {status:?}, expected one of [{known}]"));
    }
    let message = input.at_most(2)?.get(1).copied().unwrap_or_default();
    tools.status_set(input.parsed.on("application"), status, message)?;
    Ok(Vec::new())
}

/// `application-version-set VERSION`: at once.
pub(crate) fn application_version_set(tools: &mut ToolCall, input: &Input) -> Printed {
    let version = input.one("no version specified")?;
    tools.application_version_set(version)?;
    Ok(Vec::new())
}

/// `goal-state`.
pub(crate) fn goal_state(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let goal = tools.goal_state()?;
    let relations = goal.relations.into_iter();
    let relations = relations.map(|(endpoint, all)| (endpoint, members(all))).collect();
    input.print_record(&Node::record([
        ("units", members(goal.units)),
        ("relations", Node::Map(relations)),
    ]))
}

fn members(all: BTreeMap<String, (String, jiff::Timestamp)>) -> Node {
    let entry = |(name, (status, since)): (String, (String, jiff::Timestamp))| {
        let since = since.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        (name, Node::record([("status", Node::text(status)), ("since", Node::text(since))]))
    };
    Node::Map(all.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, Stage, check, check_at, check_left};

    #[test]
    fn leadership_is_a_boolean() {
        check(&["is-leader", "--format=json"], 0, "true\n", "");
        check(&["is-leader"], 0, "True\n", "");
        check_at(At::Follower, &["is-leader", "--format", "yaml"], 0, "false\n", "");
    }

    #[test]
    fn statuses_are_read() {
        check(&["status-get"], 0, "active\n", "");
        check(&["status-get", "--format=json"], 0, "{\"status\":\"active\"}\n", "");
        let data = "{\"message\":\"\",\"status\":\"active\",\"status-data\":{}}\n";
        check(&["status-get", "--include-data", "--format=json"], 0, data, "");
        let ops = ["status-get", "--include-data", "--application=False", "--format=json"];
        check(&ops, 0, data, "");
        let app = concat!(
            "{\"application-status\":{\"message\":\"m\",\"status\":\"blocked\",\"status-data\":{},",
            "\"units\":{\"pg/0\":{\"message\":\"\",\"status\":\"active\",\"status-data\":{}}}}}\n",
        );
        let ops = ["status-get", "--include-data", "--application=True", "--format=json"];
        check(&ops, 0, app, "");
        check(&["status-get", "--application"], 0, "blocked\n", "");
        let not = "finding application status: this unit is not the leader";
        check_at(At::Follower, &["status-get", "--application"], 1, "", not);
    }

    #[test]
    fn statuses_are_set() {
        let get = ["status-get", "--include-data"];
        let said = |word: &str, words: &str| {
            format!("message: {words}\nstatus: {word}\nstatus-data: {{}}\n")
        };
        check_left(&["status-set", "maintenance"], None, &get, &said("maintenance", "\"\""));
        let ops = ["status-set", "--application=False", "--", "waiting", "m"];
        check_left(&ops, None, &get, &said("waiting", "m"));
        let ops = ["status-set", "--application=True", "--", "waiting", "-m x"];
        check_left(&ops, None, &["status-get", "--application"], "waiting\n");
        check_left(&ops, None, &["status-get"], "active\n");
        let none = "invalid args, require <status> [message]";
        check(&["status-set"], 2, "", none);
        for odd in ["error", "unknown", "Active", ""] {
            let want = format!(
                "invalid status {odd:?}, expected one of [maintenance blocked waiting active]"
            );
            check(&["status-set", odd], 2, "", &want);
        }
        check(&["status-set", "active", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        let not = "this unit is not the leader";
        check_at(At::Follower, &["status-set", "--application", "active"], 1, "", not);
    }

    #[test]
    fn versions_are_set() {
        let mut stage = Stage::at(At::Leader);
        stage.calls(&["application-version-set", "--", "-1"], None);
        let app = stage.model().application(&"pg".parse().unwrap()).unwrap();
        assert_eq!(app.version, "-1");
        check(&["application-version-set"], 2, "", "no version specified");
        check(&["application-version-set", "1", "2"], 2, "", "unrecognized args: [\"2\"]");
    }

    #[test]
    fn the_goal_state_has_units_and_relations() {
        let since = "\"since\":\"2026-11-20 10:00:00Z\"";
        let one =
            |name: &str, status: &str| format!("\"{name}\":{{\"status\":\"{status}\",{since}}}");
        let json = format!(
            "{{\"units\":{{{}}},\"relations\":{{\"db\":{{{},{},{}}}}}}}\n",
            one("pg/0", "active"),
            one("app", "joined"),
            one("app/0", "waiting"),
            one("app/1", "waiting"),
        );
        check(&["goal-state", "--format=json"], 0, &json, "");
        let one = |name: &str, status: &str| {
            format!("{name}:\n      status: {status}\n      since: 2026-11-20 10:00:00Z\n")
        };
        let yaml = format!(
            "units:\n  pg/0:\n    status: active\n    since: 2026-11-20 10:00:00Z\n\
             relations:\n  db:\n    {}    {}    {}",
            one("app", "joined"),
            one("app/0", "waiting"),
            one("app/1", "waiting"),
        );
        check(&["goal-state"], 0, &yaml, "");
    }
}
