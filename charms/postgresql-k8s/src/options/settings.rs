//! The option `postgresql-settings`: parameters of PostgreSQL that have no option of their own.

use charm::Config;

use super::table::TABLE;

/// The option's name.
pub(super) const OPTION: &str = "postgresql-settings";

/// Parameters that follow from options whose names do not tell.
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

/// Parameters of the charm and of Patroni: addresses, files, authentication, replication and
/// recovery, what keeps an acknowledged commit, and libraries that would stop the server if
/// they were not there.
const OWNED: [&str; 53] = [
    "archive_cleanup_command",
    "archive_library",
    "archive_mode",
    "bonjour",
    "cluster_name",
    "config_file",
    "data_directory",
    "dynamic_library_path",
    "external_pid_file",
    "fsync",
    "full_page_writes",
    "hba_file",
    "hot_standby",
    "huge_pages",
    "ident_file",
    "jit_provider",
    "listen_addresses",
    "local_preload_libraries",
    "log_destination",
    "logging_collector",
    "pg_stat_statements.max",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_end_command",
    "recovery_init_sync_method",
    "recovery_min_apply_delay",
    "recovery_prefetch",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restart_after_crash",
    "restore_command",
    "session_preload_libraries",
    "shared_memory_type",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_passphrase_command",
    "synchronous_standby_names",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
    "wal_level",
    "wal_log_hints",
    "zero_damaged_pages",
];

/// The least values that the server's own check does not ask for, but its start or Patroni does.
const LEAST: [(&str, u64); 4] = [
    ("max_replication_slots", 25),
    ("max_wal_senders", 25),
    ("max_wal_size", 32 << 20),
    ("min_wal_size", 32 << 20),
];

/// Patroni takes its own default for a smaller number of connections.
const LEAST_CONNECTIONS: u64 = 25;

/// Names and values, or what the option takes instead. Whether PostgreSQL knows a name and
/// takes its value, only PostgreSQL can tell.
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
    if OWNED.into_iter().any(is) {
        return Err(format!("parameters other than {name}, which belongs to the charm"));
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.contains(['\0', '\'']) {
        return Err(format!("a value for {name} without quotes in it"));
    }
    let least = LEAST.into_iter().find(|(parameter, _)| parameter.eq_ignore_ascii_case(name));
    let Some((_, least)) = least else { return Ok(()) };
    let unit = if least < 1 << 20 { 1 } else { 1 << 20 };
    if quantity(value, unit).is_some_and(|number| number >= least) {
        return Ok(());
    }
    Err(match least / unit {
        least if unit == 1 => format!("a whole number from {least} for {name}"),
        least => format!("a size from {least}MB for {name}"),
    })
}

/// The server starts only where some connections are left for everybody.
pub(super) fn check_reserved(pairs: &[(String, String)], connections: u64) -> Result<(), String> {
    let given = |name: &str, default: u64| {
        let found = pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Some(default), |(_, value)| value.parse().ok())
    };
    let reserved = given("superuser_reserved_connections", 3)
        .zip(given("reserved_connections", 0))
        .and_then(|(superusers, others): (u64, u64)| superusers.checked_add(others));
    match reserved {
        Some(reserved) if reserved < connections.max(LEAST_CONNECTIONS) => Ok(()),
        _ => Err(format!("fewer reserved connections than there are, which is {connections}")),
    }
}

/// The value as `postgresql.conf` has it, in quotes or not.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.unwrap_or(value).to_owned()
}

/// A whole number, times the unit that it names or else this one.
fn quantity(text: &str, unit: u64) -> Option<u64> {
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
        check("Port=1", Err("parameters other than Port, which belongs to the charm"));
        check("fsync=off", Err("parameters other than fsync, which belongs to the charm"));
        check("a.b=1;A.B=2", Err("each name once, not A.B twice"));
        check("a.b='", Err("a value for a.b without quotes in it"));
        check("min_wal_size=31", Err("a size from 32MB for min_wal_size"));
        check("max_wal_size=lots", Err("a size from 32MB for max_wal_size"));
        check("max_wal_senders=3", Err("a whole number from 25 for max_wal_senders"));
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
    fn owned_names_are_sorted_and_have_no_option() {
        assert!(OWNED.is_sorted());
        for name in OWNED {
            let option = TABLE.iter().find(|(_, parameter, _)| *parameter == name);
            assert_eq!(option.map(|(option, ..)| *option), None, "{name}");
        }
    }
}
