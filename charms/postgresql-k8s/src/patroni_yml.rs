//! `patroni.yml` of one unit.

use std::collections::BTreeMap;

use juju_charm::{Config, ExposeSecret as _, SecretString, UnitName};
use patroni::config::{
    self, Authentication, Bootstrap, Ctl, Dynamic, DynamicPostgresql, Parameters, Postgresql, Read,
    RenderError, RestApi, ServerCertificate, Users,
};
use serde_json::{Value, json};

use crate::layer;
use crate::options::{SHARED, Settings, Timing};
use crate::passwords::Passwords;
use crate::sync::{StandbyCount, Sync};
use crate::tls;
use crate::topology::{PATRONI_PORT, POSTGRESQL_PORT, Topology};

/// Where the volume is mounted, in the workload and in the charm's container.
pub(crate) const STORAGE: &str = "/var/lib/postgresql/data";
/// Where PostgreSQL's data are.
pub(crate) const PGDATA: &str = "/var/lib/postgresql/data/pgdata";
/// Where a standby's data are while it copies the primary anew.
pub(crate) const ASIDE: &str = "/var/lib/postgresql/data/pgdata-before-copy";
/// What is there while PostgreSQL runs on the data.
pub(crate) const POSTMASTER: &str = "/var/lib/postgresql/data/pgdata/postmaster.pid";
/// Where PostgreSQL's WAL is.
pub(crate) const WAL: &str = "/var/lib/postgresql/data/pgdata/pg_wal";
/// Where PostgreSQL's socket is.
pub(crate) const SOCKETS: &str = "/var/run/postgresql";
/// PostgreSQL's control file.
pub(crate) const CONTROL: &str = "/var/lib/postgresql/data/pgdata/global/pg_control";
/// Where Patroni keeps the replication password for libpq.
pub(crate) const PGPASS: &str = "/tmp/pgpass";
/// Where PostgreSQL's programs are in the image.
pub(crate) const BIN_DIR: &str = "/usr/lib/postgresql/17/bin";
/// The library of the audit, which PostgreSQL loads as it starts.
pub(crate) const AUDIT: &str = "/usr/lib/postgresql/17/lib/pgaudit.so";

/// Seconds that a crashed primary may take to start again: enough for a quick restart,
/// less than a failover takes by waiting for the lock.
const PRIMARY_START_TIMEOUT: u32 = 10;

/// Seconds that the slot of a member that Patroni sees no more stays where no entry of the dynamic
/// configuration keeps it: of a unit that has left. With none, standbys would have no slots.
const MEMBER_SLOTS_TTL: u32 = 1;

/// Renders the file.
///
/// # Errors
/// When a value has no YAML form.
pub(crate) fn render(
    topology: &Topology,
    unit: &UnitName,
    settings: &Settings,
    passwords: &Passwords,
    encrypted: bool,
) -> Result<SecretString, RenderError> {
    let host = topology.qualified(&topology.member(unit));
    let login = |username: &str, password: &SecretString| Authentication {
        username: username.to_owned(),
        password: password.clone(),
    };
    let config = config::Config {
        bootstrap: Bootstrap { dcs: dynamic(settings, ALONE), initdb: initdb() },
        restapi: RestApi {
            listen: format!("0.0.0.0:{PATRONI_PORT}"),
            connect_address: format!("{host}:{PATRONI_PORT}"),
            authentication: Some(login("patroni", &passwords.patroni)),
            certificate: encrypted.then(|| ServerCertificate {
                certfile: tls::CERTIFICATE.to_owned(),
                keyfile: tls::KEY.to_owned(),
            }),
        },
        ctl: encrypted.then(|| Ctl { cacert: tls::CA.to_owned() }),
        postgresql: Postgresql {
            listen: format!("0.0.0.0:{POSTGRESQL_PORT}"),
            connect_address: format!("{host}:{POSTGRESQL_PORT}"),
            data_dir: PGDATA.to_owned(),
            bin_dir: BIN_DIR.to_owned(),
            pgpass: PGPASS.to_owned(),
            // A spread checkpoint would keep a new member waiting for minutes.
            basebackup: BTreeMap::from([("checkpoint".to_owned(), "fast".to_owned())]),
            callbacks: ["on_role_change", "on_start"]
                .map(|name| (name.to_owned(), layer::callback()))
                .into(),
            before_stop: layer::before_stop(topology, unit),
            parameters: parameters(settings, encrypted),
            authentication: Users {
                superuser: login("operator", &passwords.operator),
                replication: login("replication", &passwords.replication),
                rewind: login("rewind", &passwords.rewind),
            },
            pg_hba: pg_hba(method(settings), encrypted),
            pg_ident: ["backup", "monitoring"]
                .map(|user| format!("operator postgres {user}"))
                .into(),
        },
        tags: BTreeMap::new(),
    };
    let text = config.render()?;
    let (checked, standbys) = (checked_line(settings), settings.standbys);
    Ok(format!("{checked}{STANDBYS}{standbys}\n{}", text.expose_secret()).into())
}

