//! `pgbouncer.ini` as a value, and its text.

use std::collections::BTreeMap;
use std::fmt;

use crate::connect::pair;
use crate::keys::{Key, KeyError, Reload};
use crate::text::has_control;
use crate::{DatabaseName, Version};

/// A whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini {
    /// `[databases]`, in order.
    pub databases: Vec<Database>,
    /// `[peers]`, in order; the section is left out when empty.
    pub peers: Vec<Peer>,
    /// `[pgbouncer]`, in order.
    pub settings: Settings,
}

/// The clients that an entry of `[databases]` serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Clients that ask for this database.
    Named(DatabaseName),
    /// `*`: clients that ask for any database without an entry.
    Fallback,
}

/// One entry of `[databases]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The clients that it serves.
    pub entry: Entry,
    /// The server's host, or several with commas between.
    pub host: Word,
    /// The server's port.
    pub port: u16,
    /// The database on the server, if not the client's.
    pub dbname: Option<Word>,
    /// The entry through which passwords are looked up, if not this one.
    pub auth_dbname: Option<DatabaseName>,
    /// The user who looks passwords up.
    pub auth_user: Option<Word>,
    /// Server connections per user, if not `default_pool_size`.
    pub pool_size: Option<u32>,
    /// The most server connections, if not `max_db_connections` of `[pgbouncer]`.
    pub max_db_connections: Option<u32>,
}

/// One entry of `[peers]`: another process on the same port, for cancel requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its `peer_id`.
    pub id: u16,
    /// Its host, or the folder of its unix socket.
    pub host: Word,
    /// Its port.
    pub port: u16,
}

/// The settings of `[pgbouncer]`, each known and within its range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static Key, String)>);

/// A value inside a connection string: not empty, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

/// A connection value that PgBouncer would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write {0:?} into a connection string: use a value without control characters")]
pub struct WordError(pub String);

