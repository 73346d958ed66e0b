//! `config-get`.

use juju_model::ToolCall;
use serde_json::Value;

use crate::input::{Input, Printed, usage};
use crate::output::Sorted;

/// `config-get [KEY] [--all]`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let key = input.at_most(1)?.first().copied().filter(|key| !key.is_empty());
    let all = input.parsed.on("all");
    if let (Some(key), true) = (key, all) {
        return usage(format!("cannot use argument --all together with key {key:?}"));
    }
    let config = tools.config_get()?;
    if let Some(key) = key {
        let value = config.get(key).and_then(Option::as_ref);
        return input.print(value.unwrap_or(&Value::Null));
    }
    let options = config.iter().filter(|(_, value)| all || value.is_some());
    let options = options.map(|(name, value)| {
        let value = value.as_ref().unwrap_or(&Value::Null);
        (name.clone(), Sorted(value))
    });
    input.print_map(&options.collect())
}

#[cfg(test)]
mod tests {
    use crate::stage::check;

    #[test]
    fn options_keep_their_types() {
        let set = "{\"flag\":true,\"ratio\":0.5,\"size\":7,\"title\":\"x\"}\n";
        check(&["config-get", "--format=json"], 0, set, "");
        let yaml = "flag: true\nratio: 0.5\nsize: 7\ntitle: x\n";
        check(&["config-get"], 0, yaml, "");
        check(&["config-get", "title"], 0, "x\n", "");
        check(&["config-get", "flag"], 0, "True\n", "");
        check(&["config-get", "size", "--format=json"], 0, "7\n", "");
    }

    #[test]
    fn options_without_a_value_are_left_out_or_null() {
        let all = "{\"flag\":true,\"none\":null,\"ratio\":0.5,\"size\":7,\"title\":\"x\"}\n";
        check(&["config-get", "-a", "--format=json"], 0, all, "");
        check(&["config-get", "none", "--format=json"], 0, "null\n", "");
        check(&["config-get", "nope"], 0, "", "");
        let both = "cannot use argument --all together with key \"title\"";
        check(&["config-get", "--all", "title"], 2, "", both);
        check(&["config-get", "a", "b"], 2, "", "unrecognized args: [\"b\"]");
    }
}
