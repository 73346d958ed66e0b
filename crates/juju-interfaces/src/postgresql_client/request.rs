//! What the requirer of `postgresql_client` writes.

use crate::{Bag, BagError, json, python, text};

/// The fields a requirer of today asks to get in secrets.
pub const REQUESTABLE: [&str; 8] = [
    "username",
    "password",
    "tls",
    "tls-ca",
    "uris",
    "read-only-uris",
    "entity-name",
    "entity-password",
];

/// The keys of a request.
pub(super) const KEYS: [&str; 5] =
    ["database", "extra-user-roles", "requested-secrets", "provided-secrets", "entity-type"];

/// The most bytes of a request's values: the provider keeps a copy beside the answer, which takes
/// up to six times as many, and a bag that is too large fails its writer's hook.
pub const LARGEST: usize = 64 << 10;

/// A requirer's application bag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The database it wants; `None` until it names one.
    pub database: Option<String>,
    /// Role names, lower case, without blanks.
    pub roles: Vec<String>,
    /// The fields it can read from secrets; `None` for one that knows no secrets.
    pub requested_secrets: Option<Vec<String>>,
    /// The fields it offers in secrets.
    pub provided_secrets: Vec<String>,
    /// `USER` or `GROUP` when it asks for an entity rather than a database.
    pub entity_type: Option<String>,
}

impl Request {
    /// Reads a requirer's application bag.
    ///
    /// # Errors
    /// `BagError` naming the key that holds no list of strings, or the largest one of a request
    /// that is too large.
    pub fn parse(bag: &Bag) -> Result<Self, BagError> {
        let sizes = KEYS.map(|key| (bag.get(key).map_or(0, String::len), key));
        let total: usize = sizes.iter().map(|(size, _)| size).sum();
        if let Some((_, key)) = sizes.into_iter().max().filter(|_| total > LARGEST) {
            let reason = format!("a request may have {LARGEST} bytes, and this one has {total}");
            return Err(BagError::new(key, reason));
        }
        let roles = text(bag, "extra-user-roles").unwrap_or_default();
        Ok(Self {
            database: text(bag, "database").map(str::to_owned),
            roles: roles
                .split(',')
                .map(|role| role.trim().to_lowercase())
                .filter(|role| !role.is_empty())
                .collect(),
            requested_secrets: json(bag, "requested-secrets")?,
            provided_secrets: json(bag, "provided-secrets")?.unwrap_or_default(),
            entity_type: text(bag, "entity-type").map(str::to_owned),
        })
    }

    /// Whether the requirer reads `field` from a secret.
    pub fn wants_in_secret(&self, field: &str) -> bool {
        self.requested_secrets.as_ref().is_some_and(|fields| fields.iter().any(|f| f == field))
    }

    /// What the leader of the requiring application writes into its application bag.
    pub fn render(&self) -> Bag {
        let mut bag = self.render_unit();
        bag.extend(self.database.clone().map(|name| ("database".to_owned(), name)));
        if !self.roles.is_empty() {
            bag.insert("extra-user-roles".to_owned(), self.roles.join(",").to_uppercase());
        }
        bag
    }

    /// What the leader also writes into its unit bag: the lists of secret fields.
    pub fn render_unit(&self) -> Bag {
        let mut bag = Bag::new();
        if let Some(fields) = &self.requested_secrets {
            bag.insert("requested-secrets".to_owned(), python::dumps(fields));
        }
        if !self.provided_secrets.is_empty() {
            bag.insert("provided-secrets".to_owned(), python::dumps(&self.provided_secrets));
        }
        bag
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_request_for_a_backend_is_what_canonicals_charm_writes() {
        let request = Request {
            database: Some("pgbouncer".into()),
            roles: vec!["superuser".into()],
            requested_secrets: Some(REQUESTABLE.map(str::to_owned).to_vec()),
            provided_secrets: vec!["mtls-cert".into()],
            entity_type: None,
        };
        let lines: Vec<String> = request.render().iter().map(|(k, v)| format!("{k}={v}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        database=pgbouncer
        extra-user-roles=SUPERUSER
        provided-secrets=["mtls-cert"]
        requested-secrets=["username", "password", "tls", "tls-ca", "uris", "read-only-uris", "entity-name", "entity-password"]
        "#);
        assert_eq!(Request::parse(&request.render()), Ok(request));
    }

    #[test]
    fn roles_are_trimmed_and_lower_case() {
        let bag = Bag::from([("extra-user-roles".into(), " CREATEDB, CreateRole,,".into())]);
        assert_eq!(Request::parse(&bag).unwrap().roles, ["createdb", "createrole"]);
    }

    #[test]
    fn a_bad_list_is_named() {
        let bag = Bag::from([("requested-secrets".into(), "{".into())]);
        assert_eq!(Request::parse(&bag).unwrap_err().key, "requested-secrets");
    }

    #[test]
    fn a_request_that_is_too_large_is_named_by_its_largest_key() {
        let bag = |size| {
            let roles = "é".repeat(size / 2);
            Bag::from([("database".into(), "d".into()), ("extra-user-roles".into(), roles)])
        };
        assert!(Request::parse(&bag(LARGEST - 2)).is_ok());
        assert_eq!(
            Request::parse(&bag(LARGEST)).unwrap_err().to_string(),
            "cannot use \"extra-user-roles\": a request may have 65536 bytes, and this one has 65537"
        );
    }

    proptest! {
        #[test]
        fn no_bag_breaks_the_reader(
            database in "\\PC*", roles in "\\PC*", requested in "\\PC*", provided in "\\PC*",
        ) {
            let bag = Bag::from([
                ("database".into(), database),
                ("extra-user-roles".into(), roles),
                ("requested-secrets".into(), requested),
                ("provided-secrets".into(), provided),
            ]);
            let _ = Request::parse(&bag);
        }
    }
}