impl Word {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Word {
    type Err = WordError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || has_control(text) {
            return Err(WordError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<&DatabaseName> for Word {
    fn from(name: &DatabaseName) -> Self {
        // A name has letters, digits and `_.-` only.
        Self(name.as_str().to_owned())
    }
}

impl Settings {
    /// Takes over all settings of another, replacing earlier values.
    pub fn extend(&mut self, other: &Self) {
        for (key, value) in &other.0 {
            self.put(key, value.clone());
        }
    }

    fn put(&mut self, key: &'static Key, value: String) {
        // There is one of each key.
        match self.0.iter_mut().find(|(known, _)| std::ptr::eq(*known, key)) {
            Some(slot) => slot.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets `name`, replacing an earlier value.
    ///
    /// # Errors
    /// `KeyError` when PgBouncer has no such setting or would refuse the value.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) -> Result<(), KeyError> {
        let (key, value) = (Key::find(name)?, value.to_string());
        key.check(&value)?;
        self.put(key, value);
        Ok(())
    }

    /// The value of `name`, if the file sets it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.name == name).map(|(_, value)| value.as_str())
    }

    /// The first setting, in order, that a process whose `SHOW CONFIG` is this has not taken: its
    /// name, its value here and there.
    pub fn difference<'a>(
        &'a self,
        shown: &'a BTreeMap<String, String>,
    ) -> Option<(&'static str, &'a str, &'a str)> {
        self.iter().find_map(|(key, asked)| {
            let shown = shown.get(key.name).map(String::as_str).unwrap_or_default();
            (!key.agrees(asked, shown)).then_some((key.name, asked, shown))
        })
    }

    /// All settings in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

impl Ini {
    /// The same file without what `version` does not know.
    pub fn for_version(mut self, version: Version) -> Self {
        self.settings.0.retain(|(key, _)| key.known_to(version));
        if version.minor < 19 {
            self.peers.clear();
            self.databases.iter_mut().for_each(|database| database.auth_dbname = None);
        }
        self
    }

    /// How a process that runs with `self` takes `next`; `None` when nothing differs.
    pub fn change_to(&self, next: &Self) -> Option<Reload> {
        if self == next {
            return None;
        }
        let differs = |(key, value): (&Key, &str), other: &Settings| {
            key.reload == Reload::Restart && other.get(key.name) != Some(value)
        };
        let restart = self.settings.iter().any(|pair| differs(pair, &next.settings))
            || next.settings.iter().any(|pair| differs(pair, &self.settings));
        Some(if restart { Reload::Restart } else { Reload::Signal })
    }
}

impl fmt::Display for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[databases]")?;
        for database in &self.databases {
            writeln!(f, "{database}")?;
        }
        if !self.peers.is_empty() {
            writeln!(f, "\n[peers]")?;
        }
        for peer in &self.peers {
            write!(f, "{} =", peer.id)?;
            pair(f, "host", &peer.host.0)?;
            writeln!(f, " port={}", peer.port)?;
        }
        writeln!(f, "\n[pgbouncer]")?;
        for (key, value) in self.settings.iter() {
            for text in [key.name, " = ", value, "\n"] {
                f.write_str(text)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.entry {
            Entry::Named(name) => name.as_str(),
            Entry::Fallback => "*",
        };
        write!(f, "{name} =")?;
        pair(f, "host", &self.host.0)?;
        if let Some(dbname) = &self.dbname {
            pair(f, "dbname", &dbname.0)?;
        }
        if let Some(dbname) = &self.auth_dbname {
            pair(f, "auth_dbname", dbname.as_str())?;
        }
        write!(f, " port={}", self.port)?;
        if let Some(user) = &self.auth_user {
            pair(f, "auth_user", &user.0)?;
        }
        if let Some(size) = self.pool_size {
            write!(f, " pool_size={size}")?;
        }
        if let Some(most) = self.max_db_connections {
            write!(f, " max_db_connections={most}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Ini {
        let host: Word = "primary.model.svc.cluster.local".parse().unwrap();
        let user: Option<Word> = Some("pgbouncer_auth_relation_id_3".parse().unwrap());
        let name: DatabaseName = "test-database".parse().unwrap();
        let named = Database {
            entry: Entry::Named(name.clone()),
            host,
            port: 5432,
            dbname: Some("test-database".parse().unwrap()),
            auth_dbname: None,
            auth_user: user,
            pool_size: None,
            max_db_connections: None,
        };
        let fallback = Database {
            entry: Entry::Fallback,
            dbname: None,
            auth_dbname: Some(name),
            pool_size: Some(7),
            max_db_connections: Some(9),
            ..named.clone()
        };
        let mut settings = Settings::default();
        settings.set("listen_port", 6432).unwrap();
        settings.set("peer_id", 1).unwrap();
        settings.set("pool_mode", "session").unwrap();
        let host = "/var/lib/pgbouncer/instance_0".parse().unwrap();
        let peers = vec![Peer { id: 1, host, port: 6432 }];
        Ini { databases: vec![named, fallback], peers, settings }
    }

    #[test]
    fn the_file_is_rendered_in_order() {
        insta::assert_snapshot!(sample(), @r#"
        [databases]
        test-database = host=primary.model.svc.cluster.local dbname=test-database port=5432 auth_user=pgbouncer_auth_relation_id_3
        * = host=primary.model.svc.cluster.local auth_dbname=test-database port=5432 auth_user=pgbouncer_auth_relation_id_3 pool_size=7 max_db_connections=9

        [peers]
        1 = host=/var/lib/pgbouncer/instance_0 port=6432

        [pgbouncer]
        listen_port = 6432
        peer_id = 1
        pool_mode = session
        "#);
    }

    #[test]
    fn an_old_pgbouncer_gets_no_peers() {
        let old = sample().for_version(Version { minor: 18, patch: 0 });
        assert!(old.peers.is_empty());
        assert_eq!(old.settings.get("peer_id"), None);
        assert_eq!(old.databases[1].auth_dbname, None);
        assert_eq!(sample().for_version(Version::TRIXIE), sample());
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Ini), expected: Option<Reload>) {
        let mut next = sample();
        edit(&mut next);
        assert_eq!(sample().change_to(&next), expected);
    }

    #[test]
    fn only_some_changes_need_a_restart() {
        check(|_| (), None);
        check(|ini| ini.databases.clear(), Some(Reload::Signal));
        check(|ini| ini.settings.set("pool_mode", "statement").unwrap(), Some(Reload::Signal));
        check(|ini| ini.settings.set("listen_port", 6464).unwrap(), Some(Reload::Restart));
        check(|ini| ini.settings.set("so_reuseport", 1).unwrap(), Some(Reload::Restart));
        check(|ini| ini.settings.0.clear(), Some(Reload::Restart));
    }
}
