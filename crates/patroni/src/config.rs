//! `patroni.yml`: its keys as types, rendered so that Patroni's YAML 1.1 parser reads back
//! exactly the texts that were put in.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// PostgreSQL parameters; texts, numbers and booleans.
pub type Parameters = BTreeMap<String, Value>;

/// The file.
#[derive(Serialize)]
pub struct Config {
    /// Used once, when the cluster is made.
    pub bootstrap: Bootstrap,
    /// The REST API.
    pub restapi: RestApi,
    /// How members ask each other's REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctl: Option<Ctl>,
    /// PostgreSQL on this member.
    pub postgresql: Postgresql,
    /// What this member may become.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, bool>,
}

/// How the cluster is made.
#[derive(Serialize)]
pub struct Bootstrap {
    /// The first dynamic configuration.
    pub dcs: Dynamic,
    /// Arguments of `initdb`: a word, or a word and its value.
    pub initdb: Vec<Value>,
}

/// The dynamic configuration: shared by all members, kept by Patroni, changed over REST.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dynamic {
    /// Seconds until a silent leader loses its lock.
    pub ttl: u32,
    /// Seconds between two looks at the cluster.
    pub loop_wait: u32,
    /// Seconds that the Kubernetes API and PostgreSQL may be away before a leader steps down.
    pub retry_timeout: u32,
    /// Seconds that a crashed primary may take to start again before another one leads.
    pub primary_start_timeout: u32,
    /// Stay primary without the Kubernetes API while all members answer.
    pub failsafe_mode: bool,
    /// Commit on a standby before the commit is acknowledged.
    pub synchronous_mode: bool,
    /// Refuse to commit when no standby is there.
    pub synchronous_mode_strict: bool,
    /// How many standbys must have the commit.
    pub synchronous_node_count: u32,
    /// The bytes a replica may lag behind and still become primary.
    pub maximum_lag_on_failover: u64,
    /// How many timelines the history keeps.
    pub max_timelines_history: u32,
    /// Seconds that the slot of a member that is away stays.
    #[serde(default)]
    pub member_slots_ttl: u32,
    /// PostgreSQL on all members.
    pub postgresql: DynamicPostgresql,
}

/// The part of the dynamic configuration that is about PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DynamicPostgresql {
    /// Rewind a former primary rather than copy it anew.
    pub use_pg_rewind: bool,
    /// Never remove data by itself when the rewind fails.
    pub remove_data_directory_on_rewind_failure: bool,
    /// Never remove data by itself when timelines diverge.
    pub remove_data_directory_on_diverged_timelines: bool,
    /// Parameters of all members.
    pub parameters: Parameters,
}

/// The REST API of one member.
#[derive(Serialize)]
pub struct RestApi {
    /// Address and port to listen on.
    pub listen: String,
    /// Name and port under which the others find it.
    pub connect_address: String,
    /// Who may change things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// The certificate with which it speaks TLS; it speaks in clear without one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ServerCertificate>,
}

/// The files of a server's certificate.
#[derive(Serialize)]
pub struct ServerCertificate {
    /// The certificate, and those between it and its authority's.
    pub certfile: String,
    /// Its key.
    pub keyfile: String,
}

/// How members ask each other's REST API. They find the scheme in what a member shows of itself.
#[derive(Serialize)]
pub struct Ctl {
    /// The file with the CA of the members that serve TLS.
    pub cacert: String,
}

/// A user and its password.
#[derive(Serialize)]
pub struct Authentication {
    /// The user.
    pub username: String,
    /// Its password.
    #[serde(serialize_with = "expose")]
    pub password: SecretString,
}

