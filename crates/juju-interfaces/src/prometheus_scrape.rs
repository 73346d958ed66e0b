//! The interface `prometheus_scrape`, the side that is measured.

use juju_names::UnitName;
use serde::Serialize;

use crate::alert_rules::Rules;
use crate::topology::Topology;
use crate::{Bag, python};

/// The endpoint at which charms offer what they measure.
pub const ENDPOINT: &str = "metrics-endpoint";

/// Targets that are asked in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    metrics_path: &'static str,
    static_configs: Vec<Targets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<TlsConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TlsConfig {
    /// The certificates themselves, which the reader puts into a file.
    ca_file: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Targets {
    targets: [String; 1],
    labels: Labels,
}

/// The reader gives all targets of a unit the same `instance`, so that series of two processes that
/// have the same name would be one without a label of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Labels {
    process: String,
}

/// A port at which a unit answers `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The process that is measured there: the value of the label `process`.
    pub process: String,
    /// The port.
    pub port: u16,
}

impl Target {
    /// A process and the port of its metrics.
    pub fn new(process: impl Into<String>, port: u16) -> Self {
        Self { process: process.into(), port }
    }
}

impl Job {
    /// Every unit has these targets, which answer in clear.
    pub fn of(targets: impl IntoIterator<Item = Target>) -> Self {
        let targets = targets.into_iter().map(|target| Targets {
            // The reader puts the units' addresses in the place of the star.
            targets: [format!("*:{}", target.port)],
            labels: Labels { process: target.process },
        });
        let static_configs = targets.collect();
        Self { metrics_path: "/metrics", static_configs, scheme: None, tls_config: None }
    }

    /// The same with TLS, by certificates that this CA, in PEM, has signed.
    #[must_use]
    pub fn with_tls(self, authorities: &str) -> Self {
        let tls_config = Some(TlsConfig { ca_file: authorities.to_owned() });
        Self { scheme: Some("https"), tls_config, ..self }
    }
}

/// What the leader writes: where every unit is measured, and what is worth an alert.
pub fn app_bag(jobs: &[Job], rules: &Rules, topology: &Topology) -> Bag {
    Bag::from([
        ("alert_rules".to_owned(), rules.text()),
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
    use crate::topology::example;

    #[test]
    fn bags_are_as_their_reader_expects_them() {
        let topology = example();
        let rules = Rules { groups: Vec::new() };
        let job = Job::of([Target::new("a_0", 9127), Target::new("a_1", 9128)]);
        let bag = app_bag(&[job], &rules, &topology);
        insta::assert_snapshot!(bag["scrape_jobs"], @r#"[{"metrics_path": "/metrics", "static_configs": [{"targets": ["*:9127"], "labels": {"process": "a_0"}}, {"targets": ["*:9128"], "labels": {"process": "a_1"}}]}]"#);
        // Who measures may refuse a databag without any.
        assert_eq!(bag["alert_rules"], r#"{"groups": []}"#);
        insta::assert_snapshot!(bag["scrape_metadata"], @r#"{"model": "m", "model_uuid": "0123456789", "application": "a-b", "unit": "a-b/0", "charm_name": "c"}"#);
        let jobs =
            [Job::of([Target::new("a", 9127)]), Job::of([Target::new("b", 8008)]).with_tls("pem")];
        let bag = app_bag(&jobs, &rules, &topology);
        insta::assert_snapshot!(bag["scrape_jobs"], @r#"[{"metrics_path": "/metrics", "static_configs": [{"targets": ["*:9127"], "labels": {"process": "a"}}]}, {"metrics_path": "/metrics", "static_configs": [{"targets": ["*:8008"], "labels": {"process": "b"}}], "scheme": "https", "tls_config": {"ca_file": "pem"}}]"#);
        let bag = unit_bag(&"a/0".parse().unwrap(), "a-0.a-endpoints".to_owned());
        assert_eq!(bag["prometheus_scrape_unit_address"], "a-0.a-endpoints");
        assert_eq!(bag["prometheus_scrape_unit_name"], "a/0");
    }
}
