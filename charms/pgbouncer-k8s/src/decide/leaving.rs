//! Departed and broken: this unit leaves, PostgreSQL leaves, a flag is out of date.

use juju_charm::{Changes, Decision, Event, RelationEvent, RelationKind, SecretContent, Write};
use juju_interfaces::pgb_peers::departing_key;

use crate::effect::Effect;
use crate::endpoint::Endpoint;
use crate::facts::{FullFacts, Peers};

use super::database_map::user_of;
use super::{backend, lookup};

/// The endpoints whose relations a unit says it leaves.
const FLAGGED: [Endpoint; 4] =
    [Endpoint::Backend, Endpoint::Database, Endpoint::Db, Endpoint::DbAdmin];

/// A decision for a unit that leaves; `None` where the unit stays.
pub(crate) fn decide(event: &Event, facts: &FullFacts) -> Option<Decision<Effect>> {
    // Its changes say nothing about the other units.
    flag(event, facts).or_else(|| facts.leaving.then(Decision::new))
}

/// The first question of the charts "backend departed" and "broken", "database departed" and
/// "broken", "db departed" and "broken": does this unit leave?
fn flag(event: &Event, facts: &FullFacts) -> Option<Decision<Effect>> {
    let relation = flagged(event)?;
    let itself = relation.departing_unit.as_ref() == Some(&facts.common.unit);
    let Some(peers) = &facts.peers else {
        // A unit that is removed leaves its peers first, and the flag with them.
        let leaves = itself || relation.kind == RelationKind::Broken;
        return leaves.then(Decision::new);
    };
    let key = departing_key(relation.endpoint.as_str(), relation.id);
    match relation.kind {
        // Report to the peers: what follows for this unit is no end of the relation.
        RelationKind::Departed if itself => {
            // Clients of older charms know both spellings.
            let old = relation.endpoint.as_str().starts_with("db");
            let changes = Changes::new().set(key, if old { "True" } else { "true" });
            Some(Decision::new().effect(Write::unit_bag(peers.id, changes)))
        }
        RelationKind::Broken if peers.leaves(relation.endpoint.as_str(), relation.id) => {
            let changes = Changes::new().remove(key);
            Some(Decision::new().effect(Write::unit_bag(peers.id, changes)))
        }
        RelationKind::Created
        | RelationKind::Joined
        | RelationKind::Changed
        | RelationKind::Departed
        | RelationKind::Broken => None,
    }
}

fn flagged(event: &Event) -> Option<&RelationEvent> {
    FLAGGED.iter().find_map(|endpoint| event.relation(endpoint))
}

/// What the end of the backend relation leaves to do, and flags of an earlier life.
pub(crate) fn cleanup(event: &Event, facts: &FullFacts) -> Vec<Effect> {
    let mut effects = Vec::new();
    effects.extend(deserted(event).then(|| backend_departed(facts)).flatten());
    if matches!(event, Event::PebbleReady { .. })
        && let Some(peers) = &facts.peers
    {
        effects.extend(stale_flags(peers).map(Effect::from));
    }
    effects
}

fn deserted(event: &Event) -> bool {
    let backend = event.relation(Endpoint::Backend);
    backend.is_some_and(|relation| relation.kind == RelationKind::Departed)
}

/// The application's secret once the lookup is gone: should PostgreSQL come back after all,
/// it is initialised anew.
pub(crate) fn secret(
    event: &Event,
    facts: &FullFacts,
    secret: Option<SecretContent>,
) -> Option<SecretContent> {
    let removes = deserted(event) && backend_departed(facts).is_some();
    if removes { secret.as_ref().map(backend::without_list) } else { secret }
}

/// The chart "backend departed", with the trigger that Juju really gives: the last
/// unit of PostgreSQL left and this unit leads.
fn backend_departed(facts: &FullFacts) -> Option<Effect> {
    let backend = facts.backend.as_ref()?;
    if !facts.common.leader || backend.populated || backend.server.is_none() {
        return None;
    }
    let auth_user = backend.login.as_ref()?.auth_user.clone();
    let mapped = facts.peers.as_ref().and_then(|peers| peers.databases.clone());
    let mapped = mapped.unwrap_or_default();
    // No later hook could remove them; a server that comes back gets them again.
    let users = mapped.relations.iter();
    let users = users.filter_map(|(id, mapped)| user_of(facts, *id, mapped).ok()).collect();
    Some(Effect::RemoveAuth { user: auth_user, databases: lookup::all(&mapped), clients: users })
}

/// A unit whose container starts does not leave.
fn stale_flags(peers: &Peers) -> Option<Write> {
    let stale: Changes = peers
        .own_bag
        .keys()
        .filter(|key| key.ends_with("_departing"))
        .map(|key| (key.clone(), String::new()))
        .collect();
    (!stale.is_empty()).then(|| Write::unit_bag(peers.id, stale))
}
