//! The charms' ports to the outside, as they lead into a simulated world.

mod pgbouncer;
mod postgresql;

pub(crate) use pgbouncer::Pooler;
pub(crate) use postgresql::Database;