/// PostgreSQL on one member.
#[derive(Serialize)]
pub struct Postgresql {
    /// Addresses and port to listen on.
    pub listen: String,
    /// Name and port under which the others find it.
    pub connect_address: String,
    /// Where the data are.
    pub data_dir: String,
    /// Where PostgreSQL's programs are.
    pub bin_dir: String,
    /// Where Patroni keeps the replication password for libpq.
    pub pgpass: String,
    /// Flags of `pg_basebackup`, with which a new member copies the leader.
    pub basebackup: BTreeMap<String, String>,
    /// Commands that Patroni runs when something happened, for instance `on_role_change`; it
    /// adds what happened, the role and the cluster's name.
    pub callbacks: BTreeMap<String, String>,
    /// The command that Patroni runs before it stops PostgreSQL, without a bound.
    pub before_stop: String,
    /// Parameters of this member.
    pub parameters: Parameters,
    /// The users that Patroni makes and uses.
    pub authentication: Users,
    /// The lines of `pg_hba.conf`, first match wins.
    pub pg_hba: Vec<String>,
    /// The lines of `pg_ident.conf`.
    pub pg_ident: Vec<String>,
}

/// The users that Patroni makes and uses.
#[derive(Serialize)]
pub struct Users {
    /// Owns the cluster.
    pub superuser: Authentication,
    /// Streams.
    pub replication: Authentication,
    /// Rewinds.
    pub rewind: Authentication,
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose_secret().serialize(serializer)
}

/// What a file of earlier says of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The first dynamic configuration.
    pub dynamic: Dynamic,
    /// The parameters of the member.
    pub parameters: Parameters,
}

