//! `relation-ids`, `relation-list`, `relation-model-get`, `relation-get` and `relation-set`.

use juju_model::ToolCall;
use juju_model::tools::{Answer, Party};
use juju_names::{AppName, UnitName};
use serde_json::Value;

use crate::input::{Input, Printed, unit_name, usage};
use crate::output::list as texts;

/// `relation-ids [ENDPOINT]`.
pub(crate) fn ids(tools: &mut ToolCall, input: &Input) -> Printed {
    let endpoint = match (input.at_most(1)?.first(), tools.hook_relation().relation) {
        (Some(&name), _) => name.to_owned(),
        (None, Some((_, endpoint))) => endpoint.to_string(),
        _ => return usage("no endpoint name specified"),
    };
    let ids = tools.relation_ids(&endpoint)?;
    let mut names: Vec<String> = ids.iter().map(|id| format!("{endpoint}:{id}")).collect();
    // Juju sorts them as texts.
    names.sort_unstable();
    input.print(&texts(&names))
}

/// `relation-list [-r ID] [--app]`.
pub(crate) fn list(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.relation(tools)?;
    input.at_most(0)?;
    if input.parsed.on("app") {
        let app = tools.relation_remote_app(id)?;
        return input.print(&Value::String(app.to_string()));
    }
    let units = tools.relation_list(id)?;
    input.print(&texts(&units))
}

/// `relation-model-get [-r ID]`.
pub(crate) fn model_get(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.relation(tools)?;
    input.at_most(0)?;
    let uuid = tools.relation_model_get(id)?;
    input.print(&serde_json::json!({ "uuid": uuid }))
}

/// `relation-get [-r ID] [--app] [KEY|-] [UNIT or APPLICATION]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.relation(tools)?;
    let args = input.at_most(2)?;
    let key = args.first().copied().filter(|&key| key != "-" && !key.is_empty());
    let party = party(tools, args.get(1).copied(), input.parsed.on("app"))?;
    let bag = tools.relation_get(id, &party)?;
    match key {
        None => input.print_map(&*bag),
        Some(key) => input.print(&bag.get(key).map_or(Value::Null, |value| value.as_str().into())),
    }
}

/// Whose bag `relation-get` reads.
fn party(tools: &ToolCall, target: Option<&str>, app: bool) -> Answer<Party> {
    let Some(target) = target.filter(|target| !target.is_empty()) else {
        let hook = tools.hook_relation();
        return match (hook.remote_unit, hook.remote_app) {
            (Some(unit), _) if app => Ok(Party::App(unit.app().clone())),
            (Some(unit), _) => Ok(Party::Unit(unit)),
            (None, Some(remote)) => Ok(Party::App(remote)),
            (None, None) => usage("no unit or application specified"),
        };
    };
    let unit = target.parse::<UnitName>();
    let application = target.parse::<AppName>();
    match (unit, application) {
        (Ok(unit), _) if app => Ok(Party::App(unit.app().clone())),
        (Ok(unit), _) => Ok(Party::Unit(unit)),
        (_, Ok(application)) if app => Ok(Party::App(application)),
        (_, Ok(_)) => usage(format!("expected unit name, got application name {target:?}")),
        _ if app => usage(format!("invalid application name {target:?}")),
        _ => unit_name(target).map(Party::Unit),
    }
}