/// What the second line begins with: how many standbys must have a commit, as the option says.
const STANDBYS: &str = "# Commits wait for: ";

/// The settings that a file was written with, as far as the file has them; the rest follows from
/// options that are always valid. None where it is no file of this charm.
pub(crate) fn in_force(text: &str, options: &Config) -> Option<Settings> {
    let read = Read::parse(text)?;
    let Dynamic { ttl, loop_wait, retry_timeout, maximum_lag_on_failover, .. } = read.dynamic;
    let mut lines = text.lines();
    let free = lines.next().and_then(|line| line.strip_prefix(CHECKED));
    let standbys = lines.next().and_then(|line| line.strip_prefix(STANDBYS));
    // A charm before this one did not remember them.
    let standbys = standbys.or_else(|| options.text("synchronous_node_count"));
    let mut parameters = read.parameters;
    parameters.retain(|name, _| !TLS.contains(&name.as_str()));
    Some(Settings {
        parameters,
        shared: read.dynamic.postgresql.parameters,
        free: free.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        standbys: standbys.and_then(StandbyCount::parse).unwrap_or(StandbyCount::All),
        strict: options.boolean("synchronous_mode_strict"),
        maximum_lag: maximum_lag_on_failover,
        timing: Timing { ttl, loop_wait, retry_timeout },
    })
}

/// What the first line begins with: which parameters the server had said that it would take.
const CHECKED: &str = "# Checked by the server: ";

fn checked_line(settings: &Settings) -> String {
    format!("{CHECKED}{}\n", json!(settings.free))
}

/// Whether a file was written with the parameters that only the server can check.
pub(crate) fn is_checked(text: &str, settings: &Settings) -> bool {
    text.starts_with(&checked_line(settings))
}

/// Whether Patroni speaks TLS by a file.
pub(crate) fn is_encrypted(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("certfile:"))
}

/// The last line of the file from before a password is changed until it is known which one is
/// kept: a hook may die in between, and Juju then keeps the one before.
const UNCONFIRMED: &str = "# Passwords may have changed and not be kept.\n";

/// The file's text with the line that says that passwords are to be confirmed.
pub(crate) fn unconfirmed(text: &SecretString) -> SecretString {
    format!("{}{UNCONFIRMED}", text.expose_secret()).into()
}

/// The line behind it while Patroni may not have read the file: a hook may die before it makes
/// Patroni reload.
const UNREAD: &str = "# Patroni may not have read this.\n";

/// The file's text with the line that says that Patroni may not have read it.
pub(crate) fn unread(text: &SecretString) -> SecretString {
    format!("{}{UNREAD}", text.expose_secret()).into()
}

/// What the last lines of the file say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Passwords may have changed and not be kept.
    pub unconfirmed: bool,
    /// Patroni may not have read the file.
    pub unread: bool,
}

