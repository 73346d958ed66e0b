//! The far sides: what charms reach over the network and through sockets, simulated.

pub(crate) mod kubernetes;
pub(crate) mod patroni;
pub(crate) mod pebble;
pub(crate) mod pgbouncer;
pub(crate) mod postgresql;

use std::time::Duration;

/// An answer that never comes.
pub(crate) const NEVER: Duration = Duration::from_secs(100_000);
