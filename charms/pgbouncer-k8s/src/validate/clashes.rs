//! The names that clients have: of their databases, and those under which these are read.

use std::collections::BTreeMap;

use juju_charm::{AppName, RelationId};

use crate::databases::DatabaseName;
use crate::facts::FullFacts;
use crate::render::databases::readable;

/// A name that another client has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {name:?} is taken by {by}: choose another database")]
pub(crate) struct Clash {
    name: String,
    by: String,
    /// The client has its credentials: it keeps them until a person decides.
    pub(crate) granted: bool,
}

/// What a client has, or asks for.
struct Claim<'a> {
    id: RelationId,
    app: &'a AppName,
    database: DatabaseName,
    legacy: bool,
    /// It has the name: it was granted, or the units already serve it.
    has: bool,
    granted: bool,
}

/// The clients whose names are others' too. A relation that has a name keeps it; of several that
/// ask for one, the oldest gets it.
pub(crate) fn clashes(facts: &FullFacts) -> BTreeMap<RelationId, Clash> {
    let mut claims = claims(facts);
    claims.sort_by_key(|claim| (!claim.has, claim.id));
    // Each name with its database and whose it is.
    let mut taken: BTreeMap<DatabaseName, (&DatabaseName, String)> = BTreeMap::new();
    let mut clashes = BTreeMap::new();
    for name in wildcards(facts) {
        for alias in readable(name, false) {
            taken.insert(alias, (name, "a client that may use all databases".to_owned()));
        }
    }
    for claim in &claims {
        let names = || readable(&claim.database, claim.legacy).chain([claim.database.clone()]);
        let other = |name: &DatabaseName| taken.get(name).filter(|(of, _)| **of != claim.database);
        let clash = names().find_map(|name| {
            let by = other(&name)?.1.clone();
            Some(Clash { name: name.to_string(), by, granted: claim.granted })
        });
        let refused = clash.as_ref().is_some_and(|clash| !clash.granted);
        clashes.extend(clash.map(|clash| (claim.id, clash)));
        if !refused {
            let who = format!("{} (relation {})", claim.app, claim.id);
            for name in names() {
                taken.entry(name).or_insert_with(|| (&claim.database, who.clone()));
            }
        }
    }
    clashes
}

fn claims(facts: &FullFacts) -> Vec<Claim<'_>> {
    let published = facts.peers.as_ref().and_then(|peers| peers.databases.as_ref());
    let mapped = |id: RelationId, name: &DatabaseName| {
        let found = published.and_then(|map| map.relations.get(&id));
        found.is_some_and(|mapped| mapped.name == *name)
    };
    let modern = facts.clients.iter().filter_map(|client| {
        let request = client.request.as_ref().ok().filter(|r| r.entity_type.is_none());
        let database = client.own.get("database").or(request?.database.as_ref())?;
        // One that cannot be named has no owner, and is refused for that.
        let database = database.parse().ok()?;
        let (id, granted) = (client.id, client.granted());
        let has = granted || mapped(id, &database);
        Some(Claim { id, app: &client.app, database, legacy: false, has, granted })
    });
    let old = facts.legacy.iter().filter_map(|client| {
        let (id, granted) = (client.id, client.granted());
        let known = client.own_app.get("database").filter(|_| granted);
        let database = known.or(client.request.database.as_ref())?.parse().ok()?;
        let has = granted || mapped(id, &database);
        Some(Claim { id, app: &client.app, database, legacy: true, has, granted })
    });
    modern.chain(old).collect()
}

/// The databases beside those of clients that a client of all databases reads on replicas.
fn wildcards(facts: &FullFacts) -> impl Iterator<Item = &DatabaseName> {
    let login = facts.backend.as_ref().and_then(|backend| backend.login.as_ref());
    let replicas = login.is_some_and(|login| !login.replicas.is_empty());
    let published = facts.peers.as_ref().filter(|peers| {
        replicas && peers.databases.as_ref().is_some_and(|map| map.wildcard.is_some())
    });
    published.into_iter().flat_map(|peers| &peers.readonly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::DatabaseMap;
    use crate::fixture::{self, client};

    /// The clients among those of these relations and databases that are refused, with whose
    /// name they asked for; those with a mark have their credentials.
    #[track_caller]
    fn check(clients: &[(u32, &str, bool)], refused: &[(u32, &str, u32)]) {
        let mut facts = fixture::fresh();
        facts.clients = clients.iter().map(|(id, name, _)| client(*id, name)).collect();
        for (client, (_, name, granted)) in facts.clients.iter_mut().zip(clients) {
            if *granted {
                client.own.insert("database".into(), (*name).into());
                client.own.insert("secret-user".into(), "secret:x".into());
            }
        }
        let found = clashes(&facts);
        let found: Vec<(u32, String, String)> =
            found.into_iter().map(|(id, clash)| (id.0, clash.name, clash.by)).collect();
        let refused: Vec<(u32, String, String)> = refused
            .iter()
            .map(|(id, name, by)| (*id, (*name).into(), format!("waltz (relation {by})")))
            .collect();
        assert_eq!(found, refused);
    }

    #[test]
    fn a_readable_name_is_its_clients_only() {
        check(&[(7, "app", false), (8, "app_readonly", false)], &[(8, "app_readonly", 7)]);
        check(&[(7, "app_readonly", false), (8, "app", false)], &[(8, "app_readonly", 7)]);
        check(&[(7, "app", false), (8, "app", false)], &[]);
        check(&[(7, "app", false), (8, "App_ReadOnly", false)], &[]);
        check(&[(7, "app", false), (8, "app_standby", false)], &[]);
    }

    #[test]
    fn who_has_a_name_keeps_it_from_an_older_relation() {
        check(&[(7, "app", false), (8, "app_readonly", true)], &[(7, "app_readonly", 8)]);
        let chain = [(7, "a", false), (8, "a_readonly", false), (9, "a_readonly_readonly", false)];
        check(&chain, &[(8, "a_readonly", 7)]);
    }

    #[test]
    fn a_clash_of_two_that_are_served_is_named() {
        check(&[(7, "app", true), (8, "app_readonly", true)], &[(8, "app_readonly", 7)]);
    }

    #[test]
    fn a_name_without_room_for_a_suffix_takes_no_other() {
        let long = "x".repeat(60);
        check(&[(7, &long, false), (8, &format!("{}_readonly", &long[..54]), false)], &[]);
    }

    #[test]
    fn what_a_client_of_all_databases_reads_is_taken_too() {
        let mut facts = fixture::ready();
        let peers = facts.peers.as_mut().unwrap();
        let wildcard = Some("waltz".parse().unwrap());
        peers.databases = Some(DatabaseMap { wildcard, ..fixture::map(&[]) });
        peers.readonly = vec!["archive".parse().unwrap()];
        facts.clients = vec![client(8, "archive_readonly"), client(9, "archive")];
        let found = clashes(&facts);
        assert_eq!(found.keys().map(|id| id.0).collect::<Vec<_>>(), [8]);
    }
}
