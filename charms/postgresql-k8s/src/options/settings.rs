//! The option `postgresql-settings`: parameters of PostgreSQL that have no option of their own.

use juju_charm::Config;

use super::parameters::{BOUNDS, REFUSED, TAKEN, VERSIONS};
use super::table::TABLE;

/// The option's name.
pub(super) const OPTION: &str = "postgresql-settings";

/// Parameters that follow from options of other names.
const DERIVED: [(&str, &str); 8] = [
    ("max_connections", "experimental_max_connections"),
    ("max_logical_replication_workers", "cpu_max_logical_replication_workers"),
    ("max_parallel_maintenance_workers", "cpu_max_parallel_maintenance_workers"),
    ("max_parallel_workers", "cpu_max_parallel_workers"),
    ("max_sync_workers_per_subscription", "cpu_max_sync_workers_per_subscription"),
    ("max_worker_processes", "cpu_max_worker_processes"),
    ("shared_buffers", "memory_shared_buffers"),
    ("wal_compression", "cpu_wal_compression"),
];

/// Patroni takes its own default for a smaller number of connections.
pub(super) const LEAST_CONNECTIONS: u64 = 25;

/// Names and values, or what the option takes instead. Whether PostgreSQL knows a name and takes
/// its value, only PostgreSQL knows.
pub(super) fn read(config: &Config) -> Result<Vec<(String, String)>, String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in config.pairs(OPTION).map_err(|error| error.to_string())? {
        check_name(name)?;
        let value = unquoted(value);
        check_value(name, &value)?;
        if found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(format!("each name once, not {name} twice"));
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(format!("names of parameters, which {name:?} is not"));
    }
    let is = |parameter: &str| parameter.eq_ignore_ascii_case(name);
    let option = TABLE.iter().find(|(_, parameter, _)| is(parameter)).map(|(option, ..)| *option);
    let derived = DERIVED.iter().find(|(parameter, _)| is(parameter)).map(|(_, option)| *option);
    if let Some(option) = option.or(derived) {
        return Err(format!("parameters without an option, but {name} has {option}"));
    }
    if let Some((_, why)) = REFUSED.iter().find(|(parameter, _)| is(parameter)) {
        return Err(format!("parameters other than {name}: {why}"));
    }
    // Those of extensions, which have a dot, only the server knows.
    if name.contains('.') || TAKEN.iter().copied().any(is) {
        return Ok(());
    }
    Err(format!("parameters of PostgreSQL {VERSIONS}, which {name} is not"))
}

/// Whether the option takes a parameter of this name, or refuses it and says why: a new release
/// of PostgreSQL may have others.
pub(super) fn is_decided(name: &str) -> bool {
    let is = |parameter: &str| parameter.eq_ignore_ascii_case(name);
    let refused = REFUSED.iter().map(|(parameter, _)| *parameter);
    let optional = TABLE.iter().map(|(_, parameter, _)| *parameter);
    let derived = DERIVED.iter().map(|(parameter, _)| *parameter);
    refused.chain(optional).chain(derived).chain(TAKEN).any(is)
}

fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.contains(['\0', '\'']) {
        return Err(format!("a value for {name} without quotes in it"));
    }
    let found = BOUNDS.into_iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let Some((parameter, low, high, unit)) = found else { return Ok(()) };
    let automatic = parameter == "wal_buffers" && value == "-1";
    let number = quantity(value, unit);
    if automatic || number.is_some_and(|number| (low..=high).contains(&number)) {
        return Ok(());
    }
    let size = |bytes: u64| match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 20) == 0 => format!("{}MB", bytes >> 20),
        bytes => format!("{}kB", bytes >> 10),
    };
    let counts = low > 0 && high <= 1_000_000;
    Err(match high {
        u64::MAX => format!("a size from {} for {name}", size(low)),
        _ if counts => format!("a whole number from {low} to {high} for {name}"),
        _ => format!("a size from {} to {} for {name}", size(low), size(high)),
    })
}

/// The server starts only where some connections are left for ordinary users.
pub(super) fn check_reserved(pairs: &[(String, String)], connections: u64) -> Result<(), String> {
    let given = |name: &str, default: u64| {
        let found = pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Some(default), |(_, value)| value.parse().ok())
    };
    let reserved = given("superuser_reserved_connections", 3)
        .zip(given("reserved_connections", 0))
        .and_then(|(superusers, others): (u64, u64)| superusers.checked_add(others));
    match reserved {
        Some(reserved) if reserved < connections => Ok(()),
        _ => Err(format!("fewer reserved connections than there are, which is {connections}")),
    }
}

/// The value as `postgresql.conf` has it, in quotes or not.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.unwrap_or(value).to_owned()
}

