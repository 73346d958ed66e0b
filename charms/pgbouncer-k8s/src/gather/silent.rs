//! Events that tell a unit nothing.

use charm::{Hook, HookError, RelationEvent, RelationKind, UnitName};

use super::{BARRIER, ISSUER, peers, relations};

/// Whether the event tells this unit nothing.
///
/// Applications speak for their units: of those only the last that goes matters, and with it the
/// unit that is being removed itself. What clients ask for the leader alone grants, and what a unit
/// of PostgreSQL has to say itself only the leader hears. A peer that joins is mostly known as one
/// that is to come, and what it serves only the leader wants to know: while a client waits for it,
/// or to tell clients of TLS.
pub(super) fn is_silent(hook: &mut Hook, relation: &RelationEvent) -> Result<bool, HookError> {
    let of_unit = relation.remote_unit.is_some();
    let leaves = relation.departing_unit.as_ref() == Some(hook.unit());
    match (relation.endpoint.as_str(), relation.kind) {
        ("backend-database", RelationKind::Changed) if of_unit => {
            Ok(!hook.is_leader()? || !tells(hook, relation)?)
        }
        ("database", RelationKind::Changed) if of_unit => Ok(true),
        ("database", RelationKind::Changed) => Ok(!hook.is_leader()?),
        ("database", RelationKind::Departed) => Ok(!leaves),
        ("backend-database", RelationKind::Joined) => Ok(!hook.is_leader()?),
        ("backend-database", RelationKind::Departed) => Ok(!leaves && !hook.is_leader()?),
        ("pgb-peers", RelationKind::Changed) if of_unit => {
            let serves = hook.state(ISSUER)?.is_some() && hook.is_leader()?;
            Ok(hook.state(BARRIER)?.is_none() && !serves)
        }
        ("pgb-peers", RelationKind::Joined) => {
            let number = relation.remote_unit.as_ref().map(UnitName::number);
            let known = peers::known_others(hook)?.zip(number);
            Ok(known.is_some_and(|(known, number)| known.contains(&number)))
        }
        _ => Ok(false),
    }
}

/// Whether a unit of PostgreSQL says something: that it took over from another primary, or, of a
/// subordinate, that it is ready.
fn tells(hook: &mut Hook, relation: &RelationEvent) -> Result<bool, HookError> {
    let Some(unit) = relation.remote_unit.clone() else { return Ok(false) };
    let bag = hook.bag(relation.id, &unit.into())?;
    let timeline = bag.get("timeline").and_then(|timeline| timeline.parse::<u32>().ok());
    Ok(relations::is_ready(&bag) || timeline.is_some_and(|timeline| timeline > 1))
}
