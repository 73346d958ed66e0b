//! Every setting of the `[pgbouncer]` section, from PgBouncer 1.18 to 1.25.

use crate::Version;
use crate::text::has_control;

/// How a running PgBouncer takes a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// A SIGHUP is enough.
    Signal,
    /// The process must be restarted.
    Restart,
}

/// What values a setting accepts: none of them keeps a process from starting, stops it later or
/// keeps clients out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One plain word.
    Word,
    /// Plain words with commas between.
    Words,
    /// `0` or `1`.
    Flag,
    /// A whole number within these bounds, both included.
    Range(u32, u32),
    /// A number of seconds, fractions allowed: 0, or at least so many milliseconds.
    Seconds(u32),
    /// The mode of a socket that its owner can use, in octal digits.
    Mode,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words with commas between.
    Choices(&'static [&'static str]),
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

    /// Whether a process whose `SHOW CONFIG` says `shown` has taken `asked`.
    pub fn agrees(&self, asked: &str, shown: &str) -> bool {
        self.kind.agrees(asked, shown)
    }
}

/// The longest time that a setting takes, in seconds: 100 years.
const SECONDS_MAX: f64 = 3.2e9;

/// The longest text that a setting takes, in bytes.
const TEXT_MAX: usize = 4096;

impl Kind {
    /// A whole number of 0 or more.
    const COUNT: Self = Self::Range(0, i32::MAX.unsigned_abs());

    fn accepts(self, value: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // PgBouncer takes a number that begins with 0 for an octal one.
        let number = |text: &str| digits(text) && (text == "0" || !text.starts_with('0'));
        let word = |text: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            (1..=64).contains(&text.len()) && text.bytes().all(plain)
        };
        let mut parts = value.split(',').map(str::trim);
        match self {
            Self::Text => value.len() <= TEXT_MAX,
            Self::Word => word(value),
            Self::Words => value.is_empty() || (value.len() <= TEXT_MAX && parts.all(word)),
            Self::Flag => matches!(value, "0" | "1"),
            Self::Range(low, high) => {
                number(value) && value.parse().is_ok_and(|n: u32| (low..=high).contains(&n))
            }
            Self::Seconds(least) => {
                let (whole, rest) = value.split_once('.').unwrap_or((value, "0"));
                let seconds = value.parse::<f64>().ok().filter(|_| digits(whole) && digits(rest));
                let least = f64::from(least) / 1000.0;
                seconds.is_some_and(|n| n == 0.0 || (least..=SECONDS_MAX).contains(&n))
            }
            Self::Mode => {
                let octal = value.len() == 4 && value.bytes().all(|b| b"01234567".contains(&b));
                octal && (value.starts_with("07") || value.starts_with("06"))
            }
            Self::Choice(words) => words.contains(&value),
            Self::Choices(words) => parts.all(|part| words.contains(&part)),
        }
    }

    /// Whether a process that shows `shown` for the setting has what `asked` says.
    fn agrees(self, asked: &str, shown: &str) -> bool {
        match self {
            // PgBouncer shows six digits of it.
            Self::Seconds(_) => match (asked.parse::<f64>(), shown.parse::<f64>()) {
                (Ok(asked), Ok(shown)) => (asked - shown).abs() <= asked.abs() * 1e-5,
                _ => false,
            },
            Self::Mode => u32::from_str_radix(asked, 8).ok() == shown.parse().ok(),
            _ => asked == shown,
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Text => {
                format!("one line of at most {TEXT_MAX} bytes without blanks at its ends")
            }
            Self::Word => "one word of letters, digits, dots, hyphens and underscores".to_owned(),
            Self::Words => "plain words with commas between".to_owned(),
            Self::Flag => "0 or 1".to_owned(),
            Self::Range(low, high) => format!("a whole number from {low} to {high}"),
            Self::Seconds(0) => "a number of seconds".to_owned(),
            Self::Seconds(least) => {
                format!("0, or a number of seconds from {}", f64::from(least) / 1000.0)
            }
            Self::Mode => "four octal digits from 0600 to 0777".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Choices(words) => format!("some of {} with commas between", words.join(", ")),
        }
    }
}

const AUTH_TYPES: &[&str] =
    &["any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"];