/// `relation-set [-r ID] [--app] [--file F] KEY=VALUE…`: buffered, merged.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.relation(tools)?;
    let changes = input.settings()?;
    tools.relation_set(id, input.parsed.on("app"), changes)?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, KEYS, check, check_at};

    #[track_caller]
    fn check_left(args: &[&str], stdin: Option<&str>, read: &[&str], want: &str) {
        let read = [&["relation-get", "-r", "1", "--format=json", "-"], read].concat();
        crate::stage::check_left(args, stdin, &read, want);
    }

    #[test]
    fn the_model_of_the_other_side_is_told() {
        let json = "{\"uuid\":\"11111111-2222-3333-4444-555555555555\"}\n";
        check_at(At::Relation, &["relation-model-get", "--format=json"], 0, json, "");
        check(&["relation-model-get"], 2, "", "no relation id specified");
        let unknown = "invalid value \"9\" for option -r: relation not found";
        check(&["relation-model-get", "-r", "9"], 2, "", unknown);
    }

    #[test]
    fn ids_are_printed_with_their_endpoint() {
        check(&["relation-ids", "db", "--format=json"], 0, "[\"db:1\",\"db:10\",\"db:2\"]\n", "");
        check(&["relation-ids", "db"], 0, "db:1\ndb:10\ndb:2\n", "");
        check(&["relation-ids", "nope", "--format=json"], 0, "[]\n", "");
        check(&["relation-ids", "nope"], 0, "", "");
        check(&["relation-ids"], 2, "", "no endpoint name specified");
        check_at(At::Relation, &["relation-ids"], 0, "db:1\ndb:10\ndb:2\n", "");
    }

    #[test]
    fn lists_name_remote_units_or_the_application() {
        check(&["relation-list", "-r", "1", "--format=json"], 0, "[\"app/0\",\"app/1\"]\n", "");
        check(&["relation-list", "-r", "db:2", "--format=json"], 0, "[]\n", "");
        check(&["relation-list", "-r", "db:1", "--app", "--format=json"], 0, "\"app\"\n", "");
        check(&["relation-list"], 2, "", "no relation id specified");
        check_at(At::Relation, &["relation-list"], 0, "app/0\napp/1\n", "");
    }

    #[test]
    fn relation_ids_are_checked_by_every_tool() {
        for tool in ["relation-list", "relation-get", "relation-set", "network-get"] {
            let x = "invalid value \"x\" for option -r: invalid relation id";
            check(&[tool, "-r", "x", "db"], 2, "", x);
            let gone = "invalid value \"db:99\" for option -r: relation not found";
            check(&[tool, "-r", "db:99", "db"], 2, "", gone);
            let long = "invalid value \"99\" for option --relation: relation not found";
            check(&[tool, "--relation", "99", "db"], 2, "", long);
        }
    }

    #[test]
    fn bags_are_read_whole_or_by_key() {
        let all = "{\"a\":\"1\",\"b\":\"\\u003c\",\"egress-subnets\":\"10.1.2.3/32\",\
            \"ingress-address\":\"10.1.2.3\",\"private-address\":\"10.1.2.3\"}\n";
        check(&["relation-get", "-r", "1", "-", "app/0", "--format=json"], 0, all, "");
        check(&["relation-get", "--format=json", "-r", "1", "", "app/0"], 0, all, "");
        let yaml = "a: \"1\"\nb: <\negress-subnets: 10.1.2.3/32\ningress-address: 10.1.2.3\n\
            private-address: 10.1.2.3\n";
        check(&["relation-get", "-r", "1", "-", "app/0"], 0, yaml, "");
        check(&["relation-get", "-r", "1", "a", "app/0"], 0, "1\n", "");
        check(&["relation-get", "-r", "1", "a", "app/0", "--format=json"], 0, "\"1\"\n", "");
        check(&["relation-get", "-r", "1", "z", "app/0"], 0, "", "");
        check(&["relation-get", "-r", "1", "z", "app/0", "--format=yaml"], 0, "", "");
        check(&["relation-get", "-r", "1", "z", "app/0", "--format=json"], 0, "null\n", "");
        check(&["relation-get", "-r", "1", "-", "app", "--app"], 0, "c: \"2\"\n", "");
        check(&["relation-get", "-r", "1", "-", "app/0", "--app=True"], 0, "c: \"2\"\n", "");
        check(
            &["relation-get", "-r", "1", "-", "pg/0", "--format=json"],
            0,
            &format!("{{{KEYS}}}\n"),
            "",
        );
    }

    #[test]
    fn targets_are_checked() {
        let tool = ["relation-get", "-r", "1", "-"];
        let with = |last: &'static [&'static str]| [&tool[..], last].concat();
        let app = "expected unit name, got application name \"app\"";
        check(&with(&["app"]), 2, "", app);
        check(&with(&["A/b"]), 2, "", "invalid unit name \"A/b\"");
        check(&with(&["A/b", "--app"]), 2, "", "invalid application name \"A/b\"");
        check(&with(&["other/7"]), 1, "", "permission denied");
        check(&with(&["app/0", "x"]), 2, "", "unrecognized args: [\"x\"]");
        check(&["relation-get", "-r", "1"], 2, "", "no unit or application specified");
        check(&["relation-get", "a", "app/0"], 2, "", "no relation id specified");
        check_at(At::Relation, &["relation-get", "a"], 0, "1\n", "");
        check_at(At::Relation, &["relation-get", "--app"], 0, "c: \"2\"\n", "");
    }

    #[test]
    fn settings_are_merged_from_file_and_arguments() {
        let set = ["relation-set", "-r", "1"];
        let args = [&set[..], &["a=b", "c=", "d=e=f", "private-address="]].concat();
        let kept = KEYS.split(",\"private").next().unwrap();
        let want = format!("{{\"a\":\"b\",\"d\":\"e=f\",{kept}}}\n");
        check_left(&args, None, &["pg/0"], &want);
        let file = ["relation-set", "-r", "1", "--app", "--file", "-", "a=x"];
        let want = "{\"a\":\"x\",\"c\":\"d\"}\n";
        check_left(&file, Some("a: b\nc: 'd'\n"), &["pg", "--app"], want);
        let args = [&set[..], &["--app=False", "a=b"]].concat();
        check_left(&args, None, &["pg", "--app"], "{}\n");
    }

    #[test]
    fn settings_are_checked() {
        let set = ["relation-set", "-r", "1"];
        let with = |last: &'static [&'static str]| [&set[..], last].concat();
        check(&with(&["x"]), 2, "", "expected \"key=value\", got \"x\"");
        check(&with(&["=x"]), 2, "", "expected \"key=value\", got \"=x\"");
        check(&with(&["a=1", "a=2"]), 2, "", "key \"a\" specified more than once");
        check(&with(&["--file", "-"]), 1, "", "hook tool requires stdin, none supplied");
        let app = "invalid boolean value \"maybe\" for option --app";
        check(&with(&["--app=maybe"]), 2, "", app);
        let app = ["relation-set", "-r", "1", "--app", "a=b"];
        check_at(At::Follower, &app, 1, "", "cannot write relation settings");
    }
}
