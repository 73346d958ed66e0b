//! What roles may do: what their clients asked for, and nothing more.

use std::collections::BTreeSet;

use juju_names::RelationId;

use crate::far::postgresql::{Cluster, Role};
use crate::history::Client;
use crate::juju::apps::server_user;
use crate::names::MODEL;
use crate::world::State;

use super::login::{able, is_granted};
use super::{old_relations, pooler, relations, residue};

pub(super) fn check(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    // The real charm of PostgreSQL has clients and groups of its own.
    if !able(state) || !state.far.patroni.is_empty() {
        return wrong;
    }
    let lookups: BTreeSet<String> = residue::lookups(state).into_iter().collect();
    let granted = granted(state, clients);
    let superusers = granted.iter().filter(|(client, _, _)| asks_for_superuser(client));
    let superusers: BTreeSet<String> = superusers.map(|(_, _, name)| name.clone()).collect();
    for cluster in state.far.clusters.values() {
        wrong.extend(of_lookups(cluster, &lookups, &superusers));
        for &(client, id, ref name) in &granted {
            let Some(role) = cluster.roles.get(name) else { continue };
            let database = databag(state, id, "database").unwrap_or_default();
            wrong.extend(of_client(cluster, client, role, name, &database));
        }
    }
    wrong
}

/// The clients that have credentials, with their relations and roles.
fn granted<'a>(state: &State, clients: &'a [Client]) -> Vec<(&'a Client, RelationId, String)> {
    let Some(app) = pooler() else { return Vec::new() };
    let underscored = app.as_str().replace('-', "_");
    let (modern, old) = (relations(state, "database"), old_relations(state));
    let mut found = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.app(index);
        let all = if client.old { &old } else { &modern };
        let live = all.iter().filter(|(_, remote)| remote.as_str() == name);
        for (id, remote) in live.filter(|(id, remote)| is_granted(state, *id, remote, client)) {
            let role = match client.old {
                true => format!("{underscored}_user_{id}_{MODEL}"),
                false => server_user(*id),
            };
            let _ = remote;
            found.push((client, *id, role));
        }
    }
    found
}

fn databag(state: &State, id: RelationId, key: &str) -> Option<String> {
    state.model.relation(id)?.app_bags.get(&pooler()?)?.values.get(key).cloned()
}

fn asks_for_superuser(client: &Client) -> bool {
    if client.old { client.is_privileged() } else { client.roles == "superuser" }
}

fn of_client(
    cluster: &Cluster,
    client: &Client,
    role: &Role,
    name: &str,
    database: &str,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{name} {what}"));
        }
    };
    let asked = |word: &str| !client.old && client.roles == word;
    expect(
        role.superuser == asks_for_superuser(client),
        "is a superuser, or is none, against its client's wish",
    );
    let databases = asked("createdb") || asked("admin");
    expect(role.create_db == databases, "may make databases, or may not, against its wish");
    expect(role.member_of.contains("relation_access"), "is in no group of access");
    expect(role.member_of.contains("admin") == asked("admin"), "is an admin against its wish");
    let groups = role.member_of.iter();
    for group in groups.filter(|group| *group != "relation_access" && !asked(group)) {
        expect(false, &format!("is a member of {group} against its client's wish"));
    }
    let uses = cluster.databases.get(database).is_some_and(|database| {
        role.superuser || database.owner.as_deref() == Some(name) || database.users.contains(name)
    });
    expect(uses, "may not make tables in its own database");
    wrong
}

/// Only its user may call a lookup, and where it has none its user has no business. It shows
/// no superuser but those whose clients asked for that.
fn of_lookups(
    cluster: &Cluster,
    lookups: &BTreeSet<String>,
    superusers: &BTreeSet<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, database) in &cluster.databases {
        for (user, lookup) in &database.lookups {
            let only = BTreeSet::from([user.clone()]);
            if !cluster.roles.get(user).is_none_or(|role| role.pinned) {
                wrong.push(format!("{user} asks for passwords wherever {name} says"));
            }
            let shown = lookup.superusers.iter().flatten();
            for shown in shown.filter(|shown| !superusers.contains(*shown)) {
                wrong.push(format!("the lookup of {user} in {name} shows the superuser {shown}"));
            }
            if lookup.usage != only || lookup.execute != only {
                wrong.push(format!("others than {user} may call its lookup in {name}"));
            }
        }
        let idle = |user: &&String| !database.lookups.contains_key(*user);
        for user in lookups.iter().filter(idle).filter(|user| database.connect.contains(*user)) {
            wrong.push(format!("{user} may still connect to {name}, where it has no lookup"));
        }
    }
    wrong
}

/// A client that shares its database with no other owns what is in it.
pub(crate) fn owned(state: &State, clients: &[Client], index: usize) -> Vec<String> {
    let mut all = super::server::clients(state);
    all.extend(relations(state, "database").into_iter().filter(|_| able(state)));
    let related = |index: usize, client: &Client| {
        all.iter().find(|(_, app)| app.as_str() == client.app(index)).map(|(id, _)| *id)
    };
    let Some(client) = clients.get(index).filter(|client| !client.old) else { return Vec::new() };
    let Some(user) = related(index, client).map(server_user) else { return Vec::new() };
    let shares = |(other, of): (usize, &Client)| {
        other != index && of.database == client.database && related(other, of).is_some()
    };
    let known = state.far.clusters.values().any(|cluster| cluster.roles.contains_key(&user));
    if !known || clients.iter().enumerate().any(shares) {
        return Vec::new();
    }
    let owns = |cluster: &Cluster| {
        let database = cluster.databases.get(&client.database);
        database.is_some_and(|database| database.owner.as_ref() == Some(&user))
    };
    let well = state.far.clusters.values().any(owns);
    if well { Vec::new() } else { vec![format!("{user} does not own what only it uses")] }
}
