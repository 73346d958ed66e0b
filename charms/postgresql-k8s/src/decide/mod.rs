//! From facts to effects: pure, one file per concern.

mod actions;
mod clients;
mod legacy;
mod members;
mod plugins;
mod tls;
mod upgrade;
mod watch;
mod workload;

#[cfg(test)]
mod tests;

use juju_charm::{Decision, EndpointSet as _, Event, RelationEvent, RelationKind, Status, Write};

pub(crate) use clients::CLIENTS;
pub(crate) use plugins::KEY as PLUGINS;
pub(crate) use upgrade::STACK;
pub(crate) use workload::PENDING;

use crate::effect::Effect;
use crate::endpoint::Endpoint::{
    self, Certificates, Dashboards, Database, Db, DbAdmin, Logging, Metrics, Peers, Upgrade,
};
use crate::facts::Facts;
use crate::layer;
use crate::status::{self, Expected, Seen};
use crate::validate::Validated;
use crate::wording;

/// Whether an event needs facts at all.
pub(crate) fn needs_facts(event: &Event) -> bool {
    match event {
        Event::LeaderElected
        | Event::ConfigChanged
        | Event::UpdateStatus
        | Event::UpgradeCharm
        | Event::SecretChanged { .. }
        | Event::StorageDetaching { .. }
        | Event::Action { .. } => true,
        Event::PebbleReady { container } | Event::PebbleCustomNotice { container, .. } => {
            container.as_str() == layer::NAME
        }
        Event::PebbleCheckFailed { check, .. } | Event::PebbleCheckRecovered { check, .. } => {
            layer::CHECKS.contains(&check.as_str())
        }
        Event::Relation(relation) => {
            matches!(endpoint(relation), Some(Peers | Database | Db | DbAdmin | Certificates))
        }
        Event::Install
        | Event::Start
        | Event::Stop
        | Event::Remove
        | Event::SecretRemove { .. }
        | Event::SecretRotate { .. }
        | Event::SecretExpired { .. }
        | Event::StorageAttached { .. }
        | Event::Custom(_) => false,
    }
}

/// Whether the leader looks at an event how far an upgrade has come: it does wherever it shows the
/// state of its member.
pub(crate) fn looks_at_pods(event: &Event) -> bool {
    if let Event::Relation(relation) = event {
        return matches!(endpoint(relation), Some(Peers | Certificates));
    }
    needs_facts(event) && !matches!(event, Event::StorageDetaching { .. } | Event::Action { .. })
}

/// Whether an event is an action by which the operator leads an upgrade.
pub(crate) fn is_upgrade_action(event: &Event) -> bool {
    let names = [actions::CHECK, actions::RESUME];
    matches!(event, Event::Action { name, .. } if names.contains(&name.as_str()))
}

/// What to do about an event. Most charts of `docs/reference/hooks-postgresql.md` are functions of
/// their names; the others are here.
///
/// | chart | box | part |
/// | --- | --- | --- |
/// | metrics joined, dashboard joined, logging changed | all | [`watch::writes`] |
pub(crate) fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    let facts = &Validated::new(facts);
    of_event(event, facts).effects(watch::writes(facts))
}

fn of_event(event: &Event, facts: &Validated<'_>) -> Decision<Effect> {
    match event {
        Event::LeaderElected => members::leader_elected(facts),
        Event::PebbleReady { container } => match container.as_str() {
            layer::NAME => workload::pebble_ready(facts),
            _ => Decision::new(),
        },
        // No event reports that the operator has opened what is closed.
        Event::UpdateStatus | Event::UpgradeCharm => converge(facts).effects(clients::guard(facts)),
        Event::ConfigChanged | Event::SecretChanged { .. } => converge(facts),
        Event::PebbleCheckFailed { check, .. } | Event::PebbleCheckRecovered { check, .. } => {
            match layer::CHECKS.contains(&check.as_str()) {
                true => converge(facts),
                false => Decision::new(),
            }
        }
        Event::PebbleCustomNotice { key, .. } => match key.as_str() {
            layer::ROLE_CHANGED => converge(facts).effects(members::role_changed(facts)),
            _ => Decision::new(),
        },
        Event::StorageDetaching { .. } => members::storage_detaching(facts),
        // A forced removal runs no such hook: the objects are the owner's long before.
        Event::Stop => Decision::new().effect(Effect::AdoptObjects),
        Event::SecretRemove { id, revision, .. } => {
            Decision::new().effect(Write::RemoveRevision(id.clone(), *revision))
        }
        Event::Relation(relation) => of_relation(relation, facts),
        Event::Action { name, .. } => actions::run(name, facts),
        Event::Install
        | Event::Start
        | Event::Remove
        | Event::SecretRotate { .. }
        | Event::SecretExpired { .. }
        | Event::StorageAttached { .. }
        | Event::Custom(_) => Decision::new(),
    }
}

