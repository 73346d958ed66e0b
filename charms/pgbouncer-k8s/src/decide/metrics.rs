//! Where the exporters of all processes can be read.

use charm::{Changes, Own};
use interfaces::prometheus_scrape::{Topology, app_bag, unit_bag};

use crate::effect::Effect;
use crate::facts::{Common, Metrics};
use crate::{layer, place};

/// The flowchart "metrics joined".
pub(super) fn effects(common: &Common, metrics: &Metrics) -> Vec<Effect> {
    let app = common.unit.app();
    let topology = || Topology {
        model: common.model.clone(),
        model_uuid: metrics.model_uuid.clone(),
        application: app.to_string(),
        unit: common.unit.to_string(),
        charm_name: "pgbouncer-k8s".to_owned(),
    };
    let mut effects = Vec::new();
    for id in &metrics.relations {
        let own = unit_bag(&common.unit, place::hostname(&common.unit, &common.model));
        effects.push(Effect::Bag(*id, Own::Unit, Changes::from(own)));
        if common.leader {
            let ports = (0..common.processes.get()).map(layer::metrics_port);
            let shared = app_bag(ports, &topology());
            effects.push(Effect::Bag(*id, Own::App, Changes::from(shared)));
        }
    }
    effects
}
