//! Relation interfaces as types: what each side writes into its bags, and how to read it.
//!
//! What a peer wrote wrong is data: a reader returns a `BagError` that names the key, and
//! the charm serves the others.

pub mod alert_rules;
pub mod grafana_dashboard;
pub mod loki_push_api;
pub mod pgb_peers;
pub mod pgsql;
pub mod postgresql_client;
pub mod prometheus_scrape;
pub mod tls_certificates;
pub mod topology;

mod endpoint;
mod python;
mod xz;

use std::collections::BTreeMap;

pub use endpoint::{Endpoint, EndpointError, Endpoints};

/// A databag's keys and values.
pub type Bag = BTreeMap<String, String>;

/// A key whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {key:?}: {reason}")]
pub struct BagError {
    /// The key in the bag.
    pub key: &'static str,
    /// What is wrong with its value, without the value itself where that may be secret.
    pub reason: String,
}

impl BagError {
    /// What is wrong with the value of `key`.
    pub fn new(key: &'static str, reason: impl std::fmt::Display) -> Self {
        Self { key, reason: reason.to_string() }
    }
}

/// The value of `key`; an empty value counts as absent, as in Juju.
fn text<'a>(bag: &'a Bag, key: &str) -> Option<&'a str> {
    bag.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// The value of `key` parsed, if there is one.
fn parsed<T>(bag: &Bag, key: &'static str) -> Result<Option<T>, BagError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text(bag, key).map(str::parse).transpose().map_err(|error| BagError::new(key, error))
}

/// The value of `key` as JSON, if there is one.
fn json<T: serde::de::DeserializeOwned>(
    bag: &Bag,
    key: &'static str,
) -> Result<Option<T>, BagError> {
    text(bag, key)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| BagError::new(key, format!("it is not the expected JSON: {error}")))
}
