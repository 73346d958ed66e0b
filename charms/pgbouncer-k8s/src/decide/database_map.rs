//! Which client relation uses which database, and what goes with a relation that has ended.

use std::collections::BTreeSet;

use juju_charm::{RelationId, Write};
use juju_interfaces::postgresql_client::secret_label;
use postgres::{NameError, RoleName};

use crate::databases::{DatabaseMap, DatabaseName, MappedDatabase};
use crate::effect::Effect;
use crate::endpoint::{CLIENTS, Endpoint};
use crate::facts::{FullFacts, Peers};
use crate::names::{OWN_DATABASE, POSTGRES};
use crate::validate::{Validated, client_user, legacy};

use super::{Next, Step};

/// The map after this hook, and what has to go from PostgreSQL because its relation went.
///
/// Only the leader changes the map, and only while PostgreSQL lets it in: so a relation
/// that ends while PostgreSQL is away is cleaned up later. Without a backend there is
/// nothing to clean up but the secret.
pub(crate) fn next(
    facts: &FullFacts,
    valid: &Validated,
    step: &Step,
) -> (DatabaseMap, Vec<Effect>) {
    let Some(peers) = &facts.peers else { return Default::default() };
    let mut map = peers.databases.clone().unwrap_or_default();
    let login = step.login();
    let alone = facts.common.leader && facts.backend.is_none();
    if login.is_none() && !alone {
        return (map, Vec::new());
    }
    let auth_user = login.map(|login| &login.auth_user);
    let removals = database_broken(facts, valid, &mut map, auth_user);
    if login.is_some() {
        let modern = valid.requests();
        let modern = modern.map(|(client, request)| (client.relation.id, &request.database, false));
        let old = valid.legacy.iter().filter_map(|client| Some((client, client.served()?)));
        let old = old.map(|(client, (database, _))| (client.relation.id, database, true));
        let wanted = modern
            .chain(old)
            .map(|(id, name, legacy)| (id, MappedDatabase { name: name.clone(), legacy }));
        map.relations.extend(wanted);
    }
    map.wildcard = wildcard(valid, &map);
    (map, removals)
}

/// The charts "database broken" and "db broken": takes ended relations out of the map. As long as
/// Juju knows an application whose relation's events this unit has not had yet, it is unknown which
/// have ended.
fn database_broken(
    facts: &FullFacts,
    valid: &Validated,
    map: &mut DatabaseMap,
    auth_user: Option<&RoleName>,
) -> Vec<Effect> {
    if facts.events_pending {
        return Vec::new();
    }
    let leaves = |id: RelationId| {
        let left = |peers: &Peers| CLIENTS.iter().any(|name| peers.leaves(name.as_str(), id));
        facts.peers.as_ref().is_some_and(left)
    };
    let ended = map.relations.keys().copied().filter(|id| !valid.knows(*id) && !leaves(*id));
    let mut removals = Vec::new();
    for relation in ended.collect::<Vec<_>>() {
        let Some(old) = map.relations.remove(&relation) else { continue };
        let Some(auth_user) = auth_user else {
            let label = secret_label(Endpoint::Database, relation, "user");
            removals.push(Write::RemoveSecret(label).into());
            continue;
        };
        let unused = !map.uses(&old.name) && !facts.version().has_auth_dbname();
        let lookup = unused.then(|| (old.name.sql().clone(), auth_user.clone()));
        removals.push(match user_of(facts, relation, &old) {
            Ok(user) => Effect::RemoveClient { relation, user, lookup },
            Err(error) => Write::warning(error.to_string()).into(),
        });
    }
    removals
}

/// Users that this charm made and that no relation has: the hook that made them did not come to
/// its end, and its relation ended before the next.
pub(crate) fn orphaned_users(facts: &FullFacts, next: &Next) -> Option<Effect> {
    let (Step::Ready(login), true) = (&next.step, facts.common.leader) else { return None };
    let published = facts.peers.iter().filter_map(|peers| peers.databases.as_ref());
    let maps = published.chain([&next.map]).flat_map(|map| &map.relations);
    let mapped = maps.map(|(id, mapped)| user_of(facts, *id, mapped));
    let old = facts.legacy.iter().map(|client| legacy::user_of(facts, client.id));
    let modern = facts.clients.iter().map(|client| client_user(client.id));
    let known: BTreeSet<RoleName> = mapped.chain(old).flatten().chain(modern).collect();
    let own = [&login.auth_user, &login.username];
    let owned = facts.backend.iter().filter_map(|backend| backend.owned_roles.as_ref()).flatten();
    let users = owned.filter(|user| !known.contains(user) && !own.contains(user)).cloned();
    let users: Vec<RoleName> = users.collect();
    let kept = next.map.relations.values().map(|mapped| mapped.name.sql().clone());
    let kept = kept.chain([POSTGRES, OWN_DATABASE]).collect();
    let auth_user = login.auth_user.clone();
    (!users.is_empty()).then_some(Effect::RemoveOrphanedUsers { users, auth_user, kept })
}

/// The user that a relation had.
pub(crate) fn user_of(
    facts: &FullFacts,
    id: RelationId,
    mapped: &MappedDatabase,
) -> Result<RoleName, NameError> {
    if mapped.legacy { legacy::user_of(facts, id) } else { Ok(client_user(id)) }
}

/// The database whose lookup serves databases without an entry; it goes with its owner.
fn wildcard(valid: &Validated, map: &DatabaseMap) -> Option<DatabaseName> {
    let modern = valid.requests().filter(|(_, request)| request.privileged);
    let modern = modern.map(|(_, request)| &request.database);
    let old = valid.legacy.iter().filter(|client| client.is_admin());
    let old = old.filter_map(|client| Some(client.served()?.0));
    let mut owners = modern.chain(old).peekable();
    let first = owners.peek().copied().cloned();
    let kept = map.wildcard.clone().filter(|name| owners.any(|owner| owner == name));
    kept.or(first)
}
