//! What a server keeps for sessions that may come: it starts only where there is room for it.

use patroni::config::Parameters;

use super::{MEGABYTE, Reader};
use crate::resources::Resources;

/// The options that multiply each other.
const OPTIONS: &str = "experimental_max_connections, memory_max_prepared_transactions, \
    instance_max_locks_per_transaction and request_track_activity_query_size";

/// Bytes of shared memory, as `postgres -C shared_memory_size` comes to, for an entry in the table of locks, with those who hold it.
const LOCK: u64 = 400;
/// The same for a lock that a serialisable transaction has on what it read.
const PREDICATE_LOCK: u64 = 250;
/// The same for a process or a prepared transaction, besides its locks.
const SLOT: u64 = 7000;
/// Processes of the server's own that are no sessions.
const OWN: u64 = 10;

/// What a parameter is, whichever option gave it.
fn number(all: &Parameters, name: &str, default: u64) -> u64 {
    let found = all.get(name).and_then(|value| match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_u64(),
    });
    found.unwrap_or(default)
}

/// About how much shared memory a server takes besides its buffers.
fn bytes(all: &Parameters) -> u64 {
    let number = |name, default| number(all, name, default);
    let processes = [
        number("max_connections", 100),
        number("max_worker_processes", 8),
        number("max_wal_senders", 25),
        number("autovacuum_max_workers", 3),
        OWN,
    ];
    let processes: u64 = processes.iter().sum();
    let slots = processes + number("max_prepared_transactions", 0);
    let locks = number("max_locks_per_transaction", 64) * LOCK;
    let read = number("max_pred_locks_per_transaction", 64) * PREDICATE_LOCK;
    let queries = processes.saturating_mul(number("track_activity_query_size", 1024));
    slots.saturating_mul(SLOT.saturating_add(locks).saturating_add(read)).saturating_add(queries)
}

impl Reader<'_> {
    /// A server that finds no room for them fails as it starts, or is ended by the kernel.
    pub(super) fn slots(&mut self, resources: Resources, all: &Parameters) {
        let (needed, most) = (bytes(all), resources.memory / 4);
        if needed > most {
            self.problems.push(format!(
                "cannot use the options {OPTIONS} together: PostgreSQL would take {} MB of shared \
                 memory for what they allow, and may take a quarter of its memory, which is {} MB",
                needed / MEGABYTE,
                most / MEGABYTE
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refused, parse};
    use serde_json::{Value, json};

    #[track_caller]
    fn check_too_much(options: &Value, megabytes: u64) {
        check_refused(
            options,
            &format!(
                "cannot use the options experimental_max_connections, \
                 memory_max_prepared_transactions, instance_max_locks_per_transaction and \
                 request_track_activity_query_size together: PostgreSQL would take {megabytes} MB \
                 of shared memory for what they allow, and may take a quarter of its memory, which \
                 is 1000 MB"
            ),
        );
    }

    #[test]
    fn what_a_server_keeps_for_sessions_fits_into_its_memory() {
        for fits in [
            json!({"experimental_max_connections": 10_000}),
            json!({"memory_max_prepared_transactions": 20_000}),
            json!({"instance_max_locks_per_transaction": 10_000}),
            json!({"request_track_activity_query_size": 1_048_576}),
        ] {
            assert!(parse(&fits).is_ok(), "{fits}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        check_too_much(&json!({"experimental_max_connections": 250_000}), 12_408);
        check_too_much(&json!({"memory_max_prepared_transactions": 262_143}), 12_747);
        check_too_much(&json!({"instance_max_locks_per_transaction": 1_000_000}), 56_803);
        let both = json!({
            "experimental_max_connections": 2000, "request_track_activity_query_size": 1_048_576,
        });
        check_too_much(&both, 2240);
        let senders = json!({
            "instance_max_locks_per_transaction": 10_000,
            "postgresql-settings": "max_wal_senders=1000",
        });
        check_too_much(&senders, 4494);
    }

    #[test]
    fn a_small_machine_takes_the_defaults() {
        let machine = super::Resources { cores: 1, memory: 128 << 20 };
        let defaults = juju_charm::Config::new(super::super::tests::defaults());
        assert!(super::super::Settings::parse(&defaults, machine).is_ok());
    }
}
