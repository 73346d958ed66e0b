//! `[databases]` of the configuration: who leads to which server.

use std::collections::BTreeSet;

use juju_interfaces::Endpoint;
use pgbouncer::{Database, Entry};

use crate::databases::{DatabaseMap, DatabaseName, MappedDatabase};
use crate::facts::Login;
use crate::names;
use crate::options::Options;
use crate::render::{RenderError, Shape};

/// The entries that lead to the primary: each database, and what is for reading only where there
/// are no replicas.
pub(crate) fn on_primary(login: &Login, map: &DatabaseMap) -> BTreeSet<Entry> {
    let mut entries = BTreeSet::new();
    for mapped in map.relations.values() {
        entries.insert(Entry::Named(mapped.name.entry().clone()));
        if login.replicas.is_empty() {
            let more = readable(&mapped.name, mapped.legacy);
            entries.extend(more.map(|name| Entry::Named(name.entry().clone())));
        }
    }
    entries.extend(map.wildcard.as_ref().map(|_| Entry::Fallback));
    entries
}

/// The lookup, each database, the same for reading only, the wildcard, and what may be read
/// through it.
pub(crate) fn entries(
    login: &Login,
    options: &Options,
    map: &DatabaseMap,
    shape: &Shape,
) -> Result<Vec<Database>, RenderError> {
    let mut entries = Entries::new(login)?;
    let once = shape.version.has_auth_dbname();
    if once {
        entries.add_lookup()?;
    }
    for mapped in map.relations.values() {
        entries.add_mapped(mapped, options.pool_sizes.get(mapped.name.entry()).copied());
    }
    // A client's own database comes before another's name for reading only.
    for mapped in map.relations.values() {
        for suffix in suffixes(mapped.legacy) {
            entries.add_readable(&mapped.name, suffix, None);
        }
    }
    if let Some(owner) = &map.wildcard {
        let auth_dbname = (!once).then(|| owner.entry().clone());
        entries.found.push(Database { auth_dbname: auth_dbname.clone(), ..entries.rw.clone() });
        // A database that is there comes before another's name for reading only.
        let hides =
            |name: &DatabaseName| readable(name, false).any(|a| shape.readonly.contains(&a));
        let shown = shape.readonly.iter().filter(|name| !hides(name));
        for name in shown.filter(|_| !login.replicas.is_empty()) {
            entries.add_readable(name, "_readonly", auth_dbname.as_ref());
        }
    }
    Ok(entries.found)
}

/// The entries so far, each name once.
struct Entries {
    /// An entry that leads to the primary.
    rw: Database,
    /// An entry that leads to the replicas, or to the primary where there are none.
    ro: Database,
    found: Vec<Database>,
}

impl Entries {
    fn new(login: &Login) -> Result<Self, RenderError> {
        let rw = Database {
            entry: Entry::Fallback,
            host: login.primary.host.parse()?,
            port: login.primary.port,
            dbname: None,
            auth_dbname: None,
            auth_user: Some(login.auth_user.as_str().parse()?),
            pool_size: None,
            max_db_connections: None,
        };
        let (hosts, port) = replicas(login);
        let ro = Database { host: hosts.parse()?, port, ..rw.clone() };
        Ok(Self { rw, ro, found: Vec::new() })
    }

    fn add(&mut self, database: Database) {
        if !self.found.iter().any(|known| known.entry == database.entry) {
            self.found.push(database);
        }
    }

    fn add_lookup(&mut self) -> Result<(), RenderError> {
        self.add(Database {
            entry: Entry::Named(names::LOOKUP_ENTRY.parse()?),
            dbname: Some(names::OWN_DATABASE.as_str().parse()?),
            pool_size: Some(names::LOOKUP_POOL),
            max_db_connections: Some(names::LOOKUP_POOL),
            ..self.rw.clone()
        });
        Ok(())
    }

    fn add_mapped(&mut self, mapped: &MappedDatabase, size: Option<u32>) {
        let name = mapped.name.entry();
        self.add(Database {
            entry: Entry::Named(name.clone()),
            dbname: Some(name.into()),
            pool_size: size,
            max_db_connections: size,
            ..self.rw.clone()
        });
    }

    /// A name by which a database may be read on the replicas.
    fn add_readable(
        &mut self,
        name: &DatabaseName,
        suffix: &str,
        auth_dbname: Option<&pgbouncer::DatabaseName>,
    ) {
        if let Some(entry) = name.entry().with_suffix(suffix).map(Entry::Named) {
            let (auth_dbname, dbname) = (auth_dbname.cloned(), Some(name.entry().into()));
            self.add(Database { entry, dbname, auth_dbname, ..self.ro.clone() });
        }
    }
}

