//! The application of the real PostgreSQL charm: whether it can serve, its clients, its users.

use std::collections::BTreeMap;

use juju_names::{AppName, RelationId};

use crate::far::patroni;
use crate::far::postgresql::{PERSON, READS_FILES};
use crate::history::DatabaseOp;
use crate::juju::apps::{read_secret, server_user};
use crate::names::SERVER;
use crate::world::State;

/// Roles that the charm, Patroni and PostgreSQL bring.
const OWN: [&str; 10] = [
    PERSON,
    "backup",
    "monitoring",
    "replication",
    "rewind",
    "pg_database_owner",
    "pg_monitor",
    "pg_read_all_data",
    READS_FILES,
    "pg_write_all_data",
];

/// The application, if Patroni runs it here.
pub(super) fn server(state: &State) -> Option<AppName> {
    let app = SERVER.parse().ok()?;
    state.far.patroni.contains_key(&app).then_some(app)
}

/// Whether the clusters of the real charm, if there is one, can be expected to serve.
pub(crate) fn able(state: &State) -> bool {
    let Some(app) = server(state) else { return true };
    let Some(application) = state.model.application(&app) else { return false };
    let units = state.model.units(&app).count();
    application.trust
        && application.life == juju_model::Life::Alive
        && units > 0
        && !misconfigured(state, &app)
        && !no_member_may_lead(state, &app)
        && !state.model.units(&app).any(|unit| state.foreign_volumes.contains(&unit.name))
}

/// Whether an invalid value stands in the options of the charm of PostgreSQL.
pub(super) fn has_invalid_option(state: &State) -> bool {
    server(state).is_some_and(|app| misconfigured(state, &app))
}

/// Whether an invalid value stands in the options.
fn misconfigured(state: &State, app: &AppName) -> bool {
    let config = state.model.application(app).map(|app| app.effective_config());
    config.unwrap_or_default().into_iter().any(|(key, value)| {
        let value = value.unwrap_or_default();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        DatabaseOp::is_invalid(&key, &text)
    })
}

/// The relations of clients, with the application at the other end.
pub(super) fn clients(state: &State) -> Vec<(RelationId, AppName)> {
    let Some(app) = server(state) else { return Vec::new() };
    let live = state.model.relations().filter(|relation| relation.life == juju_model::Life::Alive);
    live.filter_map(|relation| {
        let is_of_clients = |name: &str| ["database", "db", "db-admin"].contains(&name);
        let end = relation.end(&app).filter(|end| is_of_clients(end.endpoint.as_str()))?;
        let remote = relation.remote(&app).filter(|remote| remote.app != end.app)?;
        Some((relation.id, remote.app.clone()))
    })
    .collect()
}

/// The roles of clients whose charm asked, or will ask again: one without units may never have.
pub(super) fn certain(state: &State) -> Vec<String> {
    let clients = clients(state).into_iter();
    let present = clients.filter(|(_, app)| state.model.units(app).next().is_some());
    present.map(|(id, _)| server_user(id)).chain(OWN.map(str::to_owned)).collect()
}

/// The roles that may be in the cluster of the real charm.
pub(super) fn users(state: &State) -> Vec<String> {
    if server(state).is_none() {
        return Vec::new();
    }
    let of_clients = clients(state).into_iter().map(|(id, _)| server_user(id));
    of_clients.chain(OWN.map(str::to_owned)).collect()
}

/// The passwords that the charm keeps, by user.
pub(super) fn kept(state: &State, app: &AppName) -> BTreeMap<String, String> {
    let label = format!("database-peers.{app}.app");
    let secret = state.model.secrets().find(|secret| secret.label.as_deref() == Some(&label));
    let content = secret.and_then(|secret| read_secret(state, &secret.id.to_string()));
    let fields = content.unwrap_or_default().into_iter();
    fields
        .filter_map(|(key, value)| Some((key.strip_suffix("-password")?.to_owned(), value)))
        .collect()
}

/// Whether no member leads and none may.
pub(super) fn no_member_may_lead(state: &State, app: &AppName) -> bool {
    patroni::is_headless(&state.far, app, state.model.units(app).map(|unit| &unit.name))
}

/// Whether it is certain that no member may lead.
pub(super) fn is_headless(state: &State) -> bool {
    server(state).is_some_and(|app| no_member_may_lead(state, &app)) && !able(state)
}