/// A whole number, times the unit that it names or else this one.
pub(super) fn quantity(text: &str, unit: u64) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let unit = match suffix.trim() {
        "" => unit,
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let config = Config::new([(OPTION.to_owned(), json!(text))]);
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(read(&config), expected.map(owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn pairs_are_read_as_postgresql_conf_has_them() {
        check("", Ok(&[]));
        check(
            "max_wal_size = 4GB;\n seq_page_cost=1.5; search_path = 'a, b'",
            Ok(&[("max_wal_size", "4GB"), ("seq_page_cost", "1.5"), ("search_path", "a, b")]),
        );
        check(
            "auto_explain.log_min_duration=250ms",
            Ok(&[("auto_explain.log_min_duration", "250ms")]),
        );
        check("max_replication_slots=40", Ok(&[("max_replication_slots", "40")]));
    }

    #[test]
    fn what_cannot_be_set_is_refused_by_name() {
        check("work_mem", Err("key=value, which \"work_mem\" is not"));
        check("a b=1", Err("names of parameters, which \"a b\" is not"));
        check(
            "WORK_MEM=4MB",
            Err("parameters without an option, but WORK_MEM has memory_work_mem"),
        );
        check(
            "wal_compression=on",
            Err("parameters without an option, but wal_compression has cpu_wal_compression"),
        );
        check("Port=1", Err("parameters other than Port: Patroni sets it"));
        check("wrok_mem=1", Err("parameters of PostgreSQL 14 to 17, which wrok_mem is not"));
        for (text, why) in [
            ("fsync=off", "acknowledged commits or rows could be lost or wrong"),
            ("data_sync_retry=on", "acknowledged commits or rows could be lost or wrong"),
            ("ignore_invalid_pages=on", "acknowledged commits or rows could be lost or wrong"),
            (
                "session_replication_role=replica",
                "acknowledged commits or rows could be lost or wrong",
            ),
            (
                "archive_command=id",
                "the charm keeps no archive, and nothing else runs as the server",
            ),
            ("pgaudit.log=none", "it follows from the options of plugins"),
            ("plperl.on_init=1", "the charm owns what code the server loads"),
        ] {
            let name = text.split_once('=').unwrap().0;
            check(text, Err(&format!("parameters other than {name}: {why}")));
        }
        check(
            "default_transaction_read_only=on",
            Err("parameters without an option, but default_transaction_read_only has \
                 request_default_transaction_read_only"),
        );
        check("a.b=1;A.B=2", Err("each name once, not A.B twice"));
        check("a.b='", Err("a value for a.b without quotes in it"));
        check("min_wal_size=31", Err("a size from 32MB for min_wal_size"));
        check("max_wal_size=lots", Err("a size from 32MB for max_wal_size"));
        check("max_wal_senders=3", Err("a whole number from 25 to 1000 for max_wal_senders"));
        check("wal_buffers=2GB", Err("a size from 32kB to 256MB for wal_buffers"));
        check("wal_buffers=-1", Ok(&[("wal_buffers", "-1")]));
        check("transaction_buffers=0", Ok(&[("transaction_buffers", "0")]));
    }

    #[track_caller]
    fn check_enough(text: &str, enough: bool) {
        let pairs = read(&Config::new([(OPTION.to_owned(), json!(text))])).unwrap();
        assert_eq!(check_reserved(&pairs, 100).is_ok(), enough, "{text}");
    }

    #[test]
    fn reserved_connections_leave_some() {
        check_enough("reserved_connections=90", true);
        check_enough("reserved_connections=97", false);
        check_enough("superuser_reserved_connections=50;Reserved_Connections=50", false);
        check_enough("reserved_connections=many", false);
    }

    #[test]
    fn every_parameter_has_one_answer() {
        let refused: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
        assert!(refused.is_sorted() && TAKEN.is_sorted());
        let options = TABLE.iter().map(|(_, parameter, _)| *parameter);
        let options: Vec<&str> = options.chain(DERIVED.map(|(parameter, _)| parameter)).collect();
        for name in &refused {
            assert!(!TAKEN.contains(name) && !options.contains(name), "{name}");
        }
        assert_eq!(TAKEN.iter().find(|name| options.contains(*name)), None);
        for (name, ..) in BOUNDS {
            assert!(TAKEN.contains(&name), "{name}");
        }
    }

    /// What the charm sets beside the options is taken or refused like the rest, so no requested
    /// parameter is overridden without a message.
    #[test]
    fn nothing_is_overridden_in_silence() {
        let audit = super::super::Plugins::default().parameters(true);
        let tls = ["ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file"];
        for name in audit.keys().map(String::as_str).chain(tls) {
            assert!(REFUSED.iter().any(|(refused, _)| *refused == name), "{name}");
        }
        for (name, _) in super::super::FIXED {
            assert!(is_decided(name), "{name}");
        }
    }
}
