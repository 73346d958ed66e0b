//! `patroni.yml` as types, and a client of Patroni's REST API.

mod cluster;
pub mod config;
mod rest;
mod tls;

pub use cluster::{
    Cluster, Health, Member, PendingChange, Positions, Role, Standby, State, TimelineEnd,
};
pub use config::Config;
pub use rest::{Error, NotInSync, Rest, any_cluster};