const POOL_MODES: &[&str] = &["session", "transaction", "statement"];
const PROTOCOLS: &[&str] =
    &["all", "default", "secure", "tlsv1", "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
const CURVES: &[&str] = &["auto", "none", "prime256v1", "secp384r1", "secp521r1"];
/// A query that fails would end every server connection that it looks at.
const CHECKS: &[&str] = &["select 1", "SELECT 1", ";", ""];
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "daemon", "user", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const COUNT: Kind = Kind::COUNT;
const TIME: Kind = Kind::Seconds(0);
/// Less would end what is not over yet.
const FROM_1_S: Kind = Kind::Seconds(1000);
const FROM_100_MS: Kind = Kind::Seconds(100);
/// What a machine has files for.
const CONNECTIONS_MAX: u32 = 1_000_000;
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

use Kind::{Choice, Choices, Flag, Mode, Range, Text, Word, Words};
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
    key("autodb_idle_timeout", TIME, Some("3600"), 18, Signal),
    key("cancel_wait_timeout", TIME, Some("10"), 19, Signal),
    key("client_idle_timeout", FROM_1_S, Some("0"), 18, Signal),
    key("client_login_timeout", FROM_1_S, Some("60"), 18, Signal),
    key("client_tls13_ciphers", Text, None, 25, Signal),
    key("client_tls_ca_file", Text, Some(""), 18, Signal),
    key("client_tls_cert_file", Text, Some(""), 18, Signal),
    key("client_tls_ciphers", Text, Some("default"), 18, Signal),
    key("client_tls_dheparams", Choice(&["auto", "none"]), Some("auto"), 18, Signal),
    key("client_tls_ecdhcurve", Choice(CURVES), Some("auto"), 18, Signal),
    key("client_tls_key_file", Text, Some(""), 18, Signal),
    key("client_tls_protocols", Choices(PROTOCOLS), Some("secure"), 18, Signal),
    key("client_tls_sslmode", Choice(SSL_MODES), Some("disable"), 18, Signal),
    key("conffile", Text, None, 18, Signal),
    key("default_pool_size", Range(1, CONNECTIONS_MAX), Some("20"), 18, Signal),
    key("disable_pqexec", Flag, Some("0"), 18, Restart),
    key("dns_max_ttl", TIME, Some("15"), 18, Signal),
    key("dns_nxdomain_ttl", TIME, Some("15"), 18, Signal),
    key("dns_zone_check_period", FROM_1_S, Some("0"), 18, Signal),
    key("idle_transaction_timeout", TIME, Some("0"), 18, Signal),
    key("ignore_startup_parameters", Words, Some(""), 18, Signal),
    key("job_name", Word, Some("pgbouncer"), 18, Restart),
    key("listen_addr", Text, Some(""), 18, Restart),
    key("listen_backlog", Range(1, 65_535), Some("128"), 18, Restart),
    key("listen_port", Range(1, 65535), Some("6432"), 18, Restart),
    key("log_connections", Flag, Some("1"), 18, Signal),
    key("log_disconnections", Flag, Some("1"), 18, Signal),
    key("log_pooler_errors", Flag, Some("1"), 18, Signal),
    key("log_stats", Flag, Some("1"), 18, Signal),
    key("logfile", Text, Some(""), 18, Signal),
    key("max_client_conn", Range(1, CONNECTIONS_MAX), Some("100"), 18, Signal),
    key("max_db_client_connections", COUNT, Some("0"), 24, Signal),
    key("max_db_connections", COUNT, Some("0"), 18, Signal),
    key("max_packet_size", Range(65_536, 2_147_483_647), Some("2147483647"), 18, Signal),
    key("max_prepared_statements", COUNT, Some("200"), 21, Signal),
    key("max_user_client_connections", COUNT, Some("0"), 24, Signal),
    key("max_user_connections", COUNT, Some("0"), 18, Signal),
    key("min_pool_size", Range(0, CONNECTIONS_MAX), Some("0"), 18, Signal),
    key("peer_id", Range(0, 65535), Some("0"), 19, Signal),
    key("pidfile", Text, Some(""), 18, Restart),
    key("pkt_buf", Range(2048, 131_072), Some("4096"), 18, Restart),
    key("pool_mode", Choice(POOL_MODES), Some("session"), 18, Signal),
    key("query_timeout", TIME, Some("0"), 18, Signal),
    key("query_wait_notify", COUNT, Some("5"), 25, Signal),
    key("query_wait_timeout", FROM_100_MS, Some("120"), 18, Signal),
    key("reserve_pool_size", Range(0, CONNECTIONS_MAX), Some("0"), 18, Signal),
    key("reserve_pool_timeout", TIME, Some("5"), 18, Signal),
    key("resolv_conf", Text, Some(""), 18, Restart),
    key("sbuf_loopcnt", COUNT, Some("5"), 18, Signal),
    key("scram_iterations", Range(4096, 100_000), Some("4096"), 25, Signal),
    key("server_check_delay", TIME, Some("30"), 18, Signal),
    key("server_check_query", Choice(CHECKS), Some("select 1"), 18, Signal),
    key("server_connect_timeout", FROM_100_MS, Some("15"), 18, Signal),
    key("server_fast_close", Flag, Some("0"), 18, Signal),
    key("server_idle_timeout", TIME, Some("600"), 18, Signal),
    key("server_lifetime", TIME, Some("3600"), 18, Signal),
    key("server_login_retry", TIME, Some("15"), 18, Signal),
    key("server_reset_query", Text, Some("DISCARD ALL"), 18, Signal),
    key("server_reset_query_always", Flag, Some("0"), 18, Signal),
    key("server_round_robin", Flag, Some("0"), 18, Signal),
    key("server_tls13_ciphers", Text, None, 25, Signal),
    key("server_tls_ca_file", Text, Some(""), 18, Signal),
    key("server_tls_cert_file", Text, Some(""), 18, Signal),
    key("server_tls_ciphers", Text, Some("default"), 18, Signal),
    key("server_tls_key_file", Text, Some(""), 18, Signal),
    key("server_tls_protocols", Choices(PROTOCOLS), Some("secure"), 18, Signal),
    key("server_tls_sslmode", Choice(SSL_MODES), Some("prefer"), 18, Signal),
    key("so_reuseport", Flag, Some("0"), 18, Restart),
    key("stats_period", Range(1, 86_400), Some("60"), 18, Signal),
    key("stats_users", Text, Some(""), 18, Signal),
    key("suspend_timeout", TIME, Some("10"), 18, Signal),
    key("syslog", Flag, Some("0"), 18, Signal),
    key("syslog_facility", Choice(FACILITIES), Some("daemon"), 18, Signal),
    key("syslog_ident", Word, Some("pgbouncer"), 18, Signal),
    key("tcp_defer_accept", Flag, None, 18, Signal),
    key("tcp_keepalive", Flag, Some("1"), 18, Signal),
    key("tcp_keepcnt", Range(0, 127), Some("0"), 18, Signal),
    key("tcp_keepidle", Range(0, 32_767), Some("0"), 18, Signal),
    key("tcp_keepintvl", Range(0, 32_767), Some("0"), 18, Signal),
    key("tcp_socket_buffer", COUNT, Some("0"), 18, Signal),
    key("tcp_user_timeout", COUNT, Some("0"), 18, Signal),
    key("track_extra_parameters", Words, Some("IntervalStyle"), 20, Restart),
    key("transaction_timeout", TIME, Some("0"), 25, Signal),
    key("unix_socket_dir", Text, Some("/tmp"), 18, Restart),
    key("unix_socket_group", Text, Some(""), 18, Restart),
    key("unix_socket_mode", Mode, Some("0777"), 18, Restart),
    key("user", Text, None, 18, Restart),
    key("verbose", Range(0, 2), None, 18, Signal),
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
        check("max_db_connections", "010", false);
        check("max_db_connections", "2147483648", false);
        check("server_idle_timeout", "1e3", false);
        check("server_idle_timeout", "nan", false);
        check("server_idle_timeout", "99999999999", false);
        check("client_login_timeout", "0.001", false);
        check("client_login_timeout", "0", true);
        check("unix_socket_mode", "0770", true);
        check("unix_socket_mode", "777", false);
        check("unix_socket_mode", "0077", false);
    }

    #[test]
    fn what_stops_a_process_or_all_clients_is_refused() {
        check("pkt_buf", "2147483647", false);
        check("pkt_buf", "0", false);
        check("max_packet_size", "0", false);
        check("stats_period", "0", false);
        check("max_client_conn", "0", false);
        check("default_pool_size", "0", false);
        check("listen_backlog", "0", false);
        check("tcp_keepcnt", "128", false);
        check("tcp_keepidle", "32768", false);
        check("dns_zone_check_period", "0.000001", false);
        check("server_check_query", "garbage", false);
        check("server_check_query", "", true);
        check("track_extra_parameters", "IntervalStyle, search_path", true);
        check("track_extra_parameters", "a b", false);
        check("client_tls_protocols", "tlsv1.2,tlsv1.3", true);
        check("client_tls_protocols", "tlsv9", false);
        check("client_tls_ecdhcurve", "sect113r1", false);
        check("syslog_facility", "kitchen", false);
        check("job_name", "", false);
    }

    #[track_caller]
    fn check_agrees(name: &str, asked: &str, shown: &str, expected: bool) {
        assert_eq!(Key::find(name).unwrap().agrees(asked, shown), expected, "{name} = {asked}");
    }

    #[test]
    fn what_a_process_shows_is_understood() {
        check_agrees("query_wait_timeout", "60", "60", true);
        check_agrees("query_wait_timeout", "60.0", "60", true);
        check_agrees("query_wait_timeout", "60", "120", false);
        check_agrees("server_lifetime", "1234567", "1.23457e+06", true);
        check_agrees("server_lifetime", "60", "", false);
        check_agrees("unix_socket_mode", "0777", "511", true);
        check_agrees("unix_socket_mode", "0777", "448", false);
        check_agrees("pool_mode", "session", "transaction", false);
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