impl Read {
    /// Reads the text that [`Config::render`] made; none where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct File {
            bootstrap: First,
            postgresql: Member,
        }
        #[derive(Deserialize)]
        struct First {
            dcs: Dynamic,
        }
        #[derive(Deserialize)]
        struct Member {
            parameters: Parameters,
        }
        let file: File = serde_saphyr::from_str(text).ok()?;
        Some(Self { dynamic: file.bootstrap.dcs, parameters: file.postgresql.parameters })
    }
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot render patroni.yml")]
pub struct RenderError(#[source] serde_saphyr::ser_error::Error);

impl Config {
    /// The file's text; it holds passwords.
    ///
    /// # Errors
    /// When a value has no YAML form, which no value of these types lacks.
    pub fn render(&self) -> Result<SecretString, RenderError> {
        Ok(yaml(self)?.into())
    }
}

fn yaml(value: &impl Serialize) -> Result<String, RenderError> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
        compact_list_indent: false,
    };
    serde_saphyr::to_string_with_options(value, options).map_err(RenderError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_quoted(text: &str) {
        let yaml = yaml(&BTreeMap::from([("k", text)])).unwrap();
        let value = yaml.trim_end().strip_prefix("k: ").unwrap();
        assert!(value.starts_with(['"', '\'']), "{text:?} became {value}");
    }

    #[test]
    fn texts_that_yaml_1_1_reads_as_something_else_are_quoted() {
        for text in [
            "on",
            "off",
            "yes",
            "No",
            "y",
            "n",
            "true",
            "null",
            "~",
            "",
            "12:30",
            "1_000",
            "017",
            "0x1f",
            "0o17",
            "0b11",
            "1e3",
            ".5",
            "5.",
            "+1",
            "-",
            "1,5 # x",
            "2001-01-01",
            ".inf",
            ".nan",
            "=",
            "<<",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "a: b",
            "a #b",
            "- a",
            "? a",
            "[a",
            "{a",
            "'a",
            "\"a",
            "a\nb",
            " a",
            "a ",
            "\t",
            "|",
            ">",
            "1:2:3",
            "190:20:30.15",
        ] {
            check_quoted(text);
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>(), long in "[ a-z:#]{0,200}") {
            for text in [text, long] {
                let rendered = yaml(&BTreeMap::from([("k", &text)])).unwrap();
                let read: BTreeMap<String, String> = serde_saphyr::from_str(&rendered).unwrap();
                prop_assert_eq!(&read["k"], &text);
            }
        }

        #[test]
        fn texts_like_numbers_are_always_quoted(
            number in "[-+]?[0-9][0-9_]{0,6}",
            time in "[1-9][0-9]?(:[0-5][0-9]){1,2}",
        ) {
            check_quoted(&number);
            check_quoted(&time);
        }
    }

    fn login(username: &str) -> Authentication {
        Authentication { username: username.to_owned(), password: "1_000".to_owned().into() }
    }

    fn config() -> Config {
        let dynamic = DynamicPostgresql {
            use_pg_rewind: true,
            remove_data_directory_on_rewind_failure: false,
            remove_data_directory_on_diverged_timelines: false,
            parameters: Parameters::from([("wal_level".to_owned(), "logical".into())]),
        };
        Config {
            bootstrap: Bootstrap {
                dcs: Dynamic {
                    ttl: 20,
                    loop_wait: 5,
                    retry_timeout: 5,
                    primary_start_timeout: 10,
                    failsafe_mode: true,
                    synchronous_mode: true,
                    synchronous_mode_strict: false,
                    synchronous_node_count: 0,
                    maximum_lag_on_failover: 1_048_576,
                    max_timelines_history: 50,
                    member_slots_ttl: 300,
                    postgresql: dynamic,
                },
                initdb: vec!["data-checksums".into(), serde_json::json!({"encoding": "UTF8"})],
            },
            restapi: RestApi {
                listen: "0.0.0.0:8008".to_owned(),
                connect_address: "pg-0.pg-endpoints:8008".to_owned(),
                certificate: Some(ServerCertificate {
                    certfile: "/cert.pem".to_owned(),
                    keyfile: "/key.pem".to_owned(),
                }),
                authentication: Some(login("patroni")),
            },
            ctl: Some(Ctl { cacert: "/ca.pem".to_owned() }),
            postgresql: Postgresql {
                listen: "0.0.0.0:5432".to_owned(),
                connect_address: "pg-0.pg-endpoints:5432".to_owned(),
                data_dir: "/data".to_owned(),
                bin_dir: "/bin".to_owned(),
                pgpass: "/tmp/pgpass".to_owned(),
                basebackup: BTreeMap::from([("checkpoint".to_owned(), "fast".to_owned())]),
                callbacks: BTreeMap::from([("on_start".to_owned(), "/bin/true".to_owned())]),
                before_stop: "true".to_owned(),
                parameters: Parameters::from([("log_checkpoints".to_owned(), "on".into())]),
                authentication: Users {
                    superuser: login("operator"),
                    replication: login("replication"),
                    rewind: login("rewind"),
                },
                pg_hba: vec!["host all all 0.0.0.0/0 scram-sha-256".to_owned()],
                pg_ident: vec!["operator postgres backup".to_owned()],
            },
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn the_file_as_patroni_reads_it() {
        let rendered = config().render().unwrap();
        insta::assert_snapshot!(rendered.expose_secret(), @r#"
        bootstrap:
          dcs:
            ttl: 20
            loop_wait: 5
            retry_timeout: 5
            primary_start_timeout: 10
            failsafe_mode: true
            synchronous_mode: true
            synchronous_mode_strict: false
            synchronous_node_count: 0
            maximum_lag_on_failover: 1048576
            max_timelines_history: 50
            member_slots_ttl: 300
            postgresql:
              use_pg_rewind: true
              remove_data_directory_on_rewind_failure: false
              remove_data_directory_on_diverged_timelines: false
              parameters:
                wal_level: logical
          initdb:
            - data-checksums
            - encoding: UTF8
        restapi:
          listen: 0.0.0.0:8008
          connect_address: pg-0.pg-endpoints:8008
          authentication:
            username: patroni
            password: "1_000"
          certfile: /cert.pem
          keyfile: /key.pem
        ctl:
          cacert: /ca.pem
        postgresql:
          listen: 0.0.0.0:5432
          connect_address: pg-0.pg-endpoints:5432
          data_dir: /data
          bin_dir: /bin
          pgpass: /tmp/pgpass
          basebackup:
            checkpoint: fast
          callbacks:
            on_start: /bin/true
          before_stop: "true"
          parameters:
            log_checkpoints: "on"
          authentication:
            superuser:
              username: operator
              password: "1_000"
            replication:
              username: replication
              password: "1_000"
            rewind:
              username: rewind
              password: "1_000"
          pg_hba:
            - host all all 0.0.0.0/0 scram-sha-256
          pg_ident:
            - operator postgres backup
        "#);
    }
}
