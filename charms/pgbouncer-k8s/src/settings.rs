//! The option `pgbouncer-settings`: settings of PgBouncer that have no option of their own.

use std::borrow::Cow;

use juju_charm::Config;
use pgbouncer::{Key, KeyError, Version};

use crate::digest::digest;

/// An option that the charm cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the option {option}: it takes {expected}")]
pub(crate) struct OptionsError {
    /// The option.
    pub(crate) option: &'static str,
    /// What it may be.
    pub(crate) expected: Cow<'static, str>,
}

/// The option's name.
pub(crate) const OPTION: &str = "pgbouncer-settings";

const FILES: &str = "the charm owns every file and folder";
const LOGINS: &str = "who may log in follows from the relations";
const ADDRESSES: &str = "the charm owns addresses and processes";
const OPTIONS: &str = "it has an option of its own";

/// Settings that the option does not take, and why.
const OWNED: [(&str, &str); 33] = [
    ("admin_users", LOGINS),
    ("auth_dbname", LOGINS),
    ("auth_file", FILES),
    ("auth_hba_file", FILES),
    ("auth_ident_file", FILES),
    ("auth_ldap_options", LOGINS),
    ("auth_query", LOGINS),
    ("auth_type", LOGINS),
    ("auth_user", LOGINS),
    ("client_tls_ca_file", FILES),
    ("client_tls_cert_file", FILES),
    ("client_tls_key_file", FILES),
    ("conffile", FILES),
    ("disable_pqexec", "its console could not be read any more"),
    ("listen_addr", ADDRESSES),
    ("listen_port", OPTIONS),
    ("logfile", FILES),
    ("max_db_connections", OPTIONS),
    ("max_prepared_statements", OPTIONS),
    ("peer_id", ADDRESSES),
    ("pidfile", FILES),
    ("pool_mode", OPTIONS),
    ("resolv_conf", FILES),
    ("server_reset_query", "what one client sets must not reach the next"),
    ("server_tls_ca_file", FILES),
    ("server_tls_cert_file", FILES),
    ("server_tls_key_file", FILES),
    ("so_reuseport", ADDRESSES),
    ("stats_users", LOGINS),
    ("syslog_ident", "by it a process shows which configuration it has"),
    ("unix_socket_dir", FILES),
    ("unix_socket_group", FILES),
    ("user", ADDRESSES),
];

/// Reads the option.
///
/// # Errors
/// `OptionsError` naming the first setting that PgBouncer or the charm could not go on with.
pub(crate) fn read(config: &Config) -> Result<Vec<(String, String)>, OptionsError> {
    let pairs = config.pairs(OPTION).map_err(|error| bad(error.to_string()))?;
    let mut found = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        check(name, value)?;
        found.push((name.to_owned(), value.to_owned()));
    }
    Ok(found)
}

/// Those of the option's settings that nothing is wrong with by themselves.
pub(crate) fn usable(config: &Config) -> Vec<(String, String)> {
    let pairs = config.pairs(OPTION).unwrap_or_default().into_iter();
    let good = pairs.filter(|(name, value)| check(name, value).is_ok());
    good.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The text by which settings are remembered.
pub(crate) fn kept(settings: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(";")
}

/// Reads that text; nothing where this charm takes them no more.
pub(crate) fn parse_kept(text: &str) -> Option<Vec<(String, String)>> {
    read(&Config::new([(OPTION.to_owned(), text.into())])).ok()
}

fn bad(expected: String) -> OptionsError {
    OptionsError { option: OPTION, expected: expected.into() }
}

fn check(name: &str, value: &str) -> Result<(), OptionsError> {
    let version = Version::TRIXIE;
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return Err(bad(format!("settings other than {name}: {why}")));
    }
    let known = Key::find(name).ok().filter(|key| key.known_to(version));
    let Some(key) = known else {
        let minor = version.minor;
        return Err(bad(format!("settings of PgBouncer 1.{minor}, which {name} is not")));
    };
    key.check(value).map_err(|error| match error {
        KeyError::Value { name, value, expected } => {
            bad(format!("{name} with {expected}, not {value:?}"))
        }
        KeyError::Unknown(name) => bad(format!("settings of PgBouncer, which {name} is not")),
    })?;
    match (name, value) {
        ("client_tls_sslmode", "verify-ca" | "verify-full") => Err(bad(format!(
            "another client_tls_sslmode than {value}: clients have no certificates"
        ))),
        _ => Ok(()),
    }
}

