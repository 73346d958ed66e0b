//! Names of databases, and which client relation uses which, as the units share it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use juju_charm::RelationId;
use juju_interfaces::pgb_peers;
use pgbouncer::NameError;

/// A database that PostgreSQL and PgBouncer's configuration both can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DatabaseName {
    entry: pgbouncer::DatabaseName,
    sql: postgres::DatabaseName,
}

impl DatabaseName {
    /// The name in `[databases]`.
    pub(crate) fn entry(&self) -> &pgbouncer::DatabaseName {
        &self.entry
    }

    /// The name in a statement.
    pub(crate) fn sql(&self) -> &postgres::DatabaseName {
        &self.sql
    }

    /// The name with a suffix such as `_readonly`, unless that would be too long.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Option<Self> {
        format!("{self}{suffix}").parse().ok()
    }
}

impl FromStr for DatabaseName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // PostgreSQL takes every name that PgBouncer takes.
        let sql = text.parse().map_err(|_| NameError::Character(text.to_owned()));
        Ok(Self { entry: text.parse()?, sql: sql? })
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// Which client relation uses which database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DatabaseMap {
    /// By relation.
    pub(crate) relations: BTreeMap<RelationId, MappedDatabase>,
    /// The database whose lookup function serves every database without an entry.
    pub(crate) wildcard: Option<DatabaseName>,
}

/// A relation's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedDatabase {
    pub(crate) name: DatabaseName,
    /// The relation has the legacy interface `pgsql`.
    pub(crate) legacy: bool,
}

impl DatabaseMap {
    /// The map that the peers' bag has.
    ///
    /// # Errors
    /// `NameError` with the first name that PgBouncer could not read.
    pub(crate) fn parse(wire: &pgb_peers::DatabaseMap) -> Result<Self, NameError> {
        let mapped = |(id, mapped): (&RelationId, &pgb_peers::MappedDatabase)| {
            let name = mapped.name.parse()?;
            Ok((*id, MappedDatabase { name, legacy: mapped.legacy }))
        };
        Ok(Self {
            relations: wire.relations.iter().map(mapped).collect::<Result<_, NameError>>()?,
            wildcard: wire.wildcard.as_deref().map(str::parse).transpose()?,
        })
    }

    /// The map as the bag has it.
    pub(crate) fn wire(&self) -> pgb_peers::DatabaseMap {
        let mapped = |(id, mapped): (&RelationId, &MappedDatabase)| {
            let name = mapped.name.to_string();
            (*id, pgb_peers::MappedDatabase { name, legacy: mapped.legacy })
        };
        pgb_peers::DatabaseMap {
            relations: self.relations.iter().map(mapped).collect(),
            wildcard: self.wildcard.as_ref().map(ToString::to_string),
        }
    }

    /// The digest of the map's text, by which units say which map they serve.
    pub(crate) fn digest(&self) -> String {
        self.wire().digest()
    }

    /// Whether a client uses this database.
    pub(crate) fn uses(&self, name: &DatabaseName) -> bool {
        self.relations.values().any(|mapped| mapped.name == *name)
    }
}
