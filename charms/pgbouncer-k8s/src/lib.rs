//! The pgbouncer-k8s charm: a connection pooler in front of PostgreSQL.
//!
//! `gather` reads everything once, `decide` derives what is missing without any I/O,
//! `apply` makes it so. Every hook runs the same reconciliation, so an event that was
//! lost, repeated or late does no harm and nothing has to be deferred. What the charm
//! reaches besides Juju and Pebble, it reaches through its [`Door`].

mod apply;
mod databases;
mod decide;
mod door;
mod effect;
mod facts;
mod gather;
mod layer;
mod operator;
mod options;
mod password;
mod place;
mod settings;
mod shared;
#[cfg(test)]
mod testing;
mod tls;
#[cfg(test)]
mod world;

pub use door::{Boxed, Door};
pub use operator::{Deed, Known, OperatorError, PgBouncer};
