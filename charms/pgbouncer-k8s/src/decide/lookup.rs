//! Where passwords are looked up: in one database for all, or in each where PgBouncer is old.

use interfaces::pgb_peers::DatabaseMap;
use pgbouncer::Version;
use postgres::{DatabaseName, RoleName};

use crate::effect::Lookup;
use crate::facts::{Access, FullFacts, Login};
use crate::place;

use super::{clients, legacy};

/// The first release with `auth_dbname`, by which one lookup serves every database.
const ONCE: Version = Version { minor: 19, patch: 0 };

/// Whether one lookup serves every database.
pub(crate) fn once(version: Version) -> bool {
    version >= ONCE
}

/// Where the lookup goes, and where an older charm or PgBouncer may have left it.
pub(crate) fn places(
    facts: &FullFacts,
    map: &DatabaseMap,
) -> (Vec<DatabaseName>, Vec<DatabaseName>) {
    let all = all(map);
    match once(facts.version()) {
        true => all.into_iter().partition(|name| name.as_str() == place::OWN_DATABASE),
        false => (all, Vec::new()),
    }
}

/// Every database that may have a lookup.
pub(crate) fn all(map: &DatabaseMap) -> Vec<DatabaseName> {
    let own = [place::OWN_DATABASE, "postgres"].map(str::to_owned);
    let mapped = map.relations.values().map(|mapped| mapped.name.clone());
    let mut names: Vec<DatabaseName> =
        own.into_iter().chain(mapped).filter_map(|name| name.parse().ok()).collect();
    names.sort();
    names.dedup();
    names
}

/// The superusers whom clients have asked to be: nobody else's may log in by a lookup.
pub(crate) fn superusers(facts: &FullFacts) -> Vec<RoleName> {
    let asks = |client: &&crate::facts::Client| {
        clients::check(facts, client).ok().flatten().is_some_and(|wish| wish.roles.superuser)
    };
    let modern = facts.clients.iter().filter(asks).map(|client| place::client_user(client.id));
    let admin = legacy::wishes(facts).filter(|(client, _)| client.access == Access::Admin);
    let old = admin.map(|(client, _)| {
        let common = &facts.common;
        let made = || place::legacy_user(common.unit.app(), client.id, &common.model);
        legacy::credentials(facts.secret.as_ref(), client).map_or_else(made, |(user, _)| user)
    });
    modern.chain(old).filter_map(|name| name.parse().ok()).collect()
}

/// What a new client's arrival changes: one lookup for all knows it already, unless it is
/// a superuser.
pub(crate) fn for_client(
    facts: &FullFacts,
    login: &Login,
    database: &DatabaseName,
    superuser: bool,
) -> Option<Lookup> {
    let databases = match (once(facts.version()), superuser) {
        (false, _) => vec![database.clone()],
        (true, true) => vec![place::OWN_DATABASE.parse().ok()?],
        (true, false) => Vec::new(),
    };
    Some(Lookup {
        auth_user: place::auth_user(&login.username).parse().ok()?,
        databases,
        superusers: superusers(facts),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Workload;
    use crate::testing;

    #[track_caller]
    fn check(minor: u16, expected: (&[&str], &[&str])) {
        let mut facts = testing::fresh();
        let version = Some(Version { minor, patch: 0 });
        facts.workload = Some(Workload { version, ..Workload::default() });
        let (here, leftovers) = places(&facts, &testing::map(&[(7, "waltz"), (9, "waltz")]));
        let names = |found: Vec<DatabaseName>| -> Vec<String> {
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            (names(here), names(leftovers)),
            (
                expected.0.iter().map(ToString::to_string).collect(),
                expected.1.iter().map(ToString::to_string).collect(),
            )
        );
    }

    #[test]
    fn an_old_pgbouncer_looks_passwords_up_in_each_database() {
        check(18, (&["pgbouncer", "postgres", "waltz"], &[]));
        check(24, (&["pgbouncer"], &["postgres", "waltz"]));
    }
}
