//! `storage-add`, `storage-list`, `storage-get` and `resource-get`.

use juju_model::ToolCall;
use juju_model::tools::Answer;
use serde_json::{Value, json};

use crate::input::{Input, Printed, refused, usage};
use crate::output::list as texts;

/// `storage-add NAME[=COUNT]…`: buffered.
pub(crate) fn add(tools: &mut ToolCall, input: &Input) -> Printed {
    if input.parsed.rest.is_empty() {
        return usage("storage add requires a storage directive");
    }
    let directives: Vec<(&str, u32)> =
        input.parsed.rest.iter().map(|text| directive(text)).collect::<Answer<_>>()?;
    for (name, count) in directives {
        tools.storage_add(name, count)?;
    }
    Ok(Vec::new())
}

/// `NAME[=COUNT]`; of what else a directive may say nothing is taken here.
fn directive(text: &str) -> Answer<(&str, u32)> {
    let Some((name, said)) = text.split_once('=') else { return Ok((text, 1)) };
    let bad = |why: String| usage(format!("cannot parse directive for storage {name:?}: {why}"));
    if said.is_empty() {
        return bad("storage directives require at least one field to be specified".to_owned());
    }
    if let Ok(count) = said.parse::<i64>() {
        return match u32::try_from(count) {
            Ok(count) if count > 0 => Ok((name, count)),
            _ => {
                bad(format!("parsing storage count: count must be greater than zero, got {said:?}"))
            }
        };
    }
    let size = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
    };
    let pool = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    match said.split(',').find(|part| !size(part) && !pool(part)) {
        Some(odd) => bad(format!("unrecognized storage directive {odd:?} not valid")),
        None => usage(format!("only count can be specified for {name:?}")),
    }
}

/// `storage-list [NAME]`.
pub(crate) fn list(tools: &mut ToolCall, input: &Input) -> Printed {
    let name = input.at_most(1)?.first().copied().filter(|name| !name.is_empty());
    let ids = tools.storage_list(name)?;
    input.print(&texts(&ids))
}

/// `storage-get [-s ID] [kind|location]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let given = input.parsed.given("s").map(|given| given.value.to_owned());
    if let Some(odd) = given.as_ref().filter(|id| !is_instance(id)) {
        let why = format!("invalid storage ID {odd:?}");
        return usage(format!("invalid value {odd:?} for option -s: {why}"));
    }
    let Some(id) = given.or_else(|| tools.hook_storage()) else {
        return usage("no storage instance specified");
    };
    let attribute = input.at_most(1)?.first().copied().filter(|key| !key.is_empty());
    let info = tools.storage_get(&id)?;
    match attribute {
        None => input.print(&json!({ "kind": info.kind, "location": info.location })),
        Some("kind") => input.print(&Value::String(info.kind)),
        Some("location") => input.print(&Value::String(info.location)),
        Some(other) => refused(format!("invalid storage attribute {other:?}")),
    }
}

/// `name/7`.
fn is_instance(id: &str) -> bool {
    id.split_once('/').is_some_and(|(name, number)| {
        !name.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// `resource-get NAME`: a path, without a newline.
pub(crate) fn resource_get(tools: &mut ToolCall, input: &Input) -> Printed {
    let name = input.one("missing required resource name")?;
    Ok(tools.resource_get(name)?.into_bytes())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, check, check_at, check_left};

    #[test]
    fn instances_are_listed() {
        check(&["storage-list", "--format=json"], 0, "[\"pgdata/0\"]\n", "");
        check(&["storage-list", "pgdata"], 0, "pgdata/0\n", "");
        check(&["storage-list", "nope", "--format=json"], 0, "[]\n", "");
    }

    #[test]
    fn instances_are_read() {
        let all = "{\"kind\":\"filesystem\",\"location\":\"/data\"}\n";
        check(&["storage-get", "-s", "pgdata/0", "--format=json"], 0, all, "");
        check(&["storage-get", "location", "-s", "pgdata/0"], 0, "/data\n", "");
        check_at(At::Storage, &["storage-get", "kind"], 0, "filesystem\n", "");
        let odd = "invalid storage attribute \"x\"";
        check(&["storage-get", "-s", "pgdata/0", "x"], 1, "", odd);
        check(&["storage-get"], 2, "", "no storage instance specified");
        let odd = "invalid value \"pgdata\" for option -s: invalid storage ID \"pgdata\"";
        check(&["storage-get", "-s", "pgdata"], 2, "", odd);
    }

    #[test]
    fn the_help_names_the_hooks_own_instance() {
        let want = "Usage: storage-get [options] [<kind|location>]\n\n\
            Summary:\nprint a storage instance\n\n\
            Options:\n\
            --format\n    How to print: json, yaml or, mostly, smart\n\
            -o, --output\n    A file to write to instead of standard output\n\
            -s  (= pgdata/0)\n    The instance's id\n";
        check_at(At::Storage, &["storage-get", "--help"], 0, want, "");
    }

    #[test]
    fn instances_are_asked_for() {
        let list = ["storage-list", "more"];
        check_left(&["storage-add", "more"], None, &list, "more/1\n");
        check_left(&["storage-add", "more=2", "more"], None, &list, "more/1\nmore/2\nmore/3\n");
        check(&["storage-add"], 2, "", "storage add requires a storage directive");
        let none = "cannot parse directive for storage \"data\": ";
        for (odd, why) in [
            ("data=", "storage directives require at least one field to be specified"),
            ("data=0", "parsing storage count: count must be greater than zero, got \"0\""),
            ("data=1 2", "unrecognized storage directive \"1 2\" not valid"),
        ] {
            check(&["storage-add", "more", odd], 2, "", &format!("{none}{why}"));
        }
        check(&["storage-add", "data=pool,1G"], 2, "", "only count can be specified for \"data\"");
    }

    #[test]
    fn resources_are_paths_without_a_newline() {
        check(
            &["resource-get", "image"],
            0,
            "/var/lib/juju/agents/unit-pg-0/resources/image/content.yaml",
            "",
        );
        check(&["resource-get"], 2, "", "missing required resource name");
        check(&["resource-get", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check(&["resource-get", "nope"], 1, "", "could not download resource: \"nope\" not found");
    }
}
