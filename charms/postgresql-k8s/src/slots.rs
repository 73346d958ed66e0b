//! The replication slots that members have by the dynamic configuration, whether they are there or
//! not: without an entry, Patroni drops the slot of a member that it sees no more.

use juju_charm::AppName;
use serde_json::{Map, Value, json};

use crate::topology::Topology;

/// Patroni's name for the slot of a member, which is its pod.
pub(crate) fn of_pod(pod: &str) -> String {
    pod.replace('-', "_")
}

/// What `slots` shall have: an entry for each of these members' hosts, and null for each other unit
/// of the application that has one now. Entries of any other name are an operator's.
pub(crate) fn wanted(current: &Value, app: &AppName, members: &[String]) -> Value {
    let entry = |host: &String| (of_pod(Topology::pod_of(host)), json!({"type": "physical"}));
    let mut wanted: Map<String, Value> = members.iter().map(entry).collect();
    let prefix = format!("{}_", of_pod(app.as_str()));
    let is_units =
        |name: &str| name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u32>().is_ok());
    let present = current.as_object().into_iter().flatten();
    for (name, _) in present.filter(|(name, _)| is_units(name)) {
        wanted.entry(name.clone()).or_insert(Value::Null);
    }
    wanted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(current: &Value, members: &[&str], expected: &Value) {
        let members: Vec<String> =
            members.iter().map(|pod| format!("{pod}.my-pg-endpoints")).collect();
        assert_eq!(wanted(current, &"my-pg".parse().unwrap(), &members), *expected);
    }

    #[test]
    fn each_member_has_a_slot_and_no_other_unit() {
        let slot = json!({"type": "physical"});
        check(&Value::Null, &[], &json!({}));
        check(&Value::Null, &["my-pg-0", "my-pg-10"], &json!({"my_pg_0": slot, "my_pg_10": slot}));
        let current = json!({"my_pg_0": slot, "my_pg_1": slot});
        check(&current, &["my-pg-0"], &json!({"my_pg_0": slot, "my_pg_1": null}));
        // What an operator has made stays.
        let current = json!({"my_pg_backup": slot, "my_pg_": slot, "other_1": slot});
        check(&current, &["my-pg-0"], &json!({"my_pg_0": slot}));
    }
}