/// The file's text without those lines, and what they say.
pub(crate) fn read(text: String) -> (SecretString, Marks) {
    let read = text.strip_suffix(UNREAD);
    let confirmed = read.unwrap_or(&text).strip_suffix(UNCONFIRMED);
    let marks = Marks { unconfirmed: confirmed.is_some(), unread: read.is_some() };
    (confirmed.or(read).unwrap_or(&text).to_owned().into(), marks)
}

/// The text of [`PGPASS`] with this password in every line, in the way that libpq reads it.
pub(crate) fn with_password(text: &str, password: &SecretString) -> SecretString {
    let escaped = password.expose_secret().replace('\\', "\\\\").replace(':', "\\:");
    let line = |line: &str| {
        let fields: Vec<&str> = line.splitn(5, ':').take(4).collect();
        format!("{}:{escaped}\n", fields.join(":"))
    };
    text.lines().map(line).collect::<String>().into()
}

/// What commits wait for in a cluster that is being made.
pub(crate) const ALONE: Sync = Sync { count: 0, strict: false };

/// What the dynamic configuration shall be; [`dynamic_patch`] keeps it so.
pub(crate) fn dynamic(settings: &Settings, sync: Sync) -> Dynamic {
    Dynamic {
        ttl: settings.timing.ttl,
        loop_wait: settings.timing.loop_wait,
        retry_timeout: settings.timing.retry_timeout,
        primary_start_timeout: PRIMARY_START_TIMEOUT,
        failsafe_mode: true,
        synchronous_mode: true,
        synchronous_mode_strict: sync.strict,
        synchronous_node_count: sync.count,
        maximum_lag_on_failover: settings.maximum_lag,
        max_timelines_history: 50,
        member_slots_ttl: MEMBER_SLOTS_TTL,
        postgresql: DynamicPostgresql {
            use_pg_rewind: true,
            remove_data_directory_on_rewind_failure: false,
            remove_data_directory_on_diverged_timelines: false,
            parameters: settings.shared.clone(),
        },
    }
}

fn initdb() -> Vec<Value> {
    vec![
        json!({"auth-host": "scram-sha-256"}),
        json!({"auth-local": "peer"}),
        json!({"encoding": "UTF8"}),
        json!({"locale": "C.UTF-8"}),
        "data-checksums".into(),
    ]
}

/// The parameters of TLS, which follow from the certificate.
const TLS: [&str; 4] = ["ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file"];

/// The parameters of this member's file.
fn parameters(settings: &Settings, encrypted: bool) -> Parameters {
    let mut parameters = settings.parameters.clone();
    if encrypted {
        let values = ["on", tls::CERTIFICATE, tls::KEY, tls::CA];
        let pairs = TLS.into_iter().zip(values);
        parameters.extend(pairs.map(|(name, value)| (name.to_owned(), value.into())));
    }
    parameters
}

/// How users prove who they are: by what the option has new passwords stored as.
fn method(settings: &Settings) -> &'static str {
    match settings.parameters.get("password_encryption") {
        Some(Value::String(word)) if word == "md5" => "md5",
        _ => "scram-sha-256",
    }
}

/// Passwords for all users, and TLS where there is any; the socket is for the workload's own system
/// users.
///
/// The method `md5` asks for SCRAM wherever the stored password allows it. Canonical's
/// pgbouncer-k8s stores an md5 hash for the user of its auth query, and for no other.
fn pg_hba(method: &str, encrypted: bool) -> Vec<String> {
    let host = if encrypted { "hostssl" } else { "host" };
    let mut lines = vec![
        "local all backup peer map=operator".to_owned(),
        "local all monitoring peer map=operator".to_owned(),
    ];
    for (databases, users, method) in [
        ("replication", "replication", "scram-sha-256"),
        ("all", "/^pgbouncer_auth_", "md5"),
        ("all", "all", method),
    ] {
        let line = |network| format!("{host} {databases} {users} {network} {method}");
        lines.extend(["0.0.0.0/0", "::/0"].map(line));
    }
    lines
}

