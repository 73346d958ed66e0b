//! Where the exporter and Patroni can be read.

use charm::{Changes, Own};
use interfaces::prometheus_scrape::{Topology, app_bag, app_bag_with_tls, unit_bag};

use super::tls;
use crate::effect::Effect;
use crate::facts::Facts;
use crate::layer::METRICS_PORT;
use crate::topology::PATRONI_PORT;

/// The flowchart "metrics joined".
pub(super) fn effects(facts: &Facts) -> Vec<Effect> {
    let topology = || Topology {
        model: facts.topology.model.clone(),
        model_uuid: facts.model_uuid.clone(),
        application: facts.topology.app.to_string(),
        unit: facts.unit.to_string(),
        charm_name: "postgresql-k8s".to_owned(),
    };
    let mut effects = Vec::new();
    for id in &facts.metrics {
        let own = unit_bag(&facts.unit, facts.topology.qualified(&facts.host()));
        effects.push(Effect::SetBag(*id, Own::Unit, Changes::from(own)));
        if facts.leader {
            let shared = match authority(facts) {
                None => app_bag([METRICS_PORT, PATRONI_PORT], &topology()),
                Some(authority) => {
                    app_bag_with_tls([METRICS_PORT], (PATRONI_PORT, &authority), &topology())
                }
            };
            effects.push(Effect::SetBag(*id, Own::App, Changes::from(shared)));
        }
    }
    effects
}

/// Who vouches for Patroni's answers, as clients know it. Where the own files were not looked
/// at, it is as they were told.
fn authority(facts: &Facts) -> Option<String> {
    match &facts.container {
        Some(_) => tls::for_clients(facts),
        None => tls::told(facts).map(str::to_owned),
    }
}