/// Whether the settings go with what the unit has: a certificate to serve clients with, and a
/// PostgreSQL of which is known whether it offers TLS.
///
/// # Errors
/// `OptionsError` naming the setting that does not.
pub(crate) fn check_tls(
    settings: &[(String, String)],
    encrypts: bool,
    verifies: Option<bool>,
) -> Result<(), OptionsError> {
    let value = |name: &str| {
        let found = settings.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    match value("client_tls_sslmode") {
        Some(mode @ ("allow" | "prefer" | "require")) if !encrypts => Err(bad(format!(
            "no client_tls_sslmode={mode} without a certificate: integrate an issuer with \
             {}, and wait for what it issues",
            charm_kit::certificates::ENDPOINT
        ))),
        Some("disable") if encrypts => Err(bad(format!(
            "no client_tls_sslmode=disable while there is a certificate: remove the relation \
             {} instead",
            charm_kit::certificates::ENDPOINT
        ))),
        _ => Ok(()),
    }?;
    match (value("server_tls_sslmode"), verifies) {
        (Some(mode @ ("require" | "verify-ca" | "verify-full")), Some(false)) => Err(bad(format!(
            "no server_tls_sslmode={mode} while PostgreSQL offers no TLS: integrate it with an \
             issuer first"
        ))),
        (Some("disable"), Some(true)) => Err(bad(
            "no server_tls_sslmode=disable while PostgreSQL takes connections with TLS only"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// The first line of a configuration: which settings PgBouncer's program was tried with.
pub(crate) fn tried(settings: &[(String, String)], version: Version) -> String {
    if settings.is_empty() {
        return String::new();
    }
    format!("; Tried with PgBouncer {version}: {}\n", digest(&format!("{settings:?}")))
}

/// Configurations that PgBouncer's program reads to its end before it finds that it has nowhere
/// to listen. What clients are served with is tried as what PostgreSQL is reached with: it needs
/// no certificate there.
pub(crate) fn trials(settings: &[(String, String)]) -> Vec<String> {
    let of_clients = |name: &str| name.starts_with("client_tls");
    let line = |name: &str, value: &str| format!("{name} = {value}\n");
    let mut plain = String::from(TRIAL);
    let mut clients = String::from(TRIAL);
    for (name, value) in settings {
        if name.ends_with("tls_sslmode") {
            continue;
        }
        if !of_clients(name) {
            plain.push_str(&line(name, value));
        } else if ["_ciphers", "_protocols"].iter().any(|end| name.ends_with(end)) {
            clients.push_str(&line(&name.replacen("client", "server", 1), value));
        }
    }
    let some = settings.iter().any(|(name, _)| of_clients(name));
    [plain].into_iter().chain(some.then_some(clients)).collect()
}

const TRIAL: &str = "[databases]\n[pgbouncer]\nlisten_addr =\nunix_socket_dir =\n\
                     auth_type = scram-sha-256\nserver_tls_sslmode = prefer\n";

/// With what a program ends that has taken its whole configuration.
const TAKEN: &str = "nowhere to listen on";

/// What PgBouncer said against a trial.
///
/// # Errors
/// `OptionsError` with its words.
pub(crate) fn judge(said: &str, trials: usize) -> Result<(), OptionsError> {
    if said.matches(TAKEN).count() >= trials {
        return Ok(());
    }
    let against = said.lines().find_map(|line| line.split_once(" ERROR "));
    let against = against.or_else(|| said.lines().find_map(|line| line.split_once(" FATAL ")));
    let why = against.map_or_else(|| said.lines().last().unwrap_or_default(), |(_, why)| why);
    Err(bad(format!("what PgBouncer takes, which says: {why}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the option says of a text: empty where it takes it.
    fn said(text: &str) -> String {
        let read = read(&Config::new([(OPTION.to_owned(), json!(text))]));
        read.err().map(|error| error.expected.into_owned()).unwrap_or_default()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(said(text), expected, "{text}");
    }

    #[test]
    fn what_pgbouncer_could_not_go_on_with_is_refused_by_name() {
        check("", "");
        check("query_wait_timeout = 60;\nserver_round_robin=1", "");
        check("query_wait_timeout", "key=value, which \"query_wait_timeout\" is not");
        check(
            "tcp_user_timeout=1;tcp_user_timeout=2",
            "each name once, not tcp_user_timeout twice",
        );
        check("no_such_setting=1", "settings of PgBouncer 1.24, which no_such_setting is not");
        check("query_wait_notify=1", "settings of PgBouncer 1.24, which query_wait_notify is not");
        check("%include /etc/x=1", "settings of PgBouncer 1.24, which %include /etc/x is not");
        check(
            "query_wait_timeout=soon",
            "query_wait_timeout with 0, or a number of seconds from 0.1, not \"soon\"",
        );
        check(
            "pkt_buf=2147483647",
            "pkt_buf with a whole number from 2048 to 131072, not \"2147483647\"",
        );
        check(
            "max_packet_size=0",
            "max_packet_size with a whole number from 65536 to 2147483647, not \"0\"",
        );
        check("stats_period=0", "stats_period with a whole number from 1 to 86400, not \"0\"");
        check(
            "resolv_conf=/nonexistent",
            "settings other than resolv_conf: the charm owns every file and folder",
        );
        check(
            "server_tls_sslmode=verify-full;server_tls_ca_file=/nonexistent",
            "settings other than server_tls_ca_file: the charm owns every file and folder",
        );
        check("listen_port=1", "settings other than listen_port: it has an option of its own");
        check(
            "auth_type=any",
            "settings other than auth_type: who may log in follows from the relations",
        );
        check(
            "client_tls_sslmode=verify-full",
            "another client_tls_sslmode than verify-full: clients have no certificates",
        );
    }

    #[test]
    fn nothing_that_names_a_file_is_taken() {
        let owned = |name: &str| OWNED.iter().any(|(owned, _)| *owned == name);
        for key in pgbouncer::KEYS {
            let names =
                ["file", "_dir", "conf", "_group"].iter().any(|end| key.name.ends_with(end));
            assert!(!names || owned(key.name), "{}", key.name);
        }
        for (name, _) in OWNED {
            assert!(Key::find(name).is_ok(), "{name}");
        }
        assert!(OWNED.is_sorted());
    }

    /// Every setting has bounds, or is the charm's, or is tried with the program itself.
    #[test]
    fn every_setting_is_bounded() {
        let tried = ["client_tls13_ciphers", "client_tls_ciphers"];
        let tried = tried.into_iter().chain(["server_tls13_ciphers", "server_tls_ciphers"]);
        let tried: Vec<&str> = tried.collect();
        for key in pgbouncer::KEYS.iter().filter(|key| key.kind == pgbouncer::Kind::Text) {
            let owned = OWNED.iter().any(|(owned, _)| *owned == key.name);
            assert!(owned || tried.contains(&key.name), "{}", key.name);
        }
    }

    #[track_caller]
    fn check_goes(text: &str, encrypts: bool, verifies: Option<bool>, goes: bool) {
        let settings = read(&Config::new([(OPTION.to_owned(), json!(text))])).unwrap();
        let checked = check_tls(&settings, encrypts, verifies);
        assert_eq!(checked.is_ok(), goes, "{text} {encrypts} {verifies:?}: {checked:?}");
        if let Err(error) = checked {
            let name = text.split('=').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn tls_needs_a_certificate() {
        for mode in ["allow", "prefer", "require"] {
            let text = format!("client_tls_sslmode={mode}");
            check_goes(&text, false, None, false);
            check_goes(&text, true, None, true);
        }
        check_goes("client_tls_sslmode=disable", false, None, true);
        check_goes("client_tls_sslmode=disable", true, None, false);
        for mode in ["require", "verify-ca", "verify-full"] {
            let text = format!("server_tls_sslmode={mode}");
            check_goes(&text, false, Some(false), false);
            check_goes(&text, false, Some(true), true);
            check_goes(&text, false, None, true);
        }
        check_goes("server_tls_sslmode=disable", true, Some(true), false);
        check_goes("server_tls_sslmode=disable", true, Some(false), true);
        check_goes("server_tls_sslmode=prefer", true, Some(true), true);
    }

    #[test]
    fn what_clients_are_served_with_is_tried_too() {
        let pairs = |text: &str| read(&Config::new([(OPTION.to_owned(), json!(text))])).unwrap();
        assert_eq!(trials(&pairs("query_timeout=1;server_tls_sslmode=disable")).len(), 1);
        let both = trials(&pairs("client_tls_ciphers=A;server_tls_ciphers=B;query_timeout=1"));
        let ends: Vec<&str> = both.iter().filter_map(|text| text.strip_prefix(TRIAL)).collect();
        assert_eq!(
            ends,
            ["server_tls_ciphers = B\nquery_timeout = 1\n", "server_tls_ciphers = A\n"]
        );
        let version = Version::TRIXIE;
        assert_eq!(tried(&[], version), "");
        assert_ne!(
            tried(&pairs("query_timeout=1"), version),
            tried(&pairs("query_timeout=2"), version)
        );
    }

    #[test]
    fn a_trial_ends_where_there_is_nowhere_to_listen() {
        let taken = "2026-11-28 15:00:00.000 UTC [7] FATAL nowhere to listen on\n";
        assert_eq!(judge(taken, 1), Ok(()));
        let refused = format!(
            "{taken}2026-11-28 15:00:00.000 UTC [7] ERROR invalid server_tls_ciphers: x\n\
             2026-11-28 15:00:00.000 UTC [7] FATAL TLS setup failed\n"
        );
        let said = judge(&refused, 2).unwrap_err().to_string();
        assert!(said.ends_with("which says: invalid server_tls_ciphers: x"), "{said}");
        assert!(judge("", 1).is_err());
    }
}
