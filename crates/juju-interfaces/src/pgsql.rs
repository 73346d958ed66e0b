//! The legacy interface `pgsql` (endpoints `db` and `db-admin`).

use secrecy::{ExposeSecret, SecretString};

use crate::{Bag, text};

/// What a legacy client writes into its application bag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The database it wants.
    pub database: Option<String>,
    /// Extensions it needs, each `name` or `name:schema`.
    pub extensions: Vec<String>,
    /// The roles that it names, which no charm of today gives by this interface.
    pub roles: Option<String>,
}

impl Request {
    /// Reads a client's application bag; nothing in it can be malformed.
    pub fn parse(bag: &Bag) -> Self {
        let extensions = text(bag, "extensions").unwrap_or_default();
        Self {
            database: text(bag, "database").map(str::to_owned),
            extensions: extensions
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            roles: text(bag, "roles").map(str::to_owned),
        }
    }
}

/// How a legacy client connects: the text under `master` and `standbys`.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The server's host.
    pub host: String,
    /// The database.
    pub dbname: String,
    /// The server's port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
    /// The client application, which PostgreSQL's logs then name.
    pub application: String,
}

impl Connection {
    /// The connection string, in the order that clients know.
    pub fn render(&self) -> SecretString {
        let Self { host, dbname, port, user, application, .. } = self;
        let password = self.password.expose_secret();
        SecretString::from(format!(
            "host={host} dbname={dbname} port={port} user={user} password={password} \
             fallback_application_name={application}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_split() {
        let bag = Bag::from([("extensions".into(), "pg_trgm, unaccent:public".into())]);
        assert_eq!(Request::parse(&bag).extensions, ["pg_trgm", "unaccent:public"]);
    }

    #[test]
    fn the_connection_string_keeps_its_order() {
        let connection = Connection {
            host: "h".into(),
            dbname: "waltz".into(),
            port: 6432,
            user: "u".into(),
            password: SecretString::from("p"),
            application: "waltz".into(),
        };
        insta::assert_snapshot!(connection.render().expose_secret(), @"host=h dbname=waltz port=6432 user=u password=p fallback_application_name=waltz");
    }
}
