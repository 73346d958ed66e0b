//! What the provider of `postgresql_client` writes.

use juju_names::SecretId;
use secrecy::{ExposeSecret, SecretString};

use crate::{Bag, BagError, Endpoints, parsed, text};

/// A provider's application bag.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The database it granted.
    pub database: Option<String>,
    /// Where clients read and write.
    pub endpoints: Option<Endpoints>,
    /// Where clients only read.
    pub read_only_endpoints: Option<Endpoints>,
    /// The server's version, such as `16.4`.
    pub version: Option<String>,
    /// The secret with `username`, `password`, `uris`, `read-only-uris`.
    pub secret_user: Option<SecretId>,
    /// The secret with `tls`, `tls-ca`.
    pub secret_tls: Option<SecretId>,
    /// Credentials in plain text, from a provider without secrets.
    pub plain: Option<Credentials>,
    /// Nothing is to be used until one of the provider's units says it is ready.
    pub subordinated: bool,
}

/// A user and its password, and the connection strings made of them.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
    /// `postgresql://` addresses with the password in them.
    pub uris: Option<SecretString>,
    /// The same for reading only.
    pub read_only_uris: Option<SecretString>,
}

impl Credentials {
    /// Reads the fields of a `user` secret; `None` unless name and password are there.
    pub fn read(field: impl Fn(&str) -> Option<SecretString>) -> Option<Self> {
        Some(Self {
            username: field("username")?.expose_secret().to_owned(),
            password: field("password")?,
            uris: field("uris"),
            read_only_uris: field("read-only-uris"),
        })
    }

    /// The fields of a `user` secret, those that are set.
    pub fn fields(&self) -> Vec<(&'static str, SecretString)> {
        let mut fields = vec![
            ("username", SecretString::from(self.username.clone())),
            ("password", self.password.clone()),
        ];
        fields.extend(self.uris.clone().map(|uris| ("uris", uris)));
        fields.extend(self.read_only_uris.clone().map(|uris| ("read-only-uris", uris)));
        fields
    }
}

impl Offer {
    /// Reads a provider's application bag.
    ///
    /// # Errors
    /// `BagError` naming the key with a malformed address or secret id.
    pub fn parse(bag: &Bag) -> Result<Self, BagError> {
        let plain = |key: &str| text(bag, key).map(SecretString::from);
        Ok(Self {
            database: text(bag, "database").map(str::to_owned),
            endpoints: parsed(bag, "endpoints")?,
            read_only_endpoints: parsed(bag, "read-only-endpoints")?,
            version: text(bag, "version").map(str::to_owned),
            secret_user: parsed(bag, "secret-user")?,
            secret_tls: parsed(bag, "secret-tls")?,
            plain: Credentials::read(plain),
            subordinated: text(bag, "subordinated") == Some("true"),
        })
    }

    /// What the leader of the providing application writes. Credentials in plain text are
    /// written only if `plain` is set, for a client that knows no secrets.
    pub fn render(&self) -> Bag {
        let mut bag = Bag::new();
        let mut put = |key: &str, value: Option<String>| {
            bag.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("database", self.database.clone());
        put("endpoints", self.endpoints.as_ref().map(Endpoints::to_string));
        put("read-only-endpoints", self.read_only_endpoints.as_ref().map(Endpoints::to_string));
        put("version", self.version.clone());
        put("secret-user", self.secret_user.as_ref().map(SecretId::to_string));
        put("secret-tls", self.secret_tls.as_ref().map(SecretId::to_string));
        put("subordinated", self.subordinated.then(|| "true".to_owned()));
        for (key, value) in self.plain.iter().flat_map(Credentials::fields) {
            put(key, Some(value.expose_secret().to_owned()));
        }
        bag
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_offer_with_secrets_is_what_clients_expect() {
        let endpoint: Endpoints = "pgbouncer-k8s-service.m.svc.cluster.local:6432".parse().unwrap();
        let offer = Offer {
            database: Some("waltz".into()),
            endpoints: Some(endpoint.clone()),
            read_only_endpoints: Some(endpoint),
            version: Some("17.5".into()),
            secret_user: Some(SecretId::from_bytes([7; 12])),
            ..Offer::default()
        };
        let lines: Vec<String> = offer.render().iter().map(|(k, v)| format!("{k}={v}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        database=waltz
        endpoints=pgbouncer-k8s-service.m.svc.cluster.local:6432
        read-only-endpoints=pgbouncer-k8s-service.m.svc.cluster.local:6432
        secret-user=secret:0s3ge1o70s3ge1o70s3g
        version=17.5
        ");
        let read = Offer::parse(&offer.render()).unwrap();
        assert_eq!(read.render(), offer.render());
    }

    #[test]
    fn plain_credentials_are_read_when_both_are_there() {
        let mut bag = Bag::from([("username".into(), "relation_18".into())]);
        assert!(Offer::parse(&bag).unwrap().plain.is_none());
        bag.insert("password".into(), "x".into());
        assert_eq!(Offer::parse(&bag).unwrap().plain.unwrap().username, "relation_18");
        assert_eq!(Offer::parse(&bag).unwrap().render(), bag);
    }

    #[track_caller]
    fn check(key: &'static str, value: &str) {
        let bag = Bag::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(Offer::parse(&bag).unwrap_err().key, key, "{value:?}");
    }

    #[test]
    fn bad_values_are_named() {
        check("endpoints", "host:-1");
        check("read-only-endpoints", "a:1,,b:2");
        check("secret-user", "secret:short");
    }

    proptest! {
        #[test]
        fn no_bag_breaks_the_reader(endpoints in "\\PC*", secret in "\\PC*") {
            let bag = Bag::from([
                ("endpoints".into(), endpoints),
                ("secret-user".into(), secret),
            ]);
            let _ = Offer::parse(&bag);
        }
    }
}
