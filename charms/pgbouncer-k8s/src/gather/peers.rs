//! The other units, and what they and the leader say.

use std::collections::{BTreeMap, BTreeSet};

use charm::{Event, Hook, HookError, Level, Own, RelationId, RelationKind, UnitName};
use interfaces::pgb_peers;

use crate::facts::Peers;

/// The controller-state key of the other units' numbers.
const OTHERS: &str = "units";

/// What the peers' bags hold, once Juju has made their relation.
pub(super) fn peers(hook: &mut Hook) -> Result<Option<Peers>, HookError> {
    let Some(id) = hook.relations("pgb-peers")?.first().copied() else { return Ok(None) };
    let app_bag = hook.bag(id, &hook.app().clone().into())?;
    let own_bag = hook.remembered_bag(id, Own::Unit)?;
    Ok(Some(Peers {
        id,
        app: parse_app(hook, &app_bag),
        app_bag,
        own: pgb_peers::UnitBag::parse(&own_bag),
        own_bag,
        digests: BTreeMap::new(),
    }))
}

/// The other units that are meant to be, up or not: so most units that join were known before.
///
/// They come and go by events of the peer relation, and between those the list that was read
/// last still holds. Of a unit that goes before it was up no event tells, but update-status looks.
pub(super) fn others(
    hook: &mut Hook,
    event: &Event,
    peers: Option<RelationId>,
) -> Result<BTreeSet<u32>, HookError> {
    if peers.is_none() {
        return Ok(BTreeSet::new());
    }
    let moved = match event {
        Event::Relation(relation) if relation.endpoint.as_str() == "pgb-peers" => {
            relation.kind != RelationKind::Changed
        }
        event => matches!(event, Event::UpgradeCharm | Event::UpdateStatus),
    };
    if let (Some(known), false) = (known_others(hook)?, moved) {
        return Ok(known);
    }
    let own = hook.unit().number();
    let planned = hook.planned_units()?;
    let others = planned.iter().map(UnitName::number).filter(|number| *number != own);
    let others: BTreeSet<u32> = others.collect();
    hook.set_state(OTHERS, Some(serde_json::json!(others).to_string()))?;
    Ok(others)
}

/// The other units, as they were read last.
pub(super) fn known_others(hook: &mut Hook) -> Result<Option<BTreeSet<u32>>, HookError> {
    Ok(hook.state(OTHERS)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The digest of the map that each other unit serves.
pub(super) fn digests(
    hook: &mut Hook,
    peers: RelationId,
) -> Result<BTreeMap<UnitName, Option<String>>, HookError> {
    let mut digests = BTreeMap::new();
    for unit in hook.remote_units(peers)? {
        let bag = hook.bag(peers, &unit.clone().into())?;
        digests.insert(unit, pgb_peers::UnitBag::parse(&bag).databases_digest);
    }
    Ok(digests)
}

/// A bag of our own that cannot be read counts as empty, and is written anew.
pub(super) fn parse_app(hook: &mut Hook, bag: &charm::Bag) -> pgb_peers::AppBag {
    pgb_peers::AppBag::parse(bag).unwrap_or_else(|error| {
        hook.log(Level::Warning, format!("the peers' databag: {error}"));
        pgb_peers::AppBag::default()
    })
}
