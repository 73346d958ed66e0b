//! From facts to effects: pure, one file per concern.

mod actions;
mod clients;
mod members;
mod metrics;
mod plugins;
mod tls;
mod workload;

#[cfg(test)]
mod tests;

use charm::{Changes, Decision, Event, Own, RelationKind, SecretString, Status};

pub(crate) use clients::{BAD_ROLES, CLIENTS, FAILED, REASON_MAX};
pub(crate) use plugins::KEY as PLUGINS;
pub(crate) use tls::is_news;
pub(crate) use workload::{PENDING, member_waits, primary_waits};

use crate::effect::{Effect, Operator, started_status};
use crate::facts::Facts;
use crate::layer;

/// Options that cannot be used, in upstream's words; the first of them follows.
const BAD_CONFIGURATION: &str = "Configuration Error. Please check the logs";

/// A volume on which PostgreSQL will stop, in upstream's words.
const NO_SPACE: &str = "<10% free space on pgdata volume.";

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
        Event::Relation(relation) => {
            ["database-peers", "database", "certificates"].contains(&relation.endpoint.as_str())
        }
        _ => false,
    }
}

/// What to do about an event.
pub(crate) fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    of_event(event, facts).effects(metrics::effects(facts))
}

fn of_event(event: &Event, facts: &Facts) -> Decision<Effect> {
    match event {
        Event::LeaderElected => members::leader_elected(facts),
        Event::PebbleReady { container } if container.as_str() == layer::NAME => {
            workload::pebble_ready(facts)
        }
        // No event tells that somebody has opened what is closed.
        Event::UpdateStatus | Event::UpgradeCharm => converge(facts).effects(clients::guard(facts)),
        Event::ConfigChanged | Event::SecretChanged { .. } => converge(facts),
        Event::PebbleCustomNotice { key, .. } if key == layer::ROLE_CHANGED => {
            converge(facts).effects(members::role_changed(facts))
        }
        Event::StorageDetaching { .. } => members::hand_over(facts),
        // A forced removal runs no such hook: the objects are the owner's long before.
        Event::Stop => Decision::new().effect(Effect::AdoptObjects),
        Event::SecretRemove { id, revision, .. } => {
            Decision::new().effect(Effect::RemoveRevision(id.clone(), *revision))
        }
        Event::Relation(relation) => match (relation.endpoint.as_str(), relation.kind) {
            ("upgrade", RelationKind::Created) => {
                let idle = Changes::from([("state", "idle")]);
                Decision::new().effect(Effect::SetBag(relation.id, Own::Unit, idle))
            }
            ("database-peers", RelationKind::Departed) => members::departed(relation, facts),
            ("database-peers", RelationKind::Broken) => Decision::new(),
            ("database-peers", _) => converge(facts),
            ("database", RelationKind::Departed) => clients::departed(relation, facts),
            ("database", RelationKind::Broken) => clients::broken(relation, facts),
            ("database", _) => clients::requested(facts),
            ("certificates", _) => certificates(facts),
            _ => Decision::new(),
        },
        Event::Action { name, .. } => actions::run(name, facts),
        _ => Decision::new(),
    }
}

/// Makes everything as it should be, from whatever state and whichever events were lost.
fn converge(facts: &Facts) -> Decision<Effect> {
    let mut decision = Decision::new();
    if facts.leader && facts.peer.is_some() {
        decision = decision.effects(members::lead(facts).effects);
    }
    let runs = facts.leader || facts.initialised() || workload::has_begun(facts);
    if facts.container.is_none() || !runs {
        return decision;
    }
    let start = workload::start(facts);
    let status = start.status.or_else(|| steady_status(facts));
    Decision { status, ..decision.effects(start.effects).effects(members::restarts(facts)) }
}

/// The chart "certificates": the files are the container's.
fn certificates(facts: &Facts) -> Decision<Effect> {
    let decision = converge(facts);
    if facts.container.is_none() {
        return decision.defer("the container does not answer yet");
    }
    decision
}

/// How the charm logs in once this hook's effects on the own certificate are true.
fn operator(facts: &Facts, password: SecretString) -> Operator {
    Operator { password, ca: tls::steps(facts).ca }
}

/// The unit's status when its member has started and nothing is left to be done.
fn steady_status(facts: &Facts) -> Option<Status> {
    let started = facts.container.as_ref().is_some_and(crate::facts::Container::started);
    let status = || started_status(&facts.unit.pod(), facts.cluster.as_ref(), facts.planned);
    let steady = (started && facts.initialised()).then(status)?;
    if let Err(problems) = &facts.settings {
        return Some(bad_configuration(problems));
    }
    let full = facts.nearly_full && matches!(steady, Status::Active(_));
    Some(if full { Status::blocked(NO_SPACE) } else { steady })
}

/// What is said of options that cannot be used, whatever else the hook does.
fn refuse_options(problems: &[String]) -> Vec<Effect> {
    let status = bad_configuration(problems);
    let say = |line: &String| Effect::Refuse { line: line.clone(), status: status.clone() };
    problems.iter().map(say).collect()
}

fn bad_configuration(problems: &[String]) -> Status {
    let first = problems.first().map(String::as_str).unwrap_or_default();
    Status::blocked(format!("{BAD_CONFIGURATION}: {first}"))
}
