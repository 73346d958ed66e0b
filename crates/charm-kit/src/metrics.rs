//! What a unit publishes to `metrics-endpoint`: the chart "metrics joined".

use juju_charm::{Bag, Event, HookError, Reader, RelationId, UnitName, Write};
use juju_interfaces::prometheus_scrape::{ENDPOINT, Topology, unit_bag};

/// The relations that are to be written now: the event's own, and on a new leader all of them,
/// because the previous one may have gone before it wrote to them.
///
/// # Errors
/// As [`Reader::relations`].
pub fn relations(juju: &mut Reader, event: &Event) -> Result<Vec<RelationId>, HookError> {
    Ok(match (event, event.relation(ENDPOINT)) {
        (Event::LeaderElected | Event::UpgradeCharm, _) => juju.cached_relations(ENDPOINT)?,
        (_, Some(relation)) => relation.kind.is_live().then_some(relation.id).into_iter().collect(),
        _ => Vec::new(),
    })
}

/// Where a unit stands, for the labels of what is scraped.
pub fn topology(unit: &UnitName, model: &str, model_uuid: &str, charm_name: &str) -> Topology {
    Topology {
        model: model.to_owned(),
        model_uuid: model_uuid.to_owned(),
        application: unit.app().to_string(),
        unit: unit.to_string(),
        charm_name: charm_name.to_owned(),
    }
}

/// What the unit at `host` writes in each relation, and what the leader does, which has `shared`.
pub fn bags(
    relations: &[RelationId],
    (unit, host): (&UnitName, &str),
    shared: Option<&Bag>,
) -> Vec<Write> {
    let mut bags = Vec::new();
    for id in relations {
        bags.push(Write::unit_bag(*id, unit_bag(unit, host.to_owned())));
        bags.extend(shared.map(|shared| Write::app_bag(*id, shared.clone())));
    }
    bags
}
