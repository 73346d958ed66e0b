//! `[databases]` of the configuration: who leads to which server.

use std::collections::BTreeSet;

use interfaces::Endpoint;
use interfaces::pgb_peers::{DatabaseMap, MappedDatabase};
use pgbouncer::{Database, DatabaseName, Entry};

use crate::decide::lookup;
use crate::facts::Login;
use crate::options::Options;
use crate::place;
use crate::shared::{RenderError, Shape};

/// The names of the entries that lead to the primary: each database, and what is for reading
/// only where there are no replicas.
pub(crate) fn on_primary(login: &Login, map: &DatabaseMap) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for mapped in map.relations.values() {
        names.insert(mapped.name.clone());
        if login.replicas.is_empty() {
            let more = suffixes(mapped.legacy).iter();
            names.extend(more.map(|suffix| format!("{}{suffix}", mapped.name)));
        }
    }
    names.extend(map.wildcard.as_ref().map(|_| "*".to_owned()));
    names
}

/// The lookup, each database, the same for reading only, the wildcard, and what may be read
/// through it.
pub(crate) fn entries(
    login: &Login,
    options: &Options,
    map: &DatabaseMap,
    shape: &Shape,
) -> Result<Vec<Database>, RenderError> {
    let mut entries = Entries::new(login, shape.timeline)?;
    let once = lookup::once(shape.version);
    if once {
        entries.add_lookup()?;
    }
    for mapped in map.relations.values() {
        entries.add_mapped(mapped, options.pool_sizes.get(&mapped.name).copied())?;
    }
    // A client's own database comes before another's name for reading only.
    for mapped in map.relations.values() {
        for suffix in suffixes(mapped.legacy) {
            entries.add_readable(&mapped.name, suffix, None)?;
        }
    }
    if let Some(owner) = &map.wildcard {
        let auth_dbname = if once { None } else { Some(owner.parse()?) };
        entries.found.push(Database { auth_dbname: auth_dbname.clone(), ..entries.rw.clone() });
        // A database that is there comes before another's name for reading only.
        let hides = |name: &String| readable(name, false).any(|a| shape.readonly.contains(&a));
        let shown = shape.readonly.iter().filter(|name| !hides(name));
        for name in shown.filter(|_| !login.replicas.is_empty()) {
            entries.add_readable(name, "_readonly", auth_dbname.as_ref())?;
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
    /// Once a primary took over from another, every entry names the timeline: a process that
    /// reads a new one leaves its connections to the old primary as clients release them.
    fn new(login: &Login, timeline: Option<u32>) -> Result<Self, RenderError> {
        let again = timeline.filter(|timeline| *timeline > 1);
        let connect_query = again.map(|timeline| format!("-- timeline {timeline}").parse());
        let rw = Database {
            entry: Entry::Fallback,
            host: login.primary.host.parse()?,
            port: login.primary.port,
            dbname: None,
            auth_dbname: None,
            auth_user: Some(place::auth_user(&login.username).parse()?),
            pool_size: None,
            max_db_connections: None,
            connect_query: connect_query.transpose()?,
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
            entry: Entry::Named(place::LOOKUP_ENTRY.parse()?),
            dbname: Some(place::OWN_DATABASE.parse()?),
            pool_size: Some(place::LOOKUP_POOL),
            max_db_connections: Some(place::LOOKUP_POOL),
            ..self.rw.clone()
        });
        Ok(())
    }

    fn add_mapped(
        &mut self,
        mapped: &MappedDatabase,
        size: Option<u32>,
    ) -> Result<(), RenderError> {
        let (entry, dbname) = (Entry::Named(mapped.name.parse()?), Some(mapped.name.parse()?));
        let (pool_size, max_db_connections) = (size, size);
        let rw = self.rw.clone();
        self.add(Database { entry, dbname, pool_size, max_db_connections, ..rw });
        Ok(())
    }

    /// A name by which a database may be read on the replicas.
    fn add_readable(
        &mut self,
        name: &str,
        suffix: &str,
        auth_dbname: Option<&DatabaseName>,
    ) -> Result<(), RenderError> {
        // PostgreSQL has names that PgBouncer cannot serve: they are left out.
        let Ok(parsed) = name.parse::<DatabaseName>() else { return Ok(()) };
        if let Some(entry) = parsed.with_suffix(suffix).map(Entry::Named) {
            let auth_dbname = auth_dbname.cloned();
            let dbname = Some(name.parse()?);
            self.add(Database { entry, dbname, auth_dbname, ..self.ro.clone() });
        }
        Ok(())
    }
}

/// The names under which a database of a client can be read only.
pub(crate) fn readable(name: &str, legacy: bool) -> impl Iterator<Item = String> {
    let parsed = name.parse::<DatabaseName>().ok();
    let suffixes = suffixes(legacy).iter();
    suffixes.filter_map(move |suffix| {
        parsed.as_ref().and_then(|name| name.with_suffix(suffix)).map(|name| name.to_string())
    })
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
    use crate::testing;
    use pgbouncer::Version;

    #[test]
    fn without_replicas_reading_goes_to_the_primary() {
        let login = Login { replicas: Vec::new(), ..testing::login() };
        assert_eq!(replicas(&login), ("postgresql-k8s-primary.m.svc.cluster.local".into(), 5432));
        let names: Vec<&str> = vec!["b", "a", "b"];
        let replicas_of = |port| Login {
            replicas: names.iter().map(|h| Endpoint { host: (*h).into(), port }).collect(),
            ..testing::login()
        };
        assert_eq!(replicas(&replicas_of(5433)), ("a,b".into(), 5433));
    }

    fn render(options: &Options, map: &DatabaseMap, minor: u16) -> String {
        let version = Version { minor, patch: 0 };
        let readonly = ["waltz".to_owned(), "archive".to_owned()];
        let shape = Shape { version, share: None, readonly: &readonly, timeline: None };
        let found = entries(&testing::login(), options, map, &shape).unwrap();
        let host = ".m.svc.cluster.local";
        let user = " auth_user=pgbouncer_auth_relation_id_3";
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(host, "").replace(user, "")
    }

    #[test]
    fn a_wildcard_lets_everything_be_read_on_replicas() {
        let mut map = testing::map(&[(7, "waltz")]);
        map.wildcard = Some("waltz".into());
        insta::assert_snapshot!(render(&testing::options(), &map, 24), @r"
        pgbouncer_lookup = host=postgresql-k8s-primary dbname=pgbouncer port=5432 pool_size=4 max_db_connections=4
        waltz = host=postgresql-k8s-primary dbname=waltz port=5432
        waltz_readonly = host=postgresql-k8s-replicas dbname=waltz port=5432
        * = host=postgresql-k8s-primary port=5432
        archive_readonly = host=postgresql-k8s-replicas dbname=archive port=5432
        ");
        insta::assert_snapshot!(render(&testing::options(), &map, 18), @r"
        waltz = host=postgresql-k8s-primary dbname=waltz port=5432
        waltz_readonly = host=postgresql-k8s-replicas dbname=waltz port=5432
        * = host=postgresql-k8s-primary auth_dbname=waltz port=5432
        archive_readonly = host=postgresql-k8s-replicas dbname=archive auth_dbname=waltz port=5432
        ");
    }

    #[test]
    fn a_database_is_not_hidden_by_the_readable_name_of_another() {
        let map = testing::map(&[(7, "waltz"), (9, "waltz_readonly")]);
        let text = render(&testing::options(), &map, 24);
        assert!(
            text.contains("waltz_readonly = host=postgresql-k8s-primary dbname=waltz_readonly")
        );
    }

    #[test]
    fn a_database_that_is_there_is_not_hidden_from_who_may_use_all() {
        let mut map = testing::map(&[(7, "waltz")]);
        map.wildcard = Some("waltz".into());
        let readonly = ["archive".to_owned(), "archive_readonly".to_owned()];
        let version = Version { minor: 24, patch: 0 };
        let shape = Shape { version, share: None, readonly: &readonly, timeline: None };
        let found = entries(&testing::login(), &testing::options(), &map, &shape).unwrap();
        let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(!text.contains("archive_readonly = "), "{text}");
        assert!(text.contains("archive_readonly_readonly = "), "{text}");
    }

    #[test]
    fn a_database_with_a_size_of_its_own() {
        let mut options = testing::options();
        options.pool_sizes.insert("waltz".into(), 40);
        let text = render(&options, &testing::map(&[(7, "waltz")]), 24);
        assert!(text.contains("waltz = host=postgresql-k8s-primary dbname=waltz port=5432 pool_size=40 max_db_connections=40"), "{text}");
    }
}
