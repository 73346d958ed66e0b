//! Every setting of the `[pgbouncer]` section, from PgBouncer 1.18 to 1.25.

use crate::Version;
use crate::ini::has_control;

/// How a running PgBouncer takes a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// A SIGHUP is enough.
    Signal,
    /// The process must be restarted.
    Restart,
}

/// What values a setting accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `0` or `1`.
    Flag,
    /// A whole number from 0 to 2147483647.
    Count,
    /// A whole number within these bounds, both included.
    Range(u32, u32),
    /// A number of seconds, fractions allowed.
    Seconds,
    /// An octal number.
    Octal,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The setting's name in the file.
    pub name: &'static str,
    /// The values it accepts.
    pub kind: Kind,
    /// Its value when the file does not name it (in 1.25); `None` when unset or computed.
    pub default: Option<&'static str>,
    /// The minor version that brought it; 18 stands for 18 and before.
    pub since: u16,
    /// How a new value takes effect.
    pub reload: Reload,
}

/// A setting or value that PgBouncer would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No setting has this name.
    #[error("cannot set {0:?}: PgBouncer 1.18 to 1.25 have no setting of that name")]
    Unknown(String),
    /// The value is outside the setting's range.
    #[error("cannot set {name} to {value:?}: use {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// The refused value.
        value: String,
        /// The accepted values in words.
        expected: String,
    },
}

impl Key {
    /// The setting called `name`.
    ///
    /// # Errors
    /// `KeyError::Unknown` when there is none.
    pub fn find(name: &str) -> Result<&'static Self, KeyError> {
        let letter = name.bytes().next().filter(u8::is_ascii_lowercase);
        let found = letter.and_then(|letter| {
            let letter = usize::from(letter - b'a');
            let same = &KEYS[STARTS[letter]..STARTS[letter + 1]];
            same.iter().find(|key| key.name == name)
        });
        found.ok_or_else(|| KeyError::Unknown(name.to_owned()))
    }

    /// Whether `version` knows the setting.
    pub fn known_to(&self, version: Version) -> bool {
        self.since <= 18 || self.since <= version.minor
    }

    /// Checks that `value` can be written for this setting and read back unchanged.
    ///
    /// # Errors
    /// `KeyError::Value` naming what is accepted.
    pub fn check(&self, value: &str) -> Result<(), KeyError> {
        let fits = value.trim() == value && !has_control(value);
        if fits && self.kind.accepts(value) {
            return Ok(());
        }
        let expected = self.kind.in_words();
        Err(KeyError::Value { name: self.name, value: value.to_owned(), expected })
    }
}

