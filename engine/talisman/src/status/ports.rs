//! Open ports, grouped as Juju's tables group them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// `5432,8008/tcp 53/udp`: by protocol, neighbours as a range.
pub(crate) fn ports(unit: &Value) -> String {
    let mut by_protocol: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for port in unit["open-ports"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let (number, protocol) = port.split_once('/').unwrap_or(("", port));
        let numbers = by_protocol.entry(protocol).or_default();
        numbers.extend(number.parse::<u16>().ok());
    }
    let group = |(protocol, numbers): (&str, BTreeSet<u16>)| match numbers.is_empty() {
        true => protocol.to_owned(),
        false => format!("{}/{protocol}", runs(&numbers).join(",")),
    };
    by_protocol.into_iter().map(group).collect::<Vec<_>>().join(" ")
}

/// Numbers one by one, those that follow each other as `first-last`.
fn runs(numbers: &BTreeSet<u16>) -> Vec<String> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let text = |(first, last): (u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    runs.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(open: &[&str], want: &str) {
        assert_eq!(ports(&json!({"open-ports": open})), want);
    }

    #[test]
    fn ports_are_grouped_by_protocol() {
        check(&[], "");
        check(&["5432/tcp", "8008/tcp"], "5432,8008/tcp");
        check(&["80/tcp", "81/tcp", "82/tcp", "90/tcp", "53/udp"], "80-82,90/tcp 53/udp");
        check(&["icmp"], "icmp");
    }
}
