//! Where the exporter and Patroni can be read.

use charm_kit::metrics::{bags, topology};
use juju_charm::Write;
use juju_interfaces::prometheus_scrape::{Target, app_bag, app_bag_with_tls};

use super::tls;
use crate::layer::{self, METRICS_PORT};
use crate::topology::PATRONI_PORT;
use crate::validate::Validated;

/// The chart "metrics joined".
pub(super) fn metrics_joined(facts: &Validated<'_>) -> Vec<Write> {
    let topology =
        topology(&facts.unit, &facts.topology.model, &facts.model_uuid, "postgresql-k8s");
    let server = Target::new(layer::NAME, METRICS_PORT);
    let patroni = Target::new("patroni", PATRONI_PORT);
    let shared = facts.leader.then(|| match authority(facts) {
        None => app_bag([server, patroni], &topology),
        Some(ca) => app_bag_with_tls([server], (patroni, &ca), &topology),
    });
    let host = facts.topology.qualified(&facts.host());
    bags(&facts.metrics, (&facts.unit, &host), shared.as_ref())
}

/// The CA of Patroni's certificates, as clients know it. Where the own files were not read, it is
/// the published one.
fn authority(facts: &Validated<'_>) -> Option<String> {
    match &facts.container {
        Some(_) => tls::for_clients(facts),
        None => tls::published_ca(facts).map(str::to_owned),
    }
}
