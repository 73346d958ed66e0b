//! What those who watch the unit get: the charts "metrics joined", "dashboard joined" and "logging
//! changed".

use charm_kit::watch::{Files, Watched, Watchers};
use juju_charm::Write;
use juju_interfaces::prometheus_scrape::{Job, Target};

use crate::facts::Common;
use crate::names;
use crate::render::layer;

/// What is worth an alert.
const RULES: &Files =
    &[("pgbouncer.yaml", include_str!("../prometheus_alert_rules/pgbouncer.yaml"))];

/// What there is to look at.
const DASHBOARDS: &Files = &[("pgbouncer", include_str!("../grafana_dashboards/pgbouncer.json"))];

/// All that is due.
pub(super) fn writes(common: &Common, watchers: &Watchers) -> Vec<Write> {
    let target = |index| Target::new(names::service(index), layer::metrics_port(index));
    let watched = Watched {
        unit: &common.unit,
        host: &names::hostname(&common.unit, &common.model),
        model: &common.model,
        charm: "pgbouncer-k8s",
        container: names::CONTAINER,
        jobs: &[Job::of((0..common.processes.get()).map(target))],
        rules: RULES,
        dashboards: DASHBOARDS,
    };
    watchers.writes(&watched, common.leader)
}
