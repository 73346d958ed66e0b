//! The unit's status: the first thing that is wrong, in the order people have to mend it.

use charm::{Event, Status};

use crate::effect::Effect;
use crate::facts::{FullFacts, Service};
use crate::options::OptionsError;
use crate::settings;

use super::{Next, Step, capacity, clients, legacy};

pub(crate) const NO_BACKEND: &str = "waiting for backend database relation to initialise";
pub(crate) const BACKEND_NOT_READY: &str = "backend database relation not ready";
pub(crate) const CLIENT_WAITS: &str = "waiting for backend-database relation to connect";
pub(crate) const BAD_REQUEST: &str = "Failed to initialize relation database";
pub(crate) const BAD_DATABASE: &str = "invalid database name";
pub(crate) const BAD_ROLES: &str = "invalid role(s) for extra user roles";
pub(crate) const EXTENSIONS: &str = "bad relation request - remote app requested extensions, \
                                     which are unsupported. Please remove this relation.";
pub(crate) const CONFIGURATION: &str = "Configuration Error. Please check the logs";
pub(crate) const CERTIFICATE: &str = "the certificate cannot be used, the log says why";
pub(crate) const NO_CONTAINER: &str = "PgBouncer container currently unavailable";
pub(crate) const NOT_RUNNING: &str = "pgbouncer not running";
pub(crate) const SERVICE_COMING: &str = "Waiting for K8s service connectivity";
pub(crate) const SERVICE_DOWN: &str = "K8s service not connectable";

/// The status after the effects of this hook, if they all succeed.
pub(crate) fn decide(event: &Event, facts: &FullFacts, next: &Next) -> Status {
    let common = &facts.common;
    if let Some((words, who, reason)) = clients::problems(facts).into_iter().next() {
        return about(words, &who, &reason);
    }
    if let Some(error) = common.options.as_ref().err().or(common.refused.as_ref()) {
        return bad_option(error);
    }
    if facts.service == Service::Forbidden {
        return Status::blocked(no_trust(common.unit.app().as_str()));
    }
    let pending = clients::pending(facts).next().is_some() || legacy::pending(facts);
    let client = |endpoint: &&str| event.relation(endpoint).is_some();
    let asks = ["database", "db", "db-admin"].iter().any(client) && pending;
    match &next.step {
        Step::Absent | Step::NotReady if asks => return Status::waiting(CLIENT_WAITS),
        Step::Absent => return Status::blocked(NO_BACKEND),
        Step::NotReady => return Status::blocked(BACKEND_NOT_READY),
        Step::Follower if !follower_ready(next) => return Status::blocked(BACKEND_NOT_READY),
        _ => {}
    }
    if facts.workload.is_none() {
        return Status::waiting(NO_CONTAINER);
    }
    if !next.running {
        return Status::waiting(NOT_RUNNING);
    }
    if let Some(problem) = capacity::problem(facts, &next.map) {
        return Status::blocked(problem);
    }
    if let Some(status) = service(event, facts) {
        return status;
    }
    if next.certificate.is_some() {
        return Status::blocked(CERTIFICATE);
    }
    match clients::behind(facts, next) {
        Some(units) if pending => {
            Status::waiting(format!("waiting for {units} to know all databases"))
        }
        _ => Status::active(),
    }
}

/// An option that cannot be followed. Which of many settings is wrong, people want to know at once.
pub(crate) fn bad_option(error: &OptionsError) -> Status {
    Status::blocked(match error.option {
        settings::OPTION => error.to_string(),
        _ => CONFIGURATION.to_owned(),
    })
}

/// A follower has what it needs once the leader has published it.
fn follower_ready(next: &Next) -> bool {
    let looks_up = |ini: &pgbouncer::Ini| ini.settings.get("auth_query").is_some();
    let key = interfaces::pgb_peers::secret_keys::AUTH_FILE;
    let listed = next.secret.as_ref().is_some_and(|secret| secret.get(key).is_some());
    listed && next.shared.as_ref().is_some_and(looks_up)
}

fn service(event: &Event, facts: &FullFacts) -> Option<Status> {
    match &facts.service {
        Service::Unreachable => Some(Status::maintenance(SERVICE_COMING)),
        Service::Present(view) if !view.connectable => Some(match event {
            Event::UpdateStatus => Status::blocked(SERVICE_DOWN),
            _ => Status::maintenance(SERVICE_COMING),
        }),
        _ => None,
    }
}

/// What to do about missing rights.
pub(crate) fn no_trust(app: &str) -> String {
    format!("Insufficient permissions, try: `juju trust {app} --scope=cluster`")
}

/// What the log should say about a status that names no details.
pub(crate) fn warnings(facts: &FullFacts) -> Vec<Effect> {
    let common = &facts.common;
    let options = common.options.as_ref().err().or(common.refused.as_ref());
    let options = options.map(ToString::to_string);
    let backend = facts.backend.as_ref().and_then(|backend| backend.problem.as_ref());
    let backend = backend.map(|problem| format!("the backend's databag: {problem}"));
    let clients = clients::problems(facts);
    let clients = clients.into_iter().map(|(_, who, reason)| format!("{who}: {reason}"));
    options.into_iter().chain(backend).chain(clients).map(Effect::Warn).collect()
}

/// The longest reason in a status, in characters: what a client asks for may be of any length.
const REASON_MAX: usize = 300;

/// Blocked for one client: the words that operators know, who it is about, and the reason.
pub(crate) fn about(words: &str, who: &str, reason: &str) -> Status {
    short(words, &format!("{who}: {reason}"))
}

/// Blocked, with as much of the reason as a status has room for.
pub(crate) fn short(words: &str, reason: &str) -> Status {
    let reason: String = reason.chars().take(REASON_MAX).collect();
    Status::blocked(format!("{words}: {reason}"))
}
