//! Client for the few Kubernetes objects that charms touch.

mod client;
mod config;
mod error;
mod read;
mod resource;
mod selector;
mod service;

pub use client::{Client, InClusterError};
pub use config::{ClusterConfig, ConfigError};
pub use error::Error;
pub use read::{ingress, node_address, node_port, owner_references};
pub use resource::Resource;
pub use selector::label_selector;
pub use service::{Service, ServiceType};