impl Kind {
    fn accepts(self, value: &str) -> bool {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        match self {
            Self::Text => true,
            Self::Flag => matches!(value, "0" | "1"),
            Self::Count => digits && value.parse::<i32>().is_ok(),
            Self::Range(low, high) => {
                digits && value.parse().is_ok_and(|n: u32| (low..=high).contains(&n))
            }
            Self::Seconds => value.parse::<f64>().is_ok_and(|n| n.is_finite() && n >= 0.0),
            Self::Octal => digits && u32::from_str_radix(value, 8).is_ok(),
            Self::Choice(words) => words.contains(&value),
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Text => "one line of text without blanks at its ends".to_owned(),
            Self::Flag => "0 or 1".to_owned(),
            Self::Count => "a whole number of 0 or more".to_owned(),
            Self::Range(low, high) => format!("a whole number from {low} to {high}"),
            Self::Seconds => "a number of seconds".to_owned(),
            Self::Octal => "an octal number".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

const AUTH_TYPES: &[&str] =
    &["any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"];
const POOL_MODES: &[&str] = &["session", "transaction", "statement"];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

use Kind::{Choice, Count, Flag, Octal, Range, Seconds, Text};
use Reload::{Restart, Signal};

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    since: u16,
    reload: Reload,
) -> Key {
    Key { name, kind, default, since, reload }
}

/// All settings, by name.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("admin_users", Text, Some(""), 18, Signal),
    key("application_name_add_host", Flag, Some("0"), 18, Signal),
    key("auth_dbname", Text, None, 19, Signal),
    key("auth_file", Text, None, 18, Signal),
    key("auth_hba_file", Text, Some(""), 18, Signal),
    key("auth_ident_file", Text, None, 23, Signal),
    key("auth_ldap_options", Text, None, 25, Signal),
    key("auth_query", Text, None, 18, Signal),
    key("auth_type", Choice(AUTH_TYPES), Some("md5"), 18, Signal),
    key("auth_user", Text, None, 18, Signal),
    key("autodb_idle_timeout", Seconds, Some("3600"), 18, Signal),
    key("cancel_wait_timeout", Seconds, Some("10"), 19, Signal),
    key("client_idle_timeout", Seconds, Some("0"), 18, Signal),
    key("client_login_timeout", Seconds, Some("60"), 18, Signal),
    key("client_tls13_ciphers", Text, None, 25, Signal),
    key("client_tls_ca_file", Text, Some(""), 18, Signal),
    key("client_tls_cert_file", Text, Some(""), 18, Signal),
    key("client_tls_ciphers", Text, Some("default"), 18, Signal),
    key("client_tls_dheparams", Text, Some("auto"), 18, Signal),
    key("client_tls_ecdhcurve", Text, Some("auto"), 18, Signal),
    key("client_tls_key_file", Text, Some(""), 18, Signal),
    key("client_tls_protocols", Text, Some("secure"), 18, Signal),
    key("client_tls_sslmode", Choice(SSL_MODES), Some("disable"), 18, Signal),
    key("default_pool_size", Count, Some("20"), 18, Signal),
    key("disable_pqexec", Flag, Some("0"), 18, Restart),
    key("dns_max_ttl", Seconds, Some("15"), 18, Signal),
    key("dns_nxdomain_ttl", Seconds, Some("15"), 18, Signal),
    key("dns_zone_check_period", Seconds, Some("0"), 18, Signal),
    key("idle_transaction_timeout", Seconds, Some("0"), 18, Signal),
    key("ignore_startup_parameters", Text, Some(""), 18, Signal),
    key("job_name", Text, Some("pgbouncer"), 18, Restart),
    key("listen_addr", Text, Some(""), 18, Restart),
    key("listen_backlog", Count, Some("128"), 18, Restart),
    key("listen_port", Range(1, 65535), Some("6432"), 18, Restart),
    key("log_connections", Flag, Some("1"), 18, Signal),
    key("log_disconnections", Flag, Some("1"), 18, Signal),
    key("log_pooler_errors", Flag, Some("1"), 18, Signal),
    key("log_stats", Flag, Some("1"), 18, Signal),
    key("logfile", Text, Some(""), 18, Signal),
    key("max_client_conn", Count, Some("100"), 18, Signal),
    key("max_db_client_connections", Count, Some("0"), 24, Signal),
    key("max_db_connections", Count, Some("0"), 18, Signal),
    key("max_packet_size", Count, Some("2147483647"), 18, Signal),
    key("max_prepared_statements", Count, Some("200"), 21, Signal),
    key("max_user_client_connections", Count, Some("0"), 24, Signal),
    key("max_user_connections", Count, Some("0"), 18, Signal),
    key("min_pool_size", Count, Some("0"), 18, Signal),
    key("peer_id", Range(0, 65535), Some("0"), 19, Signal),
    key("pidfile", Text, Some(""), 18, Restart),
    key("pkt_buf", Count, Some("4096"), 18, Restart),
    key("pool_mode", Choice(POOL_MODES), Some("session"), 18, Signal),
    key("query_timeout", Seconds, Some("0"), 18, Signal),
    key("query_wait_notify", Count, Some("5"), 25, Signal),
    key("query_wait_timeout", Seconds, Some("120"), 18, Signal),
    key("reserve_pool_size", Count, Some("0"), 18, Signal),
    key("reserve_pool_timeout", Seconds, Some("5"), 18, Signal),
    key("resolv_conf", Text, Some(""), 18, Restart),
    key("sbuf_loopcnt", Count, Some("5"), 18, Signal),
    key("scram_iterations", Count, Some("4096"), 25, Signal),
    key("server_check_delay", Seconds, Some("30"), 18, Signal),
    key("server_check_query", Text, Some("<empty>"), 18, Signal),
    key("server_connect_timeout", Seconds, Some("15"), 18, Signal),
    key("server_fast_close", Flag, Some("0"), 18, Signal),
    key("server_idle_timeout", Seconds, Some("600"), 18, Signal),
    key("server_lifetime", Seconds, Some("3600"), 18, Signal),
    key("server_login_retry", Seconds, Some("15"), 18, Signal),
    key("server_reset_query", Text, Some("DISCARD ALL"), 18, Signal),
    key("server_reset_query_always", Flag, Some("0"), 18, Signal),
    key("server_round_robin", Flag, Some("0"), 18, Signal),
    key("server_tls13_ciphers", Text, None, 25, Signal),
    key("server_tls_ca_file", Text, Some(""), 18, Signal),
    key("server_tls_cert_file", Text, Some(""), 18, Signal),
    key("server_tls_ciphers", Text, Some("default"), 18, Signal),
    key("server_tls_key_file", Text, Some(""), 18, Signal),
    key("server_tls_protocols", Text, Some("secure"), 18, Signal),
    key("server_tls_sslmode", Choice(SSL_MODES), Some("prefer"), 18, Signal),
    key("so_reuseport", Flag, Some("0"), 18, Restart),
    key("stats_period", Count, Some("60"), 18, Signal),
    key("stats_users", Text, Some(""), 18, Signal),
    key("suspend_timeout", Seconds, Some("10"), 18, Signal),
    key("syslog", Flag, Some("0"), 18, Signal),
    key("syslog_facility", Text, Some("daemon"), 18, Signal),
    key("syslog_ident", Text, Some("pgbouncer"), 18, Signal),
    key("tcp_defer_accept", Count, None, 18, Signal),
    key("tcp_keepalive", Flag, Some("1"), 18, Signal),
    key("tcp_keepcnt", Count, Some("0"), 18, Signal),
    key("tcp_keepidle", Count, Some("0"), 18, Signal),
    key("tcp_keepintvl", Count, Some("0"), 18, Signal),
    key("tcp_socket_buffer", Count, Some("0"), 18, Signal),
    key("tcp_user_timeout", Count, Some("0"), 18, Signal),
    key("track_extra_parameters", Text, Some("IntervalStyle"), 20, Restart),
    key("transaction_timeout", Seconds, Some("0"), 25, Signal),
    key("unix_socket_dir", Text, Some("/tmp"), 18, Restart),
    key("unix_socket_group", Text, Some(""), 18, Restart),
    key("unix_socket_mode", Octal, Some("0777"), 18, Restart),
    key("user", Text, None, 18, Restart),
    key("verbose", Count, None, 18, Signal),
];

/// Where the settings of each first letter begin in the table: they are sought often.
const STARTS: [usize; 27] = {
    let mut starts = [0; 27];
    let (mut letter, mut at) = (0, 0);
    while letter < 26 {
        while at < KEYS.len() && KEYS[at].name.as_bytes()[0] <= b'a' + letter {
            at += 1;
        }
        letter += 1;
        starts[letter as usize] = at;
    }
    starts
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_found_by_its_name() {
        for key in KEYS {
            assert!(std::ptr::eq(Key::find(key.name).unwrap(), key), "{}", key.name);
        }
        for strange in ["", "z", "{", "Pool_mode", "pool_mod", "pool_modes"] {
            assert!(Key::find(strange).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(KEYS.is_sorted_by(|a, b| a.name < b.name));
        for key in KEYS {
            if let Some(default) = key.default {
                assert_eq!(key.check(default), Ok(()), "{}", key.name);
            }
        }
    }

    #[track_caller]
    fn check(name: &str, value: &str, accepted: bool) {
        assert_eq!(Key::find(name).unwrap().check(value).is_ok(), accepted, "{name} = {value}");
    }

    #[test]
    fn values_are_checked() {
        check("listen_port", "6432", true);
        check("listen_port", "0", false);
        check("listen_port", "65536", false);
        check("pool_mode", "transaction", true);
        check("pool_mode", "abcXYZ123", false);
        check("max_db_connections", "-1", false);
        check("max_db_connections", "+1", false);
        check("server_idle_timeout", "0.5", true);
        check("server_idle_timeout", "inf", false);
        check("server_reset_query", "DISCARD ALL", true);
        check("server_reset_query", "DISCARD\nALL", false);
        check("so_reuseport", "yes", false);
    }

    #[test]
    fn versions_gate_settings() {
        let old = Version { minor: 18, patch: 0 };
        assert!(!Key::find("peer_id").unwrap().known_to(old));
        assert!(Key::find("peer_id").unwrap().known_to(Version::TRIXIE));
        assert!(!Key::find("query_wait_notify").unwrap().known_to(Version::TRIXIE));
        assert!(Key::find("no_such_setting").is_err());
    }
}
