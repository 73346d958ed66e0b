//! The unit's status: the first thing that is wrong, in the order people have to mend it.

use juju_charm::{Event, Status, Write};

use crate::endpoint::CLIENTS;
use crate::facts::{FullFacts, Service};
use crate::state_keys::PAUSED;
use crate::wording;

use super::{Next, Step, capacity, rollout};

/// The chart "update-status": the status after the effects of this hook, if they all succeed.
pub(crate) fn update_status(event: &Event, facts: &FullFacts, next: &Next) -> Status {
    let common = &facts.common;
    if let Some((words, who, reason)) = next.valid.problems(facts).into_iter().next() {
        return wording::about(words, &who, &reason);
    }
    if let Some(error) = common.options.as_ref().err().or(common.refused.as_ref()) {
        return wording::bad_option(error);
    }
    if facts.service == Service::Forbidden {
        return Status::blocked(wording::no_trust(common.unit.app().as_str()));
    }
    let pending = next.valid.waits(facts);
    let asks = CLIENTS.iter().any(|client| event.relation(client).is_some()) && pending;
    match &next.step {
        Step::Absent | Step::NotReady if asks => return Status::waiting(wording::CLIENT_WAITS),
        Step::Absent => return Status::blocked(wording::NO_BACKEND),
        Step::NotReady => return unready(facts),
        Step::Follower if !follower_ready(next) => {
            return unready(facts);
        }
        Step::Follower | Step::NotRunning | Step::Initialise(_) | Step::Ready(_) => {}
    }
    if facts.workload.is_none() {
        return Status::waiting(wording::NO_CONTAINER);
    }
    if !next.running {
        return Status::waiting(wording::NOT_RUNNING);
    }
    if let Some(problem) = &next.unwritable {
        return Status::blocked(wording::unwritable(problem));
    }
    if let Some(problem) = capacity::problem(facts, &next.map) {
        return Status::blocked(problem);
    }
    if let Some(status) = service(facts) {
        return status;
    }
    if next.valid.tls.problem.is_some() {
        return Status::blocked(wording::CERTIFICATE);
    }
    if let Some((index, pause)) = &facts.paused {
        return Status::blocked(wording::paused(*index, pause));
    }
    if next.valid.tls.waits {
        return Status::waiting(charm_kit::certificates::UNANSWERED);
    }
    match rollout::behind(facts, next) {
        Some(units) if pending => Status::waiting(wording::units_behind(&units)),
        _ => Status::active(),
    }
}

/// PostgreSQL does not answer; clients may be held until it does.
fn unready(facts: &FullFacts) -> Status {
    let held = facts.held.as_ref();
    let left = held.and_then(|trace| Some((trace.cause, trace.left(facts.now * 1000)?)));
    left.map_or(Status::blocked(wording::BACKEND_NOT_READY), |(cause, left)| {
        Status::waiting(wording::held(cause, left))
    })
}

/// Remembers that a process is paused, so that every hook looks until none is.
pub(super) fn remember_pause(facts: &FullFacts) -> Option<Write> {
    let text = facts.paused.as_ref().map(|_| "yes".to_owned());
    (text.is_some() != facts.was_paused).then(|| Write::State(PAUSED.to_owned(), text))
}

/// A follower has what it needs once the leader has published it.
fn follower_ready(next: &Next) -> bool {
    let looks_up = |ini: &pgbouncer::Ini| ini.settings.get("auth_query").is_some();
    let key = juju_interfaces::pgb_peers::secret_keys::AUTH_FILE;
    let listed = next.secret.as_ref().is_some_and(|secret| secret.get(key).is_some());
    listed && next.shared.as_ref().is_some_and(looks_up)
}

fn service(facts: &FullFacts) -> Option<Status> {
    match &facts.service {
        Service::Unreachable => Some(Status::maintenance(wording::SERVICE_COMING)),
        Service::Present(view) if !view.connectable => Some(Status::blocked(wording::SERVICE_DOWN)),
        Service::Unread | Service::Forbidden | Service::Absent | Service::Present(_) => None,
    }
}

/// What the log should say about a status that names no details.
pub(crate) fn warnings(facts: &FullFacts, next: &Next) -> Vec<Write> {
    let common = &facts.common;
    let options = common.options.as_ref().err().or(common.refused.as_ref());
    let options = options.map(ToString::to_string);
    let backend = facts.backend.as_ref().and_then(|backend| backend.problem.as_ref());
    let backend = backend.map(|problem| format!("the backend's databag: {problem}"));
    let clients = next.valid.problems(facts);
    let clients = clients.into_iter().map(|(_, who, reason)| format!("{who}: {reason}"));
    let certificate = next.valid.tls.problem.as_ref();
    let certificate = certificate.map(|error| format!("the certificate: {error}"));
    let all = next.unwritable.clone().into_iter().chain(options).chain(backend).chain(clients);
    all.chain(certificate).map(Write::warning).collect()
}
