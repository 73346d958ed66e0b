//! The interface `prometheus_scrape`, the side that is measured.

use juju_names::UnitName;
use serde::Serialize;

use crate::{Bag, python};

/// The endpoint at which charms offer what they measure.
pub const ENDPOINT: &str = "metrics-endpoint";

/// Where a unit stands, as the one who measures labels what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// The model's name.
    pub model: String,
    /// The model's UUID.
    pub model_uuid: String,
    /// The application.
    pub application: String,
    /// The unit that writes.
    pub unit: String,
    /// The charm's name.
    pub charm_name: String,
}

#[derive(Serialize)]
struct Job {
    metrics_path: &'static str,
    static_configs: [Targets; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<TlsConfig>,
}

#[derive(Serialize)]
struct TlsConfig {
    /// The certificates themselves, which the reader puts into a file.
    ca_file: String,
}

#[derive(Serialize)]
struct Targets {
    targets: Vec<String>,
}

impl Job {
    /// Every unit answers `/metrics` on these ports.
    fn of(ports: impl IntoIterator<Item = u16>) -> Self {
        // The reader puts the units' addresses in the place of the star.
        let targets = ports.into_iter().map(|port| format!("*:{port}")).collect();
        let static_configs = [Targets { targets }];
        Self { metrics_path: "/metrics", static_configs, scheme: None, tls_config: None }
    }
}

/// What the leader writes: every unit answers `/metrics` on these ports.
pub fn app_bag(ports: impl IntoIterator<Item = u16>, topology: &Topology) -> Bag {
    shared(&[Job::of(ports)], topology)
}

/// The same where `encrypted` is answered with TLS, by certificates that this CA, in PEM, has
/// signed, and the other ports in clear.
pub fn app_bag_with_tls(
    ports: impl IntoIterator<Item = u16>,
    (encrypted, authorities): (u16, &str),
    topology: &Topology,
) -> Bag {
    let tls_config = Some(TlsConfig { ca_file: authorities.to_owned() });
    let job = Job { scheme: Some("https"), tls_config, ..Job::of([encrypted]) };
    shared(&[Job::of(ports), job], topology)
}

fn shared(jobs: &[Job], topology: &Topology) -> Bag {
    Bag::from([
        // Who measures may refuse a databag without any.
        ("alert_rules".to_owned(), r#"{"groups": []}"#.to_owned()),
        ("scrape_jobs".to_owned(), python::dumps(&jobs)),
        ("scrape_metadata".to_owned(), python::dumps(topology)),
    ])
}

/// What each unit writes: its name, and an address that outlives its pod.
pub fn unit_bag(unit: &UnitName, address: String) -> Bag {
    Bag::from([
        ("prometheus_scrape_unit_address".to_owned(), address),
        ("prometheus_scrape_unit_name".to_owned(), unit.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bags_are_as_their_reader_expects_them() {
        let topology = Topology {
            model: "m".to_owned(),
            model_uuid: "u".to_owned(),
            application: "a".to_owned(),
            unit: "a/0".to_owned(),
            charm_name: "c".to_owned(),
        };
        let bag = app_bag([9127, 9128], &topology);
        insta::assert_snapshot!(bag["scrape_jobs"], @r#"[{"metrics_path": "/metrics", "static_configs": [{"targets": ["*:9127", "*:9128"]}]}]"#);
        assert_eq!(bag["alert_rules"], r#"{"groups": []}"#);
        insta::assert_snapshot!(bag["scrape_metadata"], @r#"{"model": "m", "model_uuid": "u", "application": "a", "unit": "a/0", "charm_name": "c"}"#);
        let bag = app_bag_with_tls([9127], (8008, "pem"), &topology);
        insta::assert_snapshot!(bag["scrape_jobs"], @r#"[{"metrics_path": "/metrics", "static_configs": [{"targets": ["*:9127"]}]}, {"metrics_path": "/metrics", "static_configs": [{"targets": ["*:8008"]}], "scheme": "https", "tls_config": {"ca_file": "pem"}}]"#);
        let bag = unit_bag(&"a/0".parse().unwrap(), "a-0.a-endpoints".to_owned());
        assert_eq!(bag["prometheus_scrape_unit_address"], "a-0.a-endpoints");
        assert_eq!(bag["prometheus_scrape_unit_name"], "a/0");
    }
}
