//! Nothing survives its relation: roles, lookups, secrets.

use std::collections::BTreeSet;

use juju_names::RelationId;

use crate::far::postgresql::PERSON;
use crate::juju::apps::{read_secret, server_user};
use crate::names::MODEL;
use crate::world::State;

use super::{misconfigured, old_relations, pooler, processes, relations};

/// The users who look passwords up.
pub(super) fn lookups(state: &State) -> Vec<String> {
    let backend = relations(state, "backend-database");
    backend.iter().map(|(id, _)| format!("pgbouncer_auth_{}", server_user(*id))).collect()
}

/// The roles of live relations and of the server itself.
pub(super) fn known(state: &State) -> BTreeSet<String> {
    let Some(pooler) = pooler() else { return BTreeSet::new() };
    let modern = relations(state, "database");
    let old = old_relations(state);
    let backend = relations(state, "backend-database");
    let clients = modern.iter().map(|(id, _)| server_user(*id));
    let underscored = pooler.as_str().replace('-', "_");
    let old_users = old.iter().map(|(id, _)| format!("{underscored}_user_{id}_{MODEL}"));
    let servers = backend.iter().map(|(id, _)| server_user(*id));
    let own =
        ["operator", "admin", "identity_access", "internal_access", "relation_access", PERSON];
    let direct = super::server::users(state);
    clients
        .chain(old_users)
        .chain(servers)
        .chain(lookups(state))
        .chain(own.map(str::to_owned))
        .chain(direct)
        .collect()
}

pub(super) fn check(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(pooler) = pooler() else { return wrong };
    let modern = relations(state, "database");
    let (known, lookups) = (known(state), lookups(state));
    // One that a client waits for counts too.
    let mut used = used_databases(state);
    for (id, _) in modern.iter().chain(&old_relations(state)) {
        let bags = state.model.relation(*id).into_iter().flat_map(|relation| &relation.app_bags);
        used.extend(bags.filter_map(|(_, bag)| bag.values.get("database").cloned()));
    }
    // Without a pooler no unit is left to clean up; where an option keeps PgBouncer from starting,
    // that waits until it is mended.
    let alone = state.model.units(&pooler).count() == 0 || misconfigured(state);
    // A server whose relation ended needs no pooler for that.
    let able = super::server::able(state);
    for cluster in state.far.clusters.values().filter(|_| able && (!alone || lookups.is_empty())) {
        // PostgreSQL brings those that begin so.
        let lost = |role: &&String| !known.contains(*role) && !role.starts_with("pg_");
        for role in cluster.roles.keys().filter(lost) {
            wrong.push(format!("the role {role} survives its relation"));
        }
        for (name, database) in &cluster.databases {
            for user in database.lookups.keys() {
                if !lookups.contains(user) || !used.contains(name) {
                    wrong.push(format!("the lookup of {user} in {name} survives"));
                }
            }
        }
    }
    // The leader keeps a client's secret until the server is back to drop the client's user, or, a
    // new one, is set up, which the charm is not trusted to do.
    let known = |user: &String| state.far.clusters.values().any(|c| c.roles.contains_key(user));
    let set_up = lookups.iter().all(known) || super::login::able(state);
    let waits = alone || !(lookups.is_empty() || able && set_up);
    for secret in state.model.secrets() {
        let Some(label) = secret.label.as_deref().filter(|label| label.ends_with(".user.secret"))
        else {
            continue;
        };
        let id = label.split('.').nth(1).and_then(|id| id.parse::<u32>().ok()).map(RelationId);
        let owner = matches!(&secret.owner, juju_model::Owner::App(app) if *app == pooler);
        let live = modern.iter().any(|(live, _)| Some(*live) == id);
        if owner && !live && !waits {
            wrong.push(format!("the secret {label} survives its relation"));
        }
    }
    wrong.extend(state.model.units(&pooler).flat_map(|unit| stale_keys(state, unit)));
    let own = |secret: &&juju_model::Secret| matches!(&secret.owner, juju_model::Owner::App(app) if *app == pooler);
    for secret in state.model.secrets().filter(own).filter(|_| !alone) {
        let untracked = secret.tracking.values().all(|seen| seen.revision == secret.latest);
        if secret.revisions.len() > 1 && untracked {
            let label = secret.label.as_deref().unwrap_or_default();
            wrong.push(format!("revisions of {label} that nobody reads are kept"));
        }
    }
    if lookups.is_empty() && !alone {
        wrong.extend(without_backend(state));
    }
    wrong
}

/// Poolers that remember since when clients wait although none does.
pub(super) fn barriers(state: &State) -> Vec<String> {
    let (modern, old) = (relations(state, "database"), old_relations(state));
    // One that asks for what the server refuses waits for ever.
    let waits = modern.iter().chain(&old).any(|(id, _)| told(state, *id).is_none());
    let frozen = waits || misconfigured(state) || !super::server::able(state);
    let Some(pooler) = pooler() else { return Vec::new() };
    let units = state.model.units(&pooler);
    let waiting = units.filter(|unit| !frozen && unit.state.contains_key("barrier"));
    waiting
        .map(|unit| format!("{} remembers clients that wait, but none does", unit.name))
        .collect()
}

/// What a unit remembers of relations that are gone.
fn stale_keys(state: &State, unit: &juju_model::Unit) -> Vec<String> {
    let gone = |key: &&String| {
        let id = key.strip_prefix("bag:").and_then(|rest| rest.split('/').next()?.parse().ok());
        id.is_some_and(|id| state.model.relation(RelationId(id)).is_none())
    };
    let keys = unit.state.keys().filter(gone);
    keys.map(|key| format!("{} remembers {key}, which is gone", unit.name)).collect()
}

/// The database that was published to a client.
fn told(state: &State, id: RelationId) -> Option<&String> {
    state.model.relation(id)?.app_bags.get(&pooler()?)?.values.get("database")
}

/// The databases in which a lookup may be.
pub(super) fn used_databases(state: &State) -> BTreeSet<String> {
    let (modern, old) = (relations(state, "database"), old_relations(state));
    let bags = modern.iter().chain(&old).filter_map(|(id, _)| told(state, *id).cloned());
    let backend = !relations(state, "backend-database").is_empty();
    let own = ["postgres", "pgbouncer"].map(str::to_owned);
    bags.chain(own.into_iter().filter(|_| backend)).collect()
}

/// Without a server no process keeps a way to one.
fn without_backend(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    // An invalid option changes nothing, until it is mended.
    let frozen = misconfigured(state);
    for (unit, service, process) in processes(state).into_iter().filter(|_| !frozen) {
        if process.setting("auth_query").is_some() || !process.ini.databases.is_empty() {
            wrong.push(format!("{service} of {unit} still knows the server that is gone"));
        }
    }
    for secret in state.model.secrets() {
        let content = read_secret(state, &secret.id.to_string()).unwrap_or_default();
        if content.keys().any(|key| key.contains("auth-file")) {
            wrong.push("the user list survives its server".to_owned());
        }
    }
    wrong
}
