//! Where passwords are looked up: in one database for all, or in each where PgBouncer is old.

use postgres::{DatabaseName, RoleName};

use crate::databases::DatabaseMap;
use crate::effect::Lookup;
use crate::facts::{FullFacts, Login};
use crate::names::{OWN_DATABASE, POSTGRES};
use crate::validate::{GrantRequest, Validated};

use super::Next;

/// Where the lookup goes, and where an older charm or PgBouncer may have left it.
pub(crate) fn places(
    facts: &FullFacts,
    map: &DatabaseMap,
) -> (Vec<DatabaseName>, Vec<DatabaseName>) {
    let all = all(map);
    match facts.version().has_auth_dbname() {
        true => all.into_iter().partition(|name| *name == OWN_DATABASE),
        false => (all, Vec::new()),
    }
}

/// Every database that may have a lookup.
pub(crate) fn all(map: &DatabaseMap) -> Vec<DatabaseName> {
    let mapped = map.relations.values().map(|mapped| mapped.name.sql().clone());
    let mut names: Vec<DatabaseName> = [OWN_DATABASE, POSTGRES].into_iter().chain(mapped).collect();
    names.sort();
    names.dedup();
    names
}

/// The superusers that clients have requested: no other may log in by a lookup.
pub(crate) fn superusers(valid: &Validated) -> Vec<RoleName> {
    let modern = valid.requests().filter(|(_, request)| request.roles.superuser);
    let modern = modern.map(|(_, request)| request.user.clone());
    let admin = valid.legacy.iter().filter(|client| client.is_admin());
    let admin = admin.filter_map(|client| Some(client.served()?.1.clone()));
    modern.chain(admin).collect()
}

/// What a new client's arrival changes: one lookup for all knows it already, unless it is
/// a superuser.
pub(crate) fn for_client(
    facts: &FullFacts,
    next: &Next,
    login: &Login,
    request: &GrantRequest,
) -> Lookup {
    let databases = match (facts.version().has_auth_dbname(), request.roles.superuser) {
        (false, _) => vec![request.database.sql().clone()],
        (true, true) => vec![OWN_DATABASE],
        (true, false) => Vec::new(),
    };
    let superusers = superusers(&next.valid);
    Lookup { auth_user: login.auth_user.clone(), databases, superusers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Workload;
    use crate::fixture;
    use pgbouncer::Version;

    #[track_caller]
    fn check(minor: u16, expected: (&[&str], &[&str])) {
        let mut facts = fixture::fresh();
        let version = Some(Version { minor, patch: 0 });
        facts.workload = Some(Workload { version, ..Workload::default() });
        let (here, stale_lookups) = places(&facts, &fixture::map(&[(7, "waltz"), (9, "waltz")]));
        let names = |found: Vec<DatabaseName>| -> Vec<String> {
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            (names(here), names(stale_lookups)),
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
