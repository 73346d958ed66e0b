//! The other units, and what they and the leader say.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{HookError, Level, Own, Reader, RelationId, UnitName};
use juju_interfaces::pgb_peers;

use crate::databases::DatabaseMap;
use crate::endpoint::Endpoint;
use crate::facts::Peers;

/// What the peers' bags hold, once Juju has made their relation.
pub(super) fn peers(hook: &mut Reader) -> Result<Option<Peers>, HookError> {
    let Some(id) = hook.relations(Endpoint::Peers)?.first().copied() else { return Ok(None) };
    let app_bag = hook.own_bag(id, Own::App)?;
    let own_bag = hook.cached_bag(id, Own::Unit)?;
    let app = parse_app(hook, &app_bag);
    Ok(Some(Peers {
        id,
        databases: databases(hook, app.databases.as_ref()),
        // PostgreSQL has names that PgBouncer cannot serve; an older charm listed them too.
        readonly: app.readonly_databases.iter().filter_map(|name| name.parse().ok()).collect(),
        app,
        app_bag,
        own: pgb_peers::UnitBag::parse(&own_bag),
        own_bag,
        digests: BTreeMap::new(),
    }))
}

/// The other units that are meant to be, up or not: so most units that join were known before.
pub(super) fn others(
    hook: &mut Reader,
    peers: Option<RelationId>,
) -> Result<BTreeSet<u32>, HookError> {
    if peers.is_none() {
        return Ok(BTreeSet::new());
    }
    let own = hook.unit().number();
    let planned = hook.cached_planned_units()?;
    Ok(planned.iter().map(UnitName::number).filter(|number| *number != own).collect())
}

/// The digest of the map that each other unit serves.
pub(super) fn digests(
    hook: &mut Reader,
    peers: RelationId,
) -> Result<BTreeMap<UnitName, Option<String>>, HookError> {
    let mut digests = BTreeMap::new();
    for unit in hook.peer_units(peers)? {
        let bag = hook.bag(peers, &unit.clone().into())?;
        digests.insert(unit, pgb_peers::UnitBag::parse(&bag).databases_digest);
    }
    Ok(digests)
}

/// The map in the bag, under the rule of [`parse_app`].
fn databases(hook: &mut Reader, wire: Option<&pgb_peers::DatabaseMap>) -> Option<DatabaseMap> {
    let map = DatabaseMap::parse(wire?);
    map.map_err(|error| hook.log(Level::Warning, format!("the peers' databag: {error}"))).ok()
}

/// A bag of our own that cannot be read counts as empty, and is written anew.
pub(super) fn parse_app(hook: &mut Reader, bag: &juju_charm::Bag) -> pgb_peers::AppBag {
    pgb_peers::AppBag::parse(bag).unwrap_or_else(|error| {
        hook.log(Level::Warning, format!("the peers' databag: {error}"));
        pgb_peers::AppBag::default()
    })
}
