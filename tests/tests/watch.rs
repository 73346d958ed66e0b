//! What the charms are watched by: alert rules and dashboards. Prometheus' own tool says when a
//! rule fires, and recorded answers of the exporters which metrics there are.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "watch/alerts.rs"]
mod alerts;
#[path = "watch/metrics.rs"]
mod metrics;

use std::path::PathBuf;

use juju_interfaces::topology::Topology;

/// The charms, each with its files of rules and its dashboards.
const CHARMS: [(&str, &[&str], &[&str]); 2] = [
    ("pgbouncer-k8s", &["pgbouncer"], &["pgbouncer"]),
    ("postgresql-k8s", &["patroni", "postgresql"], &["patroni", "postgresql"]),
];

/// Reads a file of a charm.
fn read(charm: &str, path: &str) -> String {
    let path: PathBuf = end_to_end::root().join("charms").join(charm).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of rules.
fn rules(charm: &str, file: &str) -> String {
    read(charm, &format!("src/prometheus_alert_rules/{file}.yaml"))
}

/// The names of a charm's files in a folder, without what follows the dot.
fn names(charm: &str, folder: &str) -> Vec<String> {
    let folder = end_to_end::root().join("charms").join(charm).join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(stem).collect();
    names.sort();
    names
}

#[test]
fn every_file_is_one_that_is_looked_at() {
    for (charm, rules, dashboards) in CHARMS {
        assert_eq!(names(charm, "src/prometheus_alert_rules"), rules);
        assert_eq!(names(charm, "tests/alerts"), rules);
        assert_eq!(names(charm, "tests/samples"), rules);
        assert_eq!(names(charm, "src/grafana_dashboards"), dashboards);
    }
}

/// An application of this name.
fn topology(application: &str) -> Topology {
    Topology {
        model: "m".to_owned(),
        model_uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
        application: application.to_owned(),
        unit: format!("{application}/0"),
        charm_name: "c".to_owned(),
    }
}