/// The names under which a database of a client can be read only.
pub(crate) fn readable(
    name: &DatabaseName,
    legacy: bool,
) -> impl Iterator<Item = DatabaseName> + use<> {
    let name = name.clone();
    suffixes(legacy).iter().filter_map(move |suffix| name.with_suffix(suffix))
}

/// What the names for reading only end in.
fn suffixes(legacy: bool) -> &'static [&'static str] {
    if legacy { &["_readonly", "_standby"] } else { &["_readonly"] }
}

/// The hosts for reading only and their port; the primary where there are none.
fn replicas(login: &Login) -> (String, u16) {
    let mut all: Vec<&Endpoint> = login.replicas.iter().collect();
    all.sort();
    all.dedup();
    let Some(first) = all.first() else {
        return (login.primary.host.clone(), login.primary.port);
    };
    let same = all.iter().filter(|replica| replica.port == first.port);
    (same.map(|replica| replica.host.as_str()).collect::<Vec<_>>().join(","), first.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use pgbouncer::Version;

    #[test]
    fn without_replicas_reading_goes_to_the_primary() {
        let login = Login { replicas: Vec::new(), ..fixture::login() };
        assert_eq!(replicas(&login), ("postgresql-k8s-primary.m.svc.cluster.local".into(), 5432));
        let names: Vec<&str> = vec!["b", "a", "b"];
        let replicas_of = |port| Login {
            replicas: names.iter().map(|h| Endpoint { host: (*h).into(), port }).collect(),
            ..fixture::login()
        };
        assert_eq!(replicas(&replicas_of(5433)), ("a,b".into(), 5433));
    }

    fn render(options: &Options, map: &DatabaseMap, minor: u16) -> String {
        let version = Version { minor, patch: 0 };
        let readonly = ["waltz", "archive"].map(|name| name.parse().unwrap());
        let shape = Shape { version, share: None, readonly: &readonly };
        let found = entries(&fixture::login(), options, map, &shape).unwrap();
        let host = ".m.svc.cluster.local";
        let user = " auth_user=pgbouncer_auth_relation_id_3";
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(host, "").replace(user, "")
    }

    #[test]
    fn a_wildcard_lets_everything_be_read_on_replicas() {
        let mut map = fixture::map(&[(7, "waltz")]);
        map.wildcard = Some("waltz".parse().unwrap());
        insta::assert_snapshot!(render(&fixture::options(), &map, 24), @r"
        pgbouncer_lookup = host=postgresql-k8s-primary dbname=pgbouncer port=5432 pool_size=4 max_db_connections=4
        waltz = host=postgresql-k8s-primary dbname=waltz port=5432
        waltz_readonly = host=postgresql-k8s-replicas dbname=waltz port=5432
        * = host=postgresql-k8s-primary port=5432
        archive_readonly = host=postgresql-k8s-replicas dbname=archive port=5432
        ");
        insta::assert_snapshot!(render(&fixture::options(), &map, 18), @r"
        waltz = host=postgresql-k8s-primary dbname=waltz port=5432
        waltz_readonly = host=postgresql-k8s-replicas dbname=waltz port=5432
        * = host=postgresql-k8s-primary auth_dbname=waltz port=5432
        archive_readonly = host=postgresql-k8s-replicas dbname=archive auth_dbname=waltz port=5432
        ");
    }

    #[test]
    fn a_database_is_not_hidden_by_the_readable_name_of_another() {
        let map = fixture::map(&[(7, "waltz"), (9, "waltz_readonly")]);
        let text = render(&fixture::options(), &map, 24);
        assert!(
            text.contains("waltz_readonly = host=postgresql-k8s-primary dbname=waltz_readonly")
        );
    }

    #[test]
    fn a_database_that_is_there_is_not_hidden_from_who_may_use_all() {
        let mut map = fixture::map(&[(7, "waltz")]);
        map.wildcard = Some("waltz".parse().unwrap());
        let readonly = ["archive", "archive_readonly"].map(|name| name.parse().unwrap());
        let version = Version { minor: 24, patch: 0 };
        let shape = Shape { version, share: None, readonly: &readonly };
        let found = entries(&fixture::login(), &fixture::options(), &map, &shape).unwrap();
        let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(!text.contains("archive_readonly = "), "{text}");
        assert!(text.contains("archive_readonly_readonly = "), "{text}");
    }

    #[test]
    fn a_database_with_a_size_of_its_own() {
        let mut options = fixture::options();
        options.pool_sizes.insert("waltz".parse().unwrap(), 40);
        let text = render(&options, &fixture::map(&[(7, "waltz")]), 24);
        assert!(text.contains("waltz = host=postgresql-k8s-primary dbname=waltz port=5432 pool_size=40 max_db_connections=40"), "{text}");
    }
}
