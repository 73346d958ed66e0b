//! Roles, databases and the lookup function: SQL text and the client that runs it.
//!
//! [`sql`] holds the statements as pure functions; [`Client`] runs them, each operation
//! idempotent. Names are [`RoleName`] and [`DatabaseName`], checked when they are parsed,
//! quoted when they are written. [`Server`] is the port behind which a test may put a
//! simulated one. A password reaches the server only as a [`scram`] verifier.

mod certificate;
mod client;
mod connection;
mod console;
mod failure;
mod name;
mod parameter;
mod port;
mod roles;
pub mod scram;
pub mod sql;
mod tls;
mod version;

pub use certificate::Validity;
pub use client::{Client, Error, Holder, IdleSlot, OpenTransactions, Owner, SEGMENT, ServerFacts};
pub use connection::{ConnectOptions, Connection, Readiness, readiness};
pub use console::{Console, Pause};
pub use failure::Failure;
pub use name::{DatabaseName, NAME_BYTES_MAX, NameError, RoleName, quote_ident, quote_literal};
pub use parameter::Parameter;
pub use port::{Boxed, Network, Row, SESSION_OPTIONS, Server, Session};
pub use roles::{ACCESS_GROUPS, ExtraRoles, User, is_reserved};
pub use scram::{Salt, Verifier};
pub use tls::{check_ca, check_certificate, tls_config};
pub use version::{ServerVersion, VersionError};
