//! Checkers: they look at the world from outside and know nothing of the charms' code.

mod acted;
mod always;
mod bonds;
mod claim;
mod container;
mod database;
mod login;
mod member;
mod offered;
mod residue;
mod rights;
mod server;
mod truth;
mod upgrade;
mod view;

use std::borrow::Cow;
use std::sync::LazyLock;

use juju_names::{AppName, RelationId, UnitName};
use pgbouncer::Entry;

use crate::far::pgbouncer::Process;
use crate::far::postgresql;
use crate::history::{Client, OPTIONS};
use crate::names::POOLER;
use crate::world::State;

pub(crate) use acted::{acted, cluster, failed, unknown_passwords};
pub(crate) use always::{Watch, always};
pub(crate) use claim::{claims, holds};
pub(crate) use container::failed_changes;
pub(crate) use database::{HEADLESS, blocked, routes};
pub(crate) use login::{cut_off, granted, processes_by_boot, unopened, waiting};
pub(crate) use rights::owned;
pub(crate) use server::able;
pub(crate) use truth::{console, lies, statuses, stuck};
pub(crate) use upgrade::{is_guarded, replaced};
pub(crate) use view::view;

/// What is wrong with a world in which everything has come to rest.
pub(crate) fn at_peace(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = login::check(state, clients);
    wrong.extend(residue::check(state));
    wrong.extend(truth::check(state, clients));
    wrong.extend(container::check(state));
    wrong.extend(database::check(state, clients));
    wrong.extend(rights::check(state, clients));
    wrong
}

/// What is wrong with a world in which update-status has run.
pub(crate) fn settled(state: &State) -> Vec<String> {
    let mut wrong = member::adopted(state);
    wrong.extend(upgrade::outdated(state));
    wrong.extend(residue::barriers(state));
    wrong
}

/// What is wrong with a world without faults before update-status has run.
pub(crate) fn promptly(state: &State, clients: &[Client]) -> Vec<String> {
    if is_prompt(state) { at_peace(state, clients) } else { Vec::new() }
}

/// Whether nothing waits for update-status where there are no faults. No event reports that a load
/// balancer has its address, that no member may lead for certain, nor that a statement comes to an
/// end that waits for a standby which an option keeps away.
pub(crate) fn is_prompt(state: &State) -> bool {
    option(state, "expose-external") != "loadbalancer"
        && !server::is_headless(state)
        && !server::has_invalid_option(state)
}

/// Whether nothing is left to do once hooks have come to rest, where there are no faults. A server
/// that cannot serve is tried again; units that an invalid option stops are not waited for for
/// ever; and no event reports to a client of all databases those that others make beside it.
pub(crate) fn is_done(state: &State) -> bool {
    let beside = server::clients(state).iter().any(|(_, app)| Some(app) != pooler().as_ref());
    let wide = processes(state).iter().any(|(_, _, process)| {
        process.ini.databases.iter().any(|database| database.entry == Entry::Fallback)
    });
    is_prompt(state) && able(state) && !misconfigured(state) && !(beside && wide)
}

/// An option of the pooler as text.
fn option<'a>(state: &'a State, key: &str) -> Cow<'a, str> {
    let app = pooler().and_then(|app| state.model.application(&app));
    match app.and_then(|app| app.effective(key)) {
        Some(serde_json::Value::String(text)) => text.into(),
        Some(value) => value.to_string().into(),
        None => "null".into(),
    }
}

/// The pooler's application.
fn pooler() -> Option<AppName> {
    static NAME: LazyLock<Option<AppName>> = LazyLock::new(|| POOLER.parse().ok());
    NAME.clone()
}

/// The relation in which the poolers are each other's peers.
fn peers<'a>(state: &'a State, app: &AppName) -> Option<&'a juju_model::Relation> {
    let mut all = state.model.relations();
    all.find(|relation| relation.is_peer() && relation.ends.iter().any(|end| end.app == *app))
}

/// The users that this application made for clients that are gone.
fn owed(state: &State, app: &AppName) -> Vec<String> {
    let relation = |name: &str| {
        let id = name.strip_prefix("relation_id_").and_then(|id| id.parse().ok()).map(RelationId);
        id.and_then(|id| state.model.relation(id))
    };
    let made = |name: &str, role: &postgresql::Role| match pooler().as_ref() == Some(app) {
        true => !role.comment.is_empty() && !role.is_of_operator(),
        false => {
            let own = role.comment.is_empty() || role.is_of_operator();
            own && name.starts_with("relation_id_")
        }
    };
    let roles = state.far.clusters.values().flat_map(|cluster| &cluster.roles);
    let gone = roles.filter(|(name, role)| {
        let user = name.starts_with("relation_id_") && relation(name).is_none();
        user && made(name, role)
    });
    gone.map(|(name, _)| name.clone()).collect()
}

/// The processes of every pooler, by unit and service.
fn processes(state: &State) -> Vec<(UnitName, String, &Process)> {
    let all = state.far.processes();
    all.map(|(unit, name, process)| (unit.clone(), name.clone(), process)).collect()
}

/// The live relations at one of the pooler's endpoints, with the application at the other end.
fn relations(state: &State, endpoint: &str) -> Vec<(RelationId, AppName)> {
    let Some(pooler) = pooler() else { return Vec::new() };
    let live = state.model.relations().filter(|relation| relation.life == juju_model::Life::Alive);
    live.filter_map(|relation| {
        let end = relation.end(&pooler).filter(|end| end.endpoint.as_str() == endpoint)?;
        (!relation.is_peer() && end.app == pooler)
            .then(|| relation.remote(&pooler).map(|remote| (relation.id, remote.app.clone())))?
    })
    .collect()
}

/// The live relations of legacy clients.
fn old_relations(state: &State) -> Vec<(RelationId, AppName)> {
    let mut all = relations(state, "db");
    all.extend(relations(state, "db-admin"));
    all
}

/// Whether an invalid value stands in the pooler's options.
fn misconfigured(state: &State) -> bool {
    if pooler().is_none_or(|app| state.model.application(&app).is_none()) {
        return true;
    }
    OPTIONS.iter().any(|spec| !(spec.is_valid)(&option(state, spec.key)))
}
