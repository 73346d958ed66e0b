//! The contract of the API: what Patroni and the charms rely on, over TLS.
//!
//! Rules that need nothing but HTTP also run against a real cluster: set
//! `KUBE_CONTRACT_HOST`, `_PORT`, `_TOKEN`, `_CA` (PEM text) and `_NAMESPACE`.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod access;
mod applies;
mod bounds;
mod cluster;
mod deletion;
mod endpoints;
mod kinds;
mod kube_rs;
mod objects;
mod patches;
mod patroni;
mod refusals;
mod services;
mod watches;
