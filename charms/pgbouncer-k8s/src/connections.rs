//! The connections that one hook opens, shared by what reads and what writes.

use std::time::Duration;

use juju_charm::{ContainerName, Reader};
use juju_interfaces::Endpoints;

use crate::names;
use crate::ports::Ports;

/// How long Pebble, PostgreSQL, the Kubernetes API and a Service may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// What the charm reaches, as far as this hook has opened it.
pub(crate) struct Connections {
    /// The way to the outside.
    pub(crate) ports: Box<dyn Ports>,
    /// The backend, as the user we were given.
    pub(crate) sql: Option<postgres::Client>,
    /// The Kubernetes API.
    pub(crate) kubernetes: Option<kubernetes_client::Client>,
}

impl Connections {
    /// Whether every endpoint accepts a connection in time.
    pub(crate) async fn reach(&self, endpoints: &Endpoints) -> bool {
        for endpoint in endpoints.all() {
            let accepts = self.ports.accepts(&endpoint.host, endpoint.port);
            if !matches!(tokio::time::timeout(PATIENCE, accepts).await, Ok(true)) {
                return false;
            }
        }
        true
    }
}

/// A client of the container's Pebble.
pub(crate) fn pebble(hook: &Reader) -> pebble_client::Client {
    hook.pebble(&ContainerName::constant(names::CONTAINER))
}
