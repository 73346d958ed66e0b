//! `network-get` and `unit-get`.

use juju_model::ToolCall;
use juju_model::tools::NetworkInfo;
use serde_json::{Map, Value, json};

use crate::input::{Input, Printed, refused, usage};
use crate::node::Node;
use crate::output::Format;

/// The binding that every unit has.
const DEFAULT_BINDING: &str = "juju-info";

/// `network-get BINDING [-r ID] [--bind-address] …`.
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let given = input.given_relation(tools)?;
    let Some(&binding) = input.parsed.rest.first() else {
        return usage("no arguments specified");
    };
    if binding.is_empty() {
        return usage("no binding name specified");
    }
    input.at_most(1)?;
    // The hook's relation counts only for its own endpoint.
    let relation = given.or_else(|| {
        let hook = tools.hook_relation().relation;
        hook.filter(|(_, endpoint)| endpoint.as_str() == binding).map(|(id, _)| id)
    });
    let primary = input.parsed.on("primary-address");
    let wanted: Vec<&str> = ["bind-address", "egress-subnets", "ingress-address"]
        .into_iter()
        .filter(|flag| input.parsed.on(flag))
        .collect();
    if primary && !wanted.is_empty() {
        return refused("--primary-address must be the only flag specified");
    }
    let info = tools.network_get(binding, relation)?;
    if primary {
        return input.print(&Value::String(info.bind_address));
    }
    match wanted.as_slice() {
        [] => input.print_record(&whole(&info, input.format)),
        [one] => input.print(&part(&info, one)),
        several => {
            let parts: Map<String, Value> =
                several.iter().map(|&flag| (flag.to_owned(), part(&info, flag))).collect();
            input.print(&Value::Object(parts))
        }
    }
}

/// In YAML some members come twice, under older names.
fn whole(info: &NetworkInfo, format: Format) -> Node {
    let text = |text: &str| Node::text(text);
    let mut address = vec![
        ("hostname".to_owned(), text(&info.hostname)),
        ("value".to_owned(), text(&info.bind_address)),
        ("cidr".to_owned(), text(&info.cidr)),
    ];
    let mut older = Vec::new();
    if format != Format::Json {
        address.push(("address".to_owned(), text(&info.bind_address)));
        older.push(("macaddress".to_owned(), text("")));
        older.push(("interfacename".to_owned(), text(&info.interface)));
    }
    let mut interface = vec![
        ("mac-address".to_owned(), text("")),
        ("interface-name".to_owned(), text(&info.interface)),
        ("addresses".to_owned(), Node::List(vec![Node::Map(address)])),
    ];
    interface.extend(older);
    Node::record([
        ("bind-addresses", Node::List(vec![Node::Map(interface)])),
        ("egress-subnets", Node::List(vec![Node::text(subnet(&info.ingress_address))])),
        ("ingress-addresses", Node::List(vec![text(&info.ingress_address)])),
    ])
}

fn part(info: &NetworkInfo, flag: &str) -> Value {
    match flag {
        "bind-address" => json!(info.bind_address),
        "egress-subnets" => json!([subnet(&info.ingress_address)]),
        _ => json!(info.ingress_address),
    }
}

/// The subnet of one address.
fn subnet(address: &str) -> String {
    let bits = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{bits}")
}

/// `unit-get private-address|public-address`.
pub(crate) fn unit_get(tools: &mut ToolCall, input: &Input) -> Printed {
    let Some(&setting) = input.parsed.rest.first() else { return usage("no setting specified") };
    if !matches!(setting, "private-address" | "public-address") {
        return usage(format!("unknown setting {setting:?}"));
    }
    input.at_most(1)?;
    if setting == "private-address" && !tools.juju().rules().private_address {
        return refused("private address not found");
    }
    let info = tools.network_get(DEFAULT_BINDING, None)?;
    input.print(&Value::String(info.ingress_address))
}

#[cfg(test)]
mod tests {
    use super::subnet;
    use crate::stage::{At, check, check_at};

    #[test]
    fn the_whole_of_a_binding() {
        let json = concat!(
            "{\"bind-addresses\":[{\"mac-address\":\"\",\"interface-name\":\"\",",
            "\"addresses\":[{\"hostname\":\"\",\"value\":\"10.1.2.3\",\"cidr\":\"\"}]}],",
            "\"egress-subnets\":[\"10.152.183.7/32\"],",
            "\"ingress-addresses\":[\"10.152.183.7\"]}\n",
        );
        check(&["network-get", "db", "--format=json"], 0, json, "");
        check(&["network-get", "db", "-r", "1", "--format=json"], 0, json, "");
        check_at(At::Relation, &["network-get", "db", "--format=json"], 0, json, "");
        assert_eq!(subnet("fd00::1"), "fd00::1/128");
    }

    #[test]
    fn parts_of_a_binding() {
        let get = ["network-get", "db"];
        let with = |last: &'static [&'static str]| [&get[..], last].concat();
        check(&with(&["--bind-address"]), 0, "10.1.2.3\n", "");
        check(&with(&["--bind-address=True", "--format=json"]), 0, "\"10.1.2.3\"\n", "");
        check(&with(&["--primary-address"]), 0, "10.1.2.3\n", "");
        check(&with(&["--ingress-address"]), 0, "10.152.183.7\n", "");
        check(&with(&["--egress-subnets"]), 0, "10.152.183.7/32\n", "");
        let both = "{\"bind-address\":\"10.1.2.3\",\"ingress-address\":\"10.152.183.7\"}\n";
        check(&with(&["--bind-address", "--ingress-address", "--format=json"]), 0, both, "");
        let alone = "--primary-address must be the only flag specified";
        check(&with(&["--bind-address", "--primary-address"]), 1, "", alone);
    }

    #[test]
    fn misses_are_named() {
        check(&["network-get"], 2, "", "no arguments specified");
        check(&["network-get", ""], 2, "", "no binding name specified");
        let unknown = "no network config found for binding \"nope\"";
        check(&["network-get", "nope"], 1, "", unknown);
    }

    #[test]
    fn addresses_of_the_unit() {
        check(&["unit-get", "private-address"], 0, "10.152.183.7\n", "");
        check(&["unit-get", "public-address"], 0, "10.152.183.7\n", "");
        check(&["unit-get", "x"], 2, "", "unknown setting \"x\"");
        check(&["unit-get"], 2, "", "no setting specified");
    }
}
