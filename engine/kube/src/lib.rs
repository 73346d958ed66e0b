//! The subset of the Kubernetes API that Patroni and the charms use.
//!
//! [`Store`] is the pure core: objects, versions, history. [`Api`] shares one store between
//! the engine and [`serve`], which answers HTTP requests over TLS.

mod access;
mod address;
mod answer;
mod api;
mod apply;
mod bounds;
mod call;
mod cause;
mod delete;
mod delete_options;
mod discovery;
mod endpoints;
mod error;
mod field_selector;
mod fields;
mod filter;
mod format;
mod json_patch;
mod kind;
mod list_options;
mod managers;
mod merge;
mod owners;
mod pki;
mod request;
mod respond;
mod routes;
mod schema;
mod selector;
mod serve;
mod slices;
mod snapshot;
mod store;
mod strict;
mod validate;
mod validate_common;
mod validate_endpoints;
mod validate_pod;
mod validate_service;
mod validate_values;
mod values;
mod watch;
mod write;

pub use access::{Authorize, Identity};
pub use answer::Answer;
pub use api::{Api, ApiOptions, Clock, Keeper, KeeperError};
pub use bounds::Limits;
pub use cause::Cause;
pub use delete::{DeleteOptions, Deleted, Propagation};
pub use error::ApiError;
pub use field_selector::FieldSelector;
pub use filter::Filter;
pub use format::instant;
pub use kind::Kind;
pub use pki::{Authority, PkiError, ServerCertificate, ServerTls};
pub use respond::respond;
pub use routes::{Protocol, RouteEndpoint, RoutePort, ServiceRoute};
pub use selector::Selector;
pub use serve::serve;
pub use snapshot::SnapshotError;
pub use store::{Key, ListAnswer, Object, Store, StoreOptions};
pub use write::{PatchType, Scope, Writer};
