//! What the charms of PostgreSQL and of PgBouncer have in common.

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one among all")
)]

pub mod certificates;
pub mod credentials;
pub mod ports;
pub mod watch;
