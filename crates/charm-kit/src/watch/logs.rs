//! Who keeps a unit's logs: Pebble sends them there itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use juju_charm::{Event, HookError, Reader, UnitName, Write};
use juju_interfaces::loki_push_api::{ENDPOINT, address, labels};
use juju_interfaces::topology::Topology;
use pebble_client::LogTarget;
use sha2::{Digest as _, Sha256};

/// The units that keep logs, with where they accept them or why that cannot be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keepers(pub BTreeMap<UnitName, Result<String, String>>);

impl Keepers {
    /// Reads what the units of the relation wrote, where the event is one at which the container's
    /// plan is made to follow: one of the relation, a new container or charm, or that time passed.
    pub(super) fn gather(juju: &mut Reader, event: &Event) -> Result<Option<Self>, HookError> {
        let of_relation = event.relation(ENDPOINT).is_some();
        let looks = of_relation
            || matches!(
                event,
                Event::PebbleReady { .. } | Event::UpgradeCharm | Event::UpdateStatus
            );
        if !looks {
            return Ok(None);
        }
        let mut keepers = BTreeMap::new();
        for id in juju.cached_relations(ENDPOINT)? {
            for unit in juju.remote_units(id)? {
                let bag = juju.bag(id, &unit.clone().into())?;
                match address(&bag) {
                    Ok(None) => {}
                    Ok(Some(url)) => drop(keepers.insert(unit, Ok(url))),
                    Err(error) => drop(keepers.insert(unit, Err(error.to_string()))),
                }
            }
        }
        Ok(Some(Self(keepers)))
    }

    /// Sends the container's logs to them and nowhere else.
    pub(super) fn writes(&self, container: &str, topology: &Topology) -> Vec<Write> {
        let mut targets = BTreeMap::new();
        let mut writes = Vec::new();
        for (unit, found) in &self.0 {
            match found {
                Ok(url) => {
                    targets.insert(name(unit, url), LogTarget::loki(url, labels(topology)));
                }
                Err(why) => writes.push(Write::warning(format!("logs do not go to {unit}: {why}"))),
            }
        }
        writes.push(Write::log_targets(container, targets));
        writes
    }
}

/// The target's name: Pebble goes on sending to the location that a name had first.
fn name(unit: &UnitName, url: &str) -> String {
    let digest = Sha256::digest(url.as_bytes());
    let mut name = format!("{unit}-");
    for byte in digest.iter().take(4) {
        // Writing to a text does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology {
            model: "m".to_owned(),
            model_uuid: "u".to_owned(),
            application: "a".to_owned(),
            unit: "a/0".to_owned(),
            charm_name: "c".to_owned(),
        }
    }

    #[track_caller]
    fn check(found: &[(&str, Result<&str, &str>)], expected: &[&str]) {
        let pair = |(unit, url): &(&str, Result<&str, &str>)| {
            (unit.parse().unwrap(), url.map(str::to_owned).map_err(str::to_owned))
        };
        let keepers = Keepers(found.iter().map(pair).collect());
        let writes = keepers.writes("web", &topology());
        let shown: Vec<String> = writes.iter().map(|write| format!("{write:?}")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn logs_go_to_all_who_keep_them() {
        check(&[], &["send logs of web to []"]);
        let (one, two) = (Ok("http://a"), Ok("http://b"));
        let both = r#"send logs of web to ["loki/0-54df484b", "loki/1-513ede80"]"#;
        check(&[("loki/0", one), ("loki/1", two)], &[both]);
        let warning = "log: logs do not go to loki/0: it is none";
        check(&[("loki/0", Err("it is none"))], &[warning, "send logs of web to []"]);
    }

    #[test]
    fn another_location_has_another_name() {
        let unit = "loki/0".parse().unwrap();
        assert_ne!(name(&unit, "http://a"), name(&unit, "http://b"));
    }
}
