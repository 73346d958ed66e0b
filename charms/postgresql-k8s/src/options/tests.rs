//! Tests of the options.

use std::collections::BTreeSet;

use super::*;
use serde_json::json;

const MACHINE: Resources = Resources { cores: 2, memory: 4_000_000_000 };

/// The defaults of `config.yaml`.
pub(super) fn defaults() -> serde_json::Map<String, Value> {
    let text = include_str!("../../config.yaml");
    let mut defaults = serde_json::Map::new();
    let mut option = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("  ").and_then(|l| l.strip_suffix(':')) {
            if !name.starts_with(' ') {
                option = name.to_owned();
            }
        } else if let Some(value) = line.strip_prefix("    default: ") {
            defaults.insert(option.clone(), serde_json::from_str(value).unwrap());
        }
    }
    defaults
}

pub(super) fn parse(changes: &Value) -> Result<Settings, Vec<String>> {
    let mut options = defaults();
    options.extend(changes.as_object().unwrap().clone());
    Settings::parse(&Config::new(options), MACHINE)
}

#[track_caller]
fn check(changes: &Value, parameter: &str, expected: &Value) {
    let settings = parse(changes).unwrap();
    let found = settings.parameters.get(parameter).or(settings.shared.get(parameter));
    assert_eq!(found.unwrap_or(&Value::Null), expected, "{parameter}");
}

#[track_caller]
pub(super) fn check_refused(changes: &Value, expected: &str) {
    assert_eq!(parse(changes).unwrap_err(), [expected]);
}

#[test]
fn every_option_of_the_table_is_in_config_yaml() {
    let known = defaults();
    for (option, ..) in table::TABLE {
        assert!(known.contains_key(*option), "{option}");
    }
}

#[test]
fn defaults_are_valid_and_split_by_place() {
    let settings = parse(&json!({})).unwrap();
    let shared: BTreeSet<&str> = settings.shared.keys().map(String::as_str).collect();
    let unset = BTreeSet::from(["track_commit_timestamp"]);
    assert_eq!(&shared | &unset, BTreeSet::from(SHARED));
    let free: Vec<&str> = settings.free.keys().map(String::as_str).collect();
    let texts = ["DateStyle", "TimeZone", "default_table_access_method"];
    assert_eq!(free[..3], texts);
    assert_eq!(settings.parameters["DateStyle"], "ISO, MDY");
    assert_eq!(settings.parameters["pg_stat_statements.track"], "top");
    assert_eq!(settings.parameters["enable_hashagg"], "on");
    assert_eq!((settings.strict, settings.maximum_lag), (true, 1_048_576));
}

#[test]
fn further_parameters_take_the_place_of_what_no_option_sets() {
    let set = |text: &str| json!({"postgresql-settings": text});
    check(&set("max_wal_size=4GB"), "max_wal_size", &json!("4GB"));
    check(&set("Log_Statement=all"), "log_statement", &json!("all"));
    let settings = parse(&set("max_wal_senders=30; seq_page_cost=1.5")).unwrap();
    assert_eq!(settings.shared["max_wal_senders"], "30");
    assert_eq!(settings.free["seq_page_cost"], "1.5");
    check_refused(
        &set("work_mem=4MB"),
        "cannot use the option postgresql-settings: it takes parameters without an option, but \
         work_mem has memory_work_mem",
    );
    check_refused(
        &set("reserved_connections=100"),
        "cannot use the option postgresql-settings: it takes fewer reserved connections than \
         there are, which is 100",
    );
}

#[test]
fn memory_follows_the_profile() {
    check(&json!({}), "shared_buffers", &json!(128_000));
    check(&json!({}), "effective_cache_size", &json!(377_728));
    check(&json!({"profile": "testing"}), "shared_buffers", &Value::Null);
    check(&json!({"profile": "testing"}), "effective_cache_size", &Value::Null);
    check(&json!({"profile_limit_memory": 1000}), "shared_buffers", &json!(32_000));
    check(&json!({"memory_shared_buffers": 1000}), "shared_buffers", &json!(1000));
    check_refused(
        &json!({"memory_shared_buffers": 1_000_000}),
        "cannot use 1000000 for the option memory_shared_buffers: \
         shared buffers take at most 40% of the available memory, which is 1600MB",
    );
}

#[test]
fn workers_follow_the_cores() {
    check(&json!({}), "max_worker_processes", &json!(4));
    check(&json!({"cpu_max_worker_processes": "20"}), "max_parallel_workers", &json!(20));
    check(&json!({"cpu_max_parallel_workers": "9"}), "max_parallel_workers", &json!(4));
    check(&json!({"cpu_wal_compression": false}), "wal_compression", &json!("off"));
    check_refused(
        &json!({"cpu_max_worker_processes": "21"}),
        "cpu_max_worker_processes value 21 exceeds maximum allowed of 20 (10 * vCores). \
         Please set a value <= 20.",
    );
    check_refused(
        &json!({"cpu_max_parallel_workers": "1"}),
        "cannot use \"1\" for the option cpu_max_parallel_workers: it is auto or a number from 2",
    );
}

#[test]
fn connections_follow_the_cores_and_the_option() {
    check(&json!({}), "max_connections", &json!(100));
    check(&json!({"experimental_max_connections": 7}), "max_connections", &json!(25));
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    check_refused(
        &json!({"connection_authentication_timeout": 601}),
        "cannot use 601 for the option connection_authentication_timeout: \
         it is a number from 1 to 600",
    );
    check_refused(
        &json!({"durability_synchronous_commit": "off"}),
        "cannot use \"off\" for the option durability_synchronous_commit: \
         it is one of on, remote_apply, remote_write",
    );
    check_refused(
        &json!({"synchronous_node_count": "none"}),
        "cannot use \"none\" for the option synchronous_node_count: \
         it is all, majority or a number from 1",
    );
}
