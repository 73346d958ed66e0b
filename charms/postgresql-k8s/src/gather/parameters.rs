//! The parameters with which the own server runs, beside those that were asked for.

use std::collections::BTreeMap;

use patroni::config::Parameters;
use postgres::Parameter;
use serde_json::Value;

use super::LOCAL;
use crate::effect::SuperuserLogin;
use crate::facts::{Facts, Unlike};
use crate::ports::Ports;

/// The parameters that the server has otherwise than asked; none where it does not answer.
pub(super) async fn unlike(ports: &dyn Ports, facts: &Facts) -> Vec<Unlike> {
    compared(ports, facts).await.unwrap_or_default()
}

async fn compared(ports: &dyn Ports, facts: &Facts) -> Option<Vec<Unlike>> {
    let container = facts.container.as_ref()?;
    container.health.as_ref().filter(|health| health.state.is_ready())?;
    let settings = facts.settings.as_ref().ok().or(facts.in_force.as_ref())?;
    let ca = container.ca.clone();
    // What all members share is the leader's to set; until it has, the server has it as it is.
    let dynamic = ports.patroni(LOCAL, ca.as_deref()).config().await.ok()?;
    let login = SuperuserLogin { password: facts.passwords()?.operator, ca };
    let host = facts.topology.qualified(&facts.host());
    let running = ports.postgres(&login.at(host)).await.ok()?.parameters().await.ok()?;
    let own = facts.cluster.as_ref().and_then(|cluster| cluster.member(&facts.unit.pod()));
    let waits = |name: &str| own.is_some_and(|own| own.pending_restart_reason.contains_key(name));
    let mut unlike = difference(&asked(&dynamic, &settings.parameters), &running);
    unlike.iter_mut().for_each(|one| one.restarts |= waits(&one.name));
    Some(unlike)
}

/// What Patroni makes of the dynamic configuration and a member's file, which counts for more.
fn asked(dynamic: &Value, own: &Parameters) -> BTreeMap<String, String> {
    let shared = dynamic["postgresql"]["parameters"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let set = shared.filter(|(_, value)| !value.is_null()).chain(own);
    set.map(|(name, value)| (name.to_lowercase(), text(value))).collect()
}

fn difference(asked: &BTreeMap<String, String>, running: &[Parameter]) -> Vec<Unlike> {
    let differs = |parameter: &Parameter| {
        let asked = asked.get(&parameter.name.to_lowercase())?;
        (!parameter.is(asked)).then(|| Unlike {
            name: parameter.name.clone(),
            runs: parameter.setting.clone(),
            asked: asked.clone(),
            restarts: parameter.pending,
        })
    };
    running.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_members_file_counts_for_more_than_what_all_share() {
        let dynamic = json!({"postgresql": {"parameters": {
            "wal_keep_size": 64, "TimeZone": "UTC", "max_connections": null,
        }}});
        let own = Parameters::from([("timezone".to_owned(), "Europe/Berlin".into())]);
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [text("timezone", "Europe/Berlin"), text("wal_keep_size", "64")];
        assert_eq!(asked(&dynamic, &own), expected.into());
        assert!(asked(&Value::Null, &Parameters::new()).is_empty());
    }
}
