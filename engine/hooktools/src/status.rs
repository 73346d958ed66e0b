//! Statuses, leadership, the workload's version and the goal state.

use std::collections::BTreeMap;

use model::tools::{Context, Status};
use serde_json::{Map, Value, json};

use crate::input::{Input, Printed, usage};
use crate::output::Format;

/// `is-leader`.
pub(crate) fn is_leader(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(0)?;
    let leader = context.is_leader()?;
    input.print(&Value::Bool(leader))
}

/// `status-get [--include-data] [--application]`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(0)?;
    let data = input.parsed.on("include-data");
    let bare = !data && input.format == Format::Smart;
    if !input.parsed.on("application") {
        let status = context.unit_status()?;
        if bare {
            return input.print(&Value::String(status.status));
        }
        return input.print(&Value::Object(details(status, data)));
    }
    let (status, units) = context.app_status()?;
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
pub(crate) fn set(context: &mut dyn Context, input: &Input) -> Printed {
    let args = input.at_most(2)?;
    let Some(&status) = args.first() else {
        return usage("invalid args, require <status> [message]");
    };
    const STATUSES: [&str; 4] = ["maintenance", "blocked", "waiting", "active"];
    if !STATUSES.contains(&status) {
        let known = STATUSES.join(" ");
        return usage(format!("invalid status {status:?}, expected one of [{known}]"));
    }
    let message = args.get(1).copied().unwrap_or_default();
    context.set_status(input.parsed.on("application"), status, message)?;
    Ok(Vec::new())
}

/// `application-version-set VERSION`: at once.
pub(crate) fn version_set(context: &mut dyn Context, input: &Input) -> Printed {
    let version = input.one("no version specified")?;
    context.set_application_version(version)?;
    Ok(Vec::new())
}

/// `goal-state`.
pub(crate) fn goal_state(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(0)?;
    let goal = context.goal_state()?;
    let relations = goal.relations.into_iter();
    let relations: Map<String, Value> =
        relations.map(|(endpoint, members)| (endpoint, members_value(members))).collect();
    input.print(&json!({ "units": members_value(goal.units), "relations": relations }))
}

fn members_value(members: BTreeMap<String, (String, jiff::Timestamp)>) -> Value {
    let entries = members.into_iter().map(|(name, (status, since))| {
        let since = since.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        (name, json!({ "status": status, "since": since }))
    });
    Value::Object(entries.collect())
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, check_effect, check_follower};

    #[test]
    fn leadership_is_a_boolean() {
        check(&["is-leader", "--format=json"], 0, "true\n", "");
        check(&["is-leader"], 0, "True\n", "");
        check_follower(&["is-leader", "--format", "yaml"], 0, "false\n", "");
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
        check_follower(&["status-get", "--application"], 1, "", not);
    }

    #[test]
    fn statuses_are_set() {
        check_effect(&["status-set", "active"], &["status unit active "]);
        let ops = ["status-set", "--application=True", "--", "blocked", "-m x"];
        check_effect(&ops, &["status app blocked -m x"]);
        let ops = ["status-set", "--application=False", "--", "waiting", "m"];
        check_effect(&ops, &["status unit waiting m"]);
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
        check_follower(&["status-set", "--application", "active"], 1, "", not);
    }

    #[test]
    fn versions_are_set() {
        check_effect(&["application-version-set", "--", "-1"], &["version -1"]);
        check(&["application-version-set"], 2, "", "no version specified");
        check(&["application-version-set", "1", "2"], 2, "", "unrecognized args: [\"2\"]");
    }

    #[test]
    fn the_goal_state_has_units_and_relations() {
        let json = concat!(
            "{\"relations\":{\"db\":{\"app\":{\"since\":\"2026-11-20 10:00:00Z\",",
            "\"status\":\"joined\"}}},\"units\":{\"pg/0\":{\"since\":\"2026-11-20 10:00:00Z\",",
            "\"status\":\"active\"}}}\n",
        );
        check(&["goal-state", "--format=json"], 0, json, "");
        let yaml = concat!(
            "relations:\n  db:\n    app:\n      since: \"2026-11-20 10:00:00Z\"\n",
            "      status: joined\nunits:\n  pg/0:\n    since: \"2026-11-20 10:00:00Z\"\n",
            "    status: active\n",
        );
        check(&["goal-state"], 0, yaml, "");
    }
}
