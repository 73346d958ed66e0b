//! `storage-add`, `storage-list`, `storage-get` and `resource-get`.

use model::tools::Context;
use serde_json::{Value, json};

use crate::input::{Input, Printed, refused, usage};
use crate::output::list as texts;

/// `storage-add NAME[=COUNT]…`: buffered.
pub(crate) fn add(context: &mut dyn Context, input: &Input) -> Printed {
    if input.parsed.rest.is_empty() {
        return usage("storage add requires a storage directive");
    }
    for directive in &input.parsed.rest {
        let (name, count) = directive.split_once('=').unwrap_or((directive, "1"));
        let count = count.parse::<u32>().ok().filter(|count| *count > 0);
        let Some(count) = count.filter(|_| !name.is_empty()) else {
            return usage(format!("expected \"name[=count]\", got {directive:?}"));
        };
        context.storage_add(name, count)?;
    }
    Ok(Vec::new())
}

/// `storage-list [NAME]`.
pub(crate) fn list(context: &mut dyn Context, input: &Input) -> Printed {
    let name = input.at_most(1)?.first().copied().filter(|name| !name.is_empty());
    let ids = context.storage_list(name)?;
    input.print(&texts(&ids))
}

/// `storage-get [-s ID] [kind|location]`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    let attribute = input.at_most(1)?.first().copied().filter(|key| !key.is_empty());
    let given = input.parsed.text("s").map(str::to_owned);
    let Some(id) = given.or_else(|| context.hook_storage()) else {
        return usage("no storage instance specified");
    };
    let info = context.storage_get(&id)?;
    match attribute {
        None => input.print(&json!({ "kind": info.kind, "location": info.location })),
        Some("kind") => input.print(&Value::String(info.kind)),
        Some("location") => input.print(&Value::String(info.location)),
        Some(other) => refused(format!("invalid storage attribute {other:?}")),
    }
}

/// `resource-get NAME`: a path, without a newline.
pub(crate) fn resource_get(context: &mut dyn Context, input: &Input) -> Printed {
    let name = input.one("missing required resource name")?;
    Ok(context.resource_get(name)?.into_bytes())
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, check_effect, check_in_storage};

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
        check_in_storage(&["storage-get", "kind"], 0, "filesystem\n", "");
        let odd = "invalid storage attribute \"x\"";
        check(&["storage-get", "-s", "pgdata/0", "x"], 1, "", odd);
        check(&["storage-get"], 2, "", "no storage instance specified");
    }

    #[test]
    fn the_help_names_the_hooks_own_instance() {
        let want = "Usage: storage-get [options] [<kind|location>]\n\n\
            Summary:\nprint a storage instance\n\n\
            Options:\n\
            --format\n    How to print: json, yaml or, mostly, smart\n\
            -o, --output\n    A file to write to instead of standard output\n\
            -s  (= pgdata/0)\n    The instance's id\n";
        check_in_storage(&["storage-get", "--help"], 0, want, "");
    }

    #[test]
    fn instances_are_asked_for() {
        check_effect(&["storage-add", "data"], &["storage-add data 1"]);
        check_effect(&["storage-add", "a=2", "b"], &["storage-add a 2", "storage-add b 1"]);
        check(&["storage-add"], 2, "", "storage add requires a storage directive");
        for odd in ["data=0", "data=x", "=1", "data="] {
            let want = format!("expected \"name[=count]\", got {odd:?}");
            check(&["storage-add", odd], 2, "", &want);
        }
    }

    #[test]
    fn resources_are_paths_without_a_newline() {
        check(&["resource-get", "image"], 0, "/resources/image", "");
        check(&["resource-get"], 2, "", "missing required resource name");
        check(&["resource-get", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
        check(&["resource-get", "nope"], 1, "", "could not download resource: nope");
    }
}
