//! The options of the pooler: what histories set, and what the charm takes.

use std::collections::BTreeMap;

/// One option.
pub(crate) struct OptionSpec {
    /// Its name.
    pub key: &'static str,
    /// What histories set it to: valid, edge and invalid values.
    pub values: &'static [&'static str],
    /// Whether the charm takes a value.
    pub is_valid: fn(&str) -> bool,
}

/// Every option that histories set.
pub(crate) const OPTIONS: [OptionSpec; 8] = [
    OptionSpec {
        key: "listen_port",
        values: &["6432", "6433", "1", "65535", "0", "-1", "70000"],
        is_valid: |text| (1..=65535).contains(&number(text)),
    },
    OptionSpec {
        key: "pool_mode",
        values: &["session", "transaction", "statement", "nonsense", ""],
        is_valid: |text| ["session", "transaction", "statement"].contains(&text),
    },
    OptionSpec {
        key: "max_db_connections",
        values: &["100", "0", "1", "7", "-1"],
        is_valid: |text| number(text) >= 0,
    },
    OptionSpec {
        key: "max_prepared_statements",
        values: &["100", "0", "1000", "-1", "1001"],
        is_valid: |text| (0..=1000).contains(&number(text)),
    },
    OptionSpec {
        key: "expose-external",
        values: &["false", "nodeport", "loadbalancer", "maybe"],
        is_valid: |text| ["false", "nodeport", "loadbalancer"].contains(&text),
    },
    OptionSpec {
        key: "database-pool-sizes",
        values: &["", "waltz=4; tango=3", "waltz=0", "waltz", "waltz=1; waltz=2"],
        is_valid: |text| ["", "waltz=4; tango=3"].contains(&text),
    },
    OptionSpec {
        key: "loadbalancer-extra-annotations",
        values: &["{}", "{\"a.b/c\": \"d\"}", "[", "{\"a\": 1}"],
        is_valid: |text| serde_json::from_str::<BTreeMap<String, String>>(text).is_ok(),
    },
    OptionSpec {
        key: "pgbouncer-settings",
        values: &[
            "",
            "query_wait_timeout=60",
            "query_wait_timeout=soon",
            "auth_type=any",
            "nonsense=1",
            "client_tls_sslmode=require",
            "server_tls_ciphers=nonsense",
        ],
        is_valid: |text| ["", "query_wait_timeout=60"].contains(&text),
    },
];

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}
