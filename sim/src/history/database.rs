//! What operators ask of the real PostgreSQL charm.

use super::{Client, Op, Which};
use crate::rng::Rng;

/// What an operator asks of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseOp {
    /// Sets an option.
    Config(&'static str, &'static str),
    /// Sets the number of units.
    Scale(u32),
    /// Refreshes the charm: every pod is replaced.
    Refresh,
    /// Gives one of the charm's own users a new password.
    SetPassword(&'static str),
    /// Runs an action on the unit of this number.
    Act(&'static str, u32),
    /// Trusts the charm, or does so no more.
    Trust(bool),
    /// Moves data that are another cluster's out of the way.
    SetAside,
}

/// Options with valid, edge and invalid values; the first is the default.
pub(crate) const OPTIONS: [(&str, &[&str]); 13] = [
    ("synchronous_node_count", &["all", "majority", "1", "9", "0", "some"]),
    ("synchronous_mode_strict", &["true", "false"]),
    ("durability_maximum_lag_on_failover", &["1048576", "0", "-1"]),
    ("profile", &["production", "testing", "holiday"]),
    ("memory_max_prepared_transactions", &["0", "100", "1000", "262143", "262144"]),
    ("instance_password_encryption", &["scram-sha-256", "md5", "plain"]),
    ("cpu_max_worker_processes", &["auto", "2", "8", "1", "many"]),
    ("connection_statement_timeout", &["0", "5000", "-1"]),
    ("request_time_zone", &["UTC", "Europe/Berlin"]),
    ("plugin_citext_enable", &["false", "true"]),
    ("ttl", &["20", "30", "19"]),
    ("loop_wait", &["1", "10", "0"]),
    ("retry_timeout", &["5", "3", "2"]),
];

/// The values among them that the charm refuses.
const INVALID: [(&str, &[&str]); 10] = [
    ("synchronous_node_count", &["0", "some"]),
    ("durability_maximum_lag_on_failover", &["-1"]),
    ("profile", &["holiday"]),
    ("memory_max_prepared_transactions", &["262143", "262144"]),
    ("instance_password_encryption", &["plain"]),
    ("cpu_max_worker_processes", &["1", "many"]),
    ("connection_statement_timeout", &["-1"]),
    ("ttl", &["19"]),
    ("loop_wait", &["0"]),
    ("retry_timeout", &["2"]),
];

impl DatabaseOp {
    /// Whether an option has a value that the charm refuses.
    pub(crate) fn is_invalid(key: &str, value: &str) -> bool {
        INVALID.iter().any(|(name, values)| *name == key && values.contains(&value))
    }
}

/// The users whose password can be changed, and one whose cannot.
const USERS: [&str; 6] = ["operator", "replication", "rewind", "monitoring", "backup", "somebody"];

/// The action that lets a unit lead whatever it lacks.
pub(crate) const FORCE: &str = "promote-to-primary by force";

/// The actions besides `set-password`.
const ACTIONS: [&str; 6] =
    ["switchover", "promote-to-primary", "restart", "get-primary", "get-password", FORCE];

/// One of them.
pub(super) fn draw(rng: &mut Rng, clients: &[Client]) -> Op {
    let client = rng.below(clients.len());
    let direct = !clients.is_empty();
    let op = match rng.below(20) {
        0..=4 if direct => return Op::Direct(client),
        5 | 6 if direct => return Op::UnrelateDirect(client),
        0..=5 => DatabaseOp::Scale([1, 2, 3, 3, 2, 0, 4, 5][rng.below(8)]),
        6..=9 => {
            let (key, values) = OPTIONS[rng.below(OPTIONS.len())];
            let value = if rng.chance(500) { values.first() } else { rng.pick(values) };
            DatabaseOp::Config(key, value.copied().unwrap_or_default())
        }
        10..=12 => DatabaseOp::SetPassword(USERS[rng.below(USERS.len())]),
        13 => DatabaseOp::Refresh,
        14 if rng.chance(300) => DatabaseOp::Trust(rng.chance(500)),
        14 if rng.chance(250) => DatabaseOp::SetAside,
        14 if rng.chance(400) => return Op::Remove(Which::Server, rng.chance(500)),
        14 => return Op::Deploy(Which::Server),
        _ => DatabaseOp::Act(ACTIONS[rng.below(ACTIONS.len())], rng.below(5) as u32),
    };
    Op::Database(op)
}
