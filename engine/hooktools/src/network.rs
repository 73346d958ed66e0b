//! `network-get` and `unit-get`.

use model::tools::{Context, NetworkInfo};
use serde_json::{Map, Value, json};

use crate::input::{Input, Printed, usage};

/// The binding that every unit has.
const DEFAULT_BINDING: &str = "juju-info";

/// `network-get BINDING [-r ID] [--bind-address] …`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    let given = input.given_relation(context)?;
    let binding = input.one("no arguments specified")?;
    if binding.is_empty() {
        return usage("no arguments specified");
    }
    // The hook's relation counts only for its own endpoint.
    let relation = given.or_else(|| {
        let hook = context.hook_relation().relation;
        hook.filter(|(_, endpoint)| endpoint.as_str() == binding).map(|(id, _)| id)
    });
    let primary = input.parsed.on("primary-address");
    let wanted: Vec<&str> = ["bind-address", "egress-subnets", "ingress-address"]
        .into_iter()
        .filter(|flag| input.parsed.on(flag))
        .collect();
    if primary && !wanted.is_empty() {
        return usage("--primary-address must be the only flag specified");
    }
    let info = context.network(binding, relation)?;
    if primary {
        return input.print(&Value::String(info.bind_address));
    }
    match wanted.as_slice() {
        [] => input.print(&whole(&info)),
        [one] => input.print(&part(&info, one)),
        several => {
            let parts: Map<String, Value> =
                several.iter().map(|&flag| (flag.to_owned(), part(&info, flag))).collect();
            input.print(&Value::Object(parts))
        }
    }
}

fn whole(info: &NetworkInfo) -> Value {
    json!({
        "bind-addresses": [{
            "mac-address": "",
            "interface-name": "",
            "addresses": [{ "hostname": "", "value": info.bind_address, "cidr": "" }],
        }],
        "egress-subnets": [subnet(&info.ingress_address)],
        "ingress-addresses": [info.ingress_address],
    })
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
pub(crate) fn unit_get(context: &mut dyn Context, input: &Input) -> Printed {
    let setting = input.one("no setting specified")?;
    if !matches!(setting, "private-address" | "public-address") {
        return usage(format!("unknown setting {setting:?}"));
    }
    let info = context.network(DEFAULT_BINDING, None)?;
    let private = setting == "private-address";
    let address = if private { info.bind_address } else { info.ingress_address };
    input.print(&Value::String(address))
}

#[cfg(test)]
mod tests {
    use super::subnet;
    use crate::fake::{check, check_in_relation};

    #[test]
    fn the_whole_of_a_binding() {
        let json = concat!(
            "{\"bind-addresses\":[{\"addresses\":[{\"cidr\":\"\",\"hostname\":\"\",",
            "\"value\":\"10.1.2.3\"}],\"interface-name\":\"\",\"mac-address\":\"\"}],",
            "\"egress-subnets\":[\"10.152.183.7/32\"],",
            "\"ingress-addresses\":[\"10.152.183.7\"]}\n",
        );
        check(&["network-get", "db", "--format=json"], 0, json, "");
        check(&["network-get", "db", "-r", "1", "--format=json"], 0, json, "");
        check_in_relation(&["network-get", "db", "--format=json"], 0, json, "");
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
        check(&with(&["--bind-address", "--primary-address"]), 2, "", alone);
    }

    #[test]
    fn misses_are_named() {
        check(&["network-get"], 2, "", "no arguments specified");
        check(&["network-get", ""], 2, "", "no arguments specified");
        let unknown = "no network config found for binding \"nope\"";
        check(&["network-get", "nope"], 1, "", unknown);
    }

    #[test]
    fn addresses_of_the_unit() {
        check(&["unit-get", "private-address"], 0, "10.1.2.3\n", "");
        check(&["unit-get", "public-address"], 0, "10.152.183.7\n", "");
        check(&["unit-get", "x"], 2, "", "unknown setting \"x\"");
        check(&["unit-get"], 2, "", "no setting specified");
    }
}