fn endpoint(relation: &RelationEvent) -> Option<Endpoint> {
    Endpoint::from_name(relation.endpoint.as_str())
}

fn of_relation(relation: &RelationEvent, facts: &Validated<'_>) -> Decision<Effect> {
    use RelationKind::{Broken, Changed, Created, Departed, Joined};
    let Some(endpoint) = endpoint(relation) else { return Decision::new() };
    match (endpoint, relation.kind) {
        (Upgrade, Created) => {
            Decision::new().effect(Write::unit_bag(relation.id, [("state", "idle")]))
        }
        (Peers, Created | Joined | Changed) => converge(facts),
        (Peers, Departed) => members::peer_departed(relation, facts),
        (Database | Db | DbAdmin, Created | Joined | Changed) => clients::database_changed(facts),
        (Database | Db | DbAdmin, Departed) => clients::database_departed(relation, facts),
        (Database | Db | DbAdmin, Broken) => clients::database_broken(relation, facts),
        (Certificates, Created | Joined | Changed | Departed | Broken) => certificates(facts),
        (
            Upgrade | Peers | Metrics | Dashboards | Logging,
            Created | Joined | Changed | Departed | Broken,
        ) => Decision::new(),
    }
}

/// The chart "converge": makes everything as it should be, from whatever state and whichever events
/// were lost.
fn converge(facts: &Validated<'_>) -> Decision<Effect> {
    let decision = Decision::new().effects(opening(facts));
    if facts.container.is_none() || !workload::may_start(facts) {
        return decision;
    }
    let start = workload::start(facts);
    let status = start.status.or_else(|| steady_status(facts));
    Decision { status, ..decision.effects(start.effects).effects(members::restarts(facts)) }
}

/// What comes first in every hook that brings a member up: of two statuses that are true, the same
/// one stays then, whichever hook ran last.
fn opening(facts: &Validated<'_>) -> Vec<Effect> {
    match facts.leader && facts.peer.is_some() {
        true => members::lead(facts).effects,
        false => refusals(facts),
    }
}

/// The chart "certificates": the files are the container's.
fn certificates(facts: &Validated<'_>) -> Decision<Effect> {
    let decision = converge(facts);
    if facts.container.is_none() {
        return decision.defer("the container does not answer yet");
    }
    decision
}

/// The unit's status when its member has started and nothing is left to be done.
fn steady_status(facts: &Validated<'_>) -> Option<Status> {
    let started = facts.container.as_ref().is_some_and(crate::facts::Container::started);
    let container = facts.container.as_ref();
    let seen = Seen {
        pod: &facts.unit.pod(),
        cluster: facts.cluster.as_ref(),
        health: container.and_then(|container| container.health.as_ref()),
        strict: facts.dynamic.as_ref().is_some_and(|it| it["synchronous_mode_strict"] == true),
    };
    let status = || status::status(seen, expected(facts));
    let steady = (started && facts.initialised()).then(status)?;
    if let Err(problems) = &facts.facts().settings {
        return Some(wording::bad_configuration(problems));
    }
    let Status::Active(word) = &steady else { return Some(steady) };
    let away = facts.away.as_ref().map(|away| wording::keeps_wal(word, away));
    let unlike = facts.unlike.iter().find(|one| !one.restarts).map(wording::unlike);
    Some(no_space(facts).or(unlike).or(away).unwrap_or(steady))
}

/// What the status of this unit rests on besides its cluster.
fn expected(facts: &Validated<'_>) -> Expected {
    let (planned, not_streaming) = (facts.planned.max(facts.units), facts.not_streaming);
    Expected { planned, certificate_waits: facts.certificate.waits, not_streaming }
}

/// What a unit says whose volume is nearly full.
fn no_space(facts: &Validated<'_>) -> Option<Status> {
    let volume = facts.full_volume()?;
    Some(wording::no_space(volume, facts.wal, facts.away.as_ref()))
}

/// What is said of the options, if they cannot be used, before Kubernetes or a client refuses
/// something.
fn refusals(facts: &Validated<'_>) -> Vec<Effect> {
    let starts = facts.container.is_some() && workload::may_start(facts);
    let problems = facts.facts().settings.as_ref().err().filter(|_| starts);
    problems.map_or_else(Vec::new, |problems| refuse_options(problems))
}

/// What is said of options that cannot be used, whatever else the hook does.
fn refuse_options(problems: &[String]) -> Vec<Effect> {
    let status = wording::bad_configuration(problems);
    let say = |line: &String| Effect::Refuse { line: line.clone(), status: status.clone() };
    problems.iter().map(say).collect()
}
