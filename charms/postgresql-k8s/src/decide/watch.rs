//! What those who watch the unit get: the charts "metrics joined", "dashboard joined" and "logging
//! changed".

use charm_kit::watch::{Files, Watched};
use juju_charm::Write;
use juju_interfaces::prometheus_scrape::{Job, Target};

use super::tls;
use crate::layer::{self, METRICS_PORT};
use crate::topology::PATRONI_PORT;
use crate::validate::Validated;

/// What is worth an alert.
const RULES: &Files = &[
    ("patroni.yaml", include_str!("../prometheus_alert_rules/patroni.yaml")),
    ("postgresql.yaml", include_str!("../prometheus_alert_rules/postgresql.yaml")),
];

/// What there is to look at.
const DASHBOARDS: &Files = &[
    ("patroni", include_str!("../grafana_dashboards/patroni.json")),
    ("postgresql", include_str!("../grafana_dashboards/postgresql.json")),
];

/// All that is due.
pub(super) fn writes(facts: &Validated<'_>) -> Vec<Write> {
    let server = Target::new(layer::NAME, METRICS_PORT);
    let patroni = Target::new("patroni", PATRONI_PORT);
    let jobs = match authority(facts) {
        None => vec![Job::of([server, patroni])],
        Some(ca) => vec![Job::of([server]), Job::of([patroni]).with_tls(&ca)],
    };
    let watched = Watched {
        unit: &facts.unit,
        host: &facts.topology.qualified(&facts.host()),
        model: &facts.topology.model,
        charm: "postgresql-k8s",
        container: layer::NAME,
        jobs: &jobs,
        rules: RULES,
        dashboards: DASHBOARDS,
    };
    facts.watchers.writes(&watched, facts.leader)
}

/// The CA of Patroni's certificates, as clients know it. Where the own files were not read, it is
/// the published one.
fn authority(facts: &Validated<'_>) -> Option<String> {
    match &facts.container {
        Some(_) => tls::for_clients(facts),
        None => tls::published_ca(facts).map(str::to_owned),
    }
}
