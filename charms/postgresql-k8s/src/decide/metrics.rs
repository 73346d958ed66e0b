//! Where the exporter and Patroni can be read.

use charm::{Changes, Own};
use interfaces::prometheus_scrape::{Topology, app_bag, unit_bag};

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
            let shared = app_bag([METRICS_PORT, PATRONI_PORT], &topology());
            effects.push(Effect::SetBag(*id, Own::App, Changes::from(shared)));
        }
    }
    effects
}
