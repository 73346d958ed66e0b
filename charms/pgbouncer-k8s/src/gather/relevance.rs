//! Which events are irrelevant to a unit, and why.
//!
//! Applications speak for their units, so of n units on either side of a relation n × n events come
//! for which no unit has to read anything. What is left out here is not acted upon until the next
//! event, so each row says who speaks instead.

use juju_charm::{HookError, Reader, RelationEvent, RelationKind};

use crate::endpoint::Endpoint::{self, Backend, Certificates, Database, Db, DbAdmin, Peers};
use crate::state_keys::BARRIER;

use super::relations;

/// The unit or application that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// A unit, this one or a remote one.
    Unit,
    /// The relation or its application.
    Application,
}

/// When an event of a row matters nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unless {
    /// Never.
    Never,
    /// This unit leads.
    Leads,
    /// This unit is the one that departs.
    Departs,
    /// This unit leads, or is the one that departs.
    LeadsOrDeparts,
    /// This unit leads, and the remote one is a subordinate that reports itself ready.
    LeadsAndIsReady,
    /// The peer was not planned when that was read last, a client waits for what it serves, or this
    /// unit leads and TLS is to be published to clients once all serve with it.
    IsAwaited,
    /// The peer was not planned when that was read last.
    IsUnknown,
}

/// Events that may be left out, by endpoint, kind and what they are about, and why.
const TABLE: [(Endpoint, RelationKind, Who, Unless, &str); 12] = {
    use RelationKind::{Changed, Created, Departed, Joined};
    use Unless::{Departs, IsAwaited, IsUnknown, Leads, LeadsAndIsReady, LeadsOrDeparts, Never};
    use Who::{Application, Unit};
    const ASKS: &str = "what a client wants comes with a change of its application's databag";
    const LEGACY: &str = "a legacy client asks when it joins";
    [
        (Database, Created, Application, Never, ASKS),
        (Db, Created, Application, Never, LEGACY),
        (DbAdmin, Created, Application, Never, LEGACY),
        (Database, Joined, Unit, Never, ASKS),
        (Database, Changed, Unit, Never, ASKS),
        (Database, Changed, Application, Leads, "only the leader grants"),
        (Database, Departed, Unit, Departs, "when the last unit of a client goes it is broken"),
        (Backend, Joined, Unit, Leads, "only the leader talks to PostgreSQL"),
        (Backend, Changed, Unit, LeadsAndIsReady, "only the leader talks to PostgreSQL"),
        (Backend, Departed, Unit, LeadsOrDeparts, "only the leader talks to PostgreSQL"),
        (Peers, Joined, Unit, IsUnknown, "it is one of the planned units, and these were read"),
        (Peers, Changed, Unit, IsAwaited, "what a peer serves only the leader wants to know"),
    ]
};

/// Why the event may be left out, or nothing where it has to be dealt with.
pub(super) fn why_irrelevant(
    juju: &mut Reader,
    relation: &RelationEvent,
) -> Result<Option<&'static str>, HookError> {
    let who = if relation.remote_unit.is_some() { Who::Unit } else { Who::Application };
    let row = TABLE.iter().find(|(endpoint, kind, about, ..)| {
        endpoint.as_str() == relation.endpoint.as_str() && (*kind, *about) == (relation.kind, who)
    });
    let Some((.., unless, why)) = row else { return Ok(None) };
    let departs = relation.departing_unit.as_ref() == Some(juju.unit());
    let matters = match unless {
        Unless::Never => false,
        Unless::Leads => juju.is_leader()?,
        Unless::Departs => departs,
        Unless::LeadsOrDeparts => departs || juju.is_leader()?,
        Unless::LeadsAndIsReady => juju.is_leader()? && is_ready(juju, relation)?,
        Unless::IsUnknown => is_unknown(juju, relation)?,
        Unless::IsAwaited => is_awaited(juju, relation)?,
    };
    Ok((!matters).then_some(why))
}

/// Whether a unit of a subordinate PostgreSQL reports itself ready.
fn is_ready(juju: &mut Reader, relation: &RelationEvent) -> Result<bool, HookError> {
    let Some(unit) = relation.remote_unit.clone() else { return Ok(false) };
    Ok(relations::is_ready(&juju.bag(relation.id, &unit.into())?))
}

fn is_unknown(juju: &mut Reader, relation: &RelationEvent) -> Result<bool, HookError> {
    let Some(unit) = &relation.remote_unit else { return Ok(false) };
    Ok(!juju.is_remembered_as_planned(unit)?)
}

fn is_awaited(juju: &mut Reader, relation: &RelationEvent) -> Result<bool, HookError> {
    if juju.state(BARRIER)?.is_some() || is_unknown(juju, relation)? {
        return Ok(true);
    }
    Ok(!juju.cached_relations(Certificates)?.is_empty() && juju.is_leader()?)
}

#[cfg(test)]
mod tests;
