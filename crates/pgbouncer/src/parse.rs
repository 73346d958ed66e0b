//! Reads `pgbouncer.ini` back.

use crate::connect::{cut, pairs};
use crate::ini::{Database, Entry, Ini, Peer, Word};
use crate::keys::KeyError;

/// A file that was not understood, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IniError {
    /// A line that is neither a section, a comment nor `name = value`.
    #[error("cannot read line {0} of pgbouncer.ini: expected `name = value`")]
    Syntax(usize),
    /// A line before the first section, or in a section this charm does not write.
    #[error("cannot read line {0} of pgbouncer.ini: it stands in no known section")]
    Section(usize),
    /// An entry of `[databases]` or `[peers]` that PgBouncer would refuse.
    #[error("cannot read line {line} of pgbouncer.ini: {reason}")]
    Entry {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that PgBouncer would refuse.
    #[error("cannot read line {line} of pgbouncer.ini")]
    Setting {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        source: KeyError,
    },
}

#[derive(Clone, Copy)]
enum Section {
    None,
    Databases,
    Peers,
    Settings,
}

impl std::str::FromStr for Ini {
    type Err = IniError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ini = Self::default();
        let mut section = Section::None;
        for (index, raw) in text.lines().enumerate() {
            let (line, content) = (index + 1, raw.trim());
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = match name {
                    "databases" => Section::Databases,
                    "peers" => Section::Peers,
                    "pgbouncer" => Section::Settings,
                    _ => return Err(IniError::Section(line)),
                };
                continue;
            }
            let (key, value) = split(content).ok_or(IniError::Syntax(line))?;
            let bad = |reason: String| IniError::Entry { line, reason };
            match section {
                Section::None => return Err(IniError::Section(line)),
                Section::Databases => {
                    ini.databases.push(database(key, value).map_err(bad)?);
                }
                Section::Peers => ini.peers.push(peer(key, value).map_err(bad)?),
                Section::Settings => ini
                    .settings
                    .set(key, value)
                    .map_err(|source| IniError::Setting { line, source })?,
            }
        }
        Ok(ini)
    }
}

/// The key and the value.
fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = cut(line, b'=')?;
    let key = key.trim_end();
    let plain = !key.is_empty() && !key.contains(char::is_whitespace);
    plain.then(|| (key, value.trim()))
}

fn database(key: &str, value: &str) -> Result<Database, String> {
    let entry = match key {
        "*" => Entry::Fallback,
        _ => Entry::Named(key.parse().map_err(text)?),
    };
    let (mut host, mut port) = (None, 5432);
    let (mut dbname, mut auth_dbname, mut auth_user) = (None, None, None);
    let (mut pool_size, mut max_db_connections) = (None, None);
    for (option, value) in pairs(value).ok_or("its connection string is malformed")? {
        match option {
            "host" => host = Some(value.parse().map_err(text)?),
            "port" => port = number(&value)?,
            "dbname" => dbname = Some(value.parse().map_err(text)?),
            "auth_dbname" => auth_dbname = Some(value.parse().map_err(text)?),
            "auth_user" => auth_user = Some(value.parse().map_err(text)?),
            "pool_size" => pool_size = Some(value.parse().map_err(text)?),
            "max_db_connections" => max_db_connections = Some(value.parse().map_err(text)?),
            _ => return Err(format!("{option:?} is an option this charm does not use")),
        }
    }
    let host = host.ok_or("it names no host")?;
    Ok(Database {
        entry,
        host,
        port,
        dbname,
        auth_dbname,
        auth_user,
        pool_size,
        max_db_connections,
    })
}

fn peer(key: &str, value: &str) -> Result<Peer, String> {
    let (mut host, mut port): (Option<Word>, u16) = (None, 6432);
    for (option, value) in pairs(value).ok_or("its connection string is malformed")? {
        match option {
            "host" => host = Some(value.parse().map_err(text)?),
            "port" => port = number(&value)?,
            _ => return Err(format!("{option:?} is an option this charm does not use")),
        }
    }
    Ok(Peer { id: number(key)?, host: host.ok_or("it names no host")?, port })
}

fn number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{text:?} is no number from 1 to 65535")),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;
    use crate::{DatabaseName, Settings};

    fn word() -> impl Strategy<Value = Word> {
        "\\PC{1,20}".prop_filter_map("a value", |text| text.parse().ok())
    }

    fn name() -> impl Strategy<Value = DatabaseName> {
        "\\PC{1,20}".prop_filter_map("a name", |text| text.parse().ok())
    }

    fn some_database() -> impl Strategy<Value = Database> {
        let entry = prop_oneof![name().prop_map(Entry::Named), Just(Entry::Fallback)];
        let rest = (of(1u32..), of(1u32..));
        (entry, word(), 1u16.., of(word()), of(name()), of(word()), rest).prop_map(
            |(entry, host, port, dbname, auth_dbname, auth_user, rest)| Database {
                entry,
                host,
                port,
                dbname,
                auth_dbname,
                auth_user,
                pool_size: rest.0,
                max_db_connections: rest.1,
            },
        )
    }

    fn some_settings() -> impl Strategy<Value = Settings> {
        ("\\PC{0,20}", 1u16.., "(session|transaction)").prop_map(|(query, port, mode)| {
            let mut settings = Settings::default();
            settings.set("auth_query", query.trim()).unwrap();
            settings.set("listen_port", port).unwrap();
            settings.set("pool_mode", mode).unwrap();
            settings
        })
    }

    proptest! {
        #[test]
        fn a_rendered_file_reads_back_the_same(
            databases in prop::collection::vec(some_database(), 0..4),
            peers in prop::collection::vec(
                (1u16.., word(), 1u16..).prop_map(|(id, host, port)| Peer { id, host, port }),
                0..4,
            ),
            settings in some_settings(),
        ) {
            let ini = Ini { databases, peers, settings };
            prop_assert_eq!(ini.to_string().parse(), Ok(ini));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(\\[databases\\]\n)?\\PC*(\n\\PC*){0,4}") {
            let _ = text.parse::<Ini>();
        }
    }

    #[track_caller]
    fn check(text: &str, message: &str) {
        assert_eq!(text.parse::<Ini>().unwrap_err().to_string(), message, "{text:?}");
    }

    #[test]
    fn errors_name_the_line() {
        check("a = b", "cannot read line 1 of pgbouncer.ini: it stands in no known section");
        check("[users]", "cannot read line 1 of pgbouncer.ini: it stands in no known section");
        check("[pgbouncer]\nx", "cannot read line 2 of pgbouncer.ini: expected `name = value`");
        check("\n[pgbouncer]\nx = 1", "cannot read line 3 of pgbouncer.ini");
        check("[databases]\na = port=1", "cannot read line 2 of pgbouncer.ini: it names no host");
        check(
            "[databases]\npgbouncer = host=x",
            "cannot read line 2 of pgbouncer.ini: cannot use \"pgbouncer\" as a database name: \
             PgBouncer reserves it, choose another",
        );
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let text = "; by hand\n[databases]\n*=host = a  port= 1\n\n[pgbouncer]\nlisten_port=7\n";
        let ini: Ini = text.parse().unwrap();
        assert_eq!(ini.databases[0].entry, Entry::Fallback);
        assert_eq!(ini.databases[0].port, 1);
        assert_eq!(ini.settings.get("listen_port"), Some("7"));
    }
}