/// The change that the dynamic configuration needs, if it needs one: every key that a new cluster
/// would have and that has another value, and these entries of `slots`. Keys of others stay.
///
/// # Errors
/// When the settings have no JSON form.
pub(crate) fn dynamic_patch(
    current: &Value,
    settings: &Settings,
    sync: Sync,
    slots: Value,
) -> Result<Option<Value>, serde_json::Error> {
    let mut wanted = serde_json::to_value(dynamic(settings, sync))?;
    wanted["slots"] = slots;
    let parameters = &mut wanted["postgresql"]["parameters"];
    for name in SHARED {
        // What no option asks for any more goes back to the default; null removes a key.
        if parameters[name].is_null() {
            parameters[name] = Value::Null;
        }
    }
    Ok(difference(current, &wanted))
}

/// The smallest merge patch (RFC 7386) with which `current` has what `wanted` has.
fn difference(current: &Value, wanted: &Value) -> Option<Value> {
    let Value::Object(wanted) = wanted else {
        return (current != wanted).then(|| wanted.clone());
    };
    let patch: serde_json::Map<String, Value> = wanted
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), difference(&current[key], value)?)))
        .collect();
    (!patch.is_empty()).then_some(patch.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture;

    #[test]
    fn the_file_of_a_unit() {
        let facts = fixture::new_leader();
        let (settings, passwords) = fixture::rendering();
        let text = render(&facts.topology, &facts.unit, &settings, &passwords, false).unwrap();
        insta::assert_snapshot!(text.expose_secret());
    }

    #[test]
    fn with_a_certificate_everything_speaks_tls() {
        let facts = fixture::new_leader();
        let (settings, passwords) = fixture::rendering();
        let text = |encrypted| {
            render(&facts.topology, &facts.unit, &settings, &passwords, encrypted).unwrap()
        };
        let (clear, encrypted) = (text(false), text(true));
        for line in [
            "  certfile: /var/lib/postgresql/data/cert.pem",
            "  keyfile: /var/lib/postgresql/data/key.pem",
            "  cacert: /var/lib/postgresql/data/ca.pem",
            "    ssl: \"on\"",
        ] {
            let has = |text: &SecretString| text.expose_secret().lines().any(|l| l == line);
            assert!(has(&encrypted) && !has(&clear), "{line}");
        }
    }

    #[test]
    fn a_file_tells_what_was_checked() {
        let facts = fixture::new_leader();
        let (mut settings, passwords) = fixture::rendering();
        let text = render(&facts.topology, &facts.unit, &settings, &passwords, false).unwrap();
        assert!(is_checked(text.expose_secret(), &settings));
        settings.free.insert("seq_page_cost".to_owned(), "1\n.5".into());
        assert!(!is_checked(text.expose_secret(), &settings));
        assert_eq!(checked_line(&settings).lines().count(), 1);
    }

    #[test]
    fn the_file_tells_what_is_in_force() {
        let facts = fixture::new_leader();
        let (mut settings, passwords) = fixture::rendering();
        settings.free.insert("seq_page_cost".to_owned(), "1.5".into());
        settings.parameters.insert("search_path".to_owned(), "a: \"b\" # c".into());
        settings.parameters.insert("vacuum_cost_delay".to_owned(), 0.1.into());
        settings.standbys = StandbyCount::Number(2);
        settings.timing = Timing { ttl: 30, loop_wait: 2, retry_timeout: 6 };
        let options = json!({"synchronous_mode_strict": true, "synchronous_node_count": "some"});
        let options = Config::new(options.as_object().unwrap().clone());
        for encrypted in [false, true] {
            let text = render(&facts.topology, &facts.unit, &settings, &passwords, encrypted);
            let text = text.unwrap();
            let kept = in_force(text.expose_secret(), &options).unwrap();
            assert_eq!(kept, settings);
            let again = render(&facts.topology, &facts.unit, &kept, &passwords, encrypted).unwrap();
            assert_eq!(again.expose_secret(), text.expose_secret());
            // Without the lines of comment, as an older charm may have written it.
            let (_, bare) = text.expose_secret().split_once("bootstrap:").unwrap();
            let kept = in_force(&format!("bootstrap:{bare}"), &options).unwrap();
            assert_eq!((kept.standbys, kept.free.len()), (StandbyCount::All, 0));
        }
        assert_eq!(in_force("a: b\n", &options), None);
    }

    #[test]
    fn the_file_tells_what_a_hook_that_died_left_undone() {
        let text = SecretString::from("a: b\n".to_owned());
        let both = unread(&unconfirmed(&text));
        for (marked, unconfirmed, unread) in [
            (&text, false, false),
            (&unconfirmed(&text), true, false),
            (&super::unread(&text), false, true),
            (&both, true, true),
        ] {
            let (plain, marks) = read(marked.expose_secret().to_owned());
            assert_eq!((plain.expose_secret(), marks), ("a: b\n", Marks { unconfirmed, unread }));
        }
    }

    #[test]
    fn the_passfile_takes_a_password_as_libpq_reads_it() {
        let password = r"a:b\c".to_owned().into();
        let text = with_password("h:5432:*:replication:o\\:ld\n", &password);
        assert_eq!(text.expose_secret(), "h:5432:*:replication:a\\:b\\\\c\n");
        assert_eq!(
            with_password(text.expose_secret(), &password).expose_secret(),
            text.expose_secret()
        );
    }

    #[test]
    fn only_what_differs_is_patched() {
        let (settings, _) = fixture::rendering();
        let sync = Sync { count: 1, strict: true };
        let slot = json!({"type": "physical"});
        let made = |sync| {
            let mut made = serde_json::to_value(dynamic(&settings, sync)).unwrap();
            made["slots"] = json!({"pg_0": slot});
            made
        };
        let check = |change: Value, patch: Option<Value>| {
            let mut current = made(sync);
            merge(&mut current, &change);
            let found = dynamic_patch(&current, &settings, sync, json!({"pg_0": slot})).unwrap();
            assert_eq!(found, patch, "{change}");
        };
        check(json!({}), None);
        check(
            made(ALONE),
            Some(json!({"synchronous_node_count": 1, "synchronous_mode_strict": true})),
        );
        // Each key that a new cluster has, removed and set to something else.
        for (key, value) in made(sync).as_object().unwrap() {
            if !["postgresql", "slots"].contains(&key.as_str()) {
                check(json!({key: null}), Some(json!({key: value})));
                check(json!({key: "other"}), Some(json!({key: value})));
            }
        }
        check(json!({"postgresql": null}), Some(json!({"postgresql": made(sync)["postgresql"]})));
        let postgresql = |value| json!({"postgresql": value});
        for (key, value) in made(sync)["postgresql"].as_object().unwrap() {
            if key != "parameters" {
                check(postgresql(json!({key: "other"})), Some(postgresql(json!({key: value}))));
            }
        }
        let parameter = |name: &str, value: Value| postgresql(json!({"parameters": {name: value}}));
        check(
            parameter("max_connections", json!(7)),
            Some(parameter("max_connections", json!(100))),
        );
        check(
            parameter("track_commit_timestamp", json!("on")),
            Some(parameter("track_commit_timestamp", Value::Null)),
        );
        // What others keep there is theirs.
        check(json!({"slots": {"mine": slot}}), None);
        let own = json!({"slots": {"pg_0": slot}});
        check(json!({"slots": null}), Some(own.clone()));
        check(json!({"slots": {"pg_0": {"type": "logical"}}}), Some(own));
        check(parameter("log_min_messages", json!("info")), None);
    }

    /// RFC 7386.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (key, value) in patch {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(key);
            } else {
                merge(&mut target[key.as_str()], value);
            }
        }
    }
}
