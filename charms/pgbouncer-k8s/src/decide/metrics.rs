//! Where the exporters of all processes can be read.

use charm_kit::metrics::{bags, topology};
use juju_charm::Write;
use juju_interfaces::prometheus_scrape::{Target, app_bag};

use crate::facts::{Common, Metrics};
use crate::names;
use crate::render::layer;

/// The chart "metrics joined".
pub(super) fn metrics_joined(common: &Common, metrics: &Metrics) -> Vec<Write> {
    let topology = topology(&common.unit, &common.model, &metrics.model_uuid, "pgbouncer-k8s");
    let target = |index| Target::new(names::service(index), layer::metrics_port(index));
    let targets = (0..common.processes.get()).map(target);
    let shared = common.leader.then(|| app_bag(targets, &topology));
    let host = names::hostname(&common.unit, &common.model);
    bags(&metrics.relations, (&common.unit, &host), shared.as_ref())
}
