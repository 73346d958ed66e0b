//! Loopback ports of the host that lead to services: those asked for, and node ports.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use kube_api::Kind;
use serde_json::Value;

use crate::daemon::engine::Engine;
use crate::daemon::error::RequestError;

/// Adds a port, and keeps it for the next start.
pub(crate) async fn add(
    engine: &Arc<Engine>,
    port: u16,
    service: &str,
    target: u16,
) -> Result<Value, RequestError> {
    let known = engine.with(|state| state.persisted.forwards.get(&port).cloned());
    if known == Some((service.to_owned(), target)) {
        return Ok(Value::Null);
    }
    open(engine, port, service, target).await?;
    engine.commit(|state| state.persisted.forwards.insert(port, (service.to_owned(), target)))?;
    Ok(Value::Null)
}

/// Opens a port towards a service's cluster address.
pub(crate) async fn open(
    engine: &Arc<Engine>,
    port: u16,
    service: &str,
    target: u16,
) -> Result<(), RequestError> {
    let namespace = engine.with(|state| state.persisted.model.name().to_string());
    let found = engine.kubernetes.get(Kind::Service, &namespace, service);
    let address = found
        .and_then(|service| service["spec"]["clusterIP"].as_str()?.parse::<Ipv4Addr>().ok())
        .ok_or_else(|| RequestError::Unknown {
            what: "service",
            name: service.to_owned(),
            known: services(engine, &namespace),
        })?;
    let forward = engine.node.forward(port, SocketAddrV4::new(address, target)).await?;
    engine.with(|state| state.forwards.insert(port, forward));
    Ok(())
}

fn services(engine: &Engine, namespace: &str) -> String {
    let found = engine.kubernetes.list(Kind::Service, namespace, &kube_api::Selector::default());
    let names: Vec<&str> =
        found.iter().filter_map(|one| one["metadata"]["name"].as_str()).collect();
    names.join(", ")
}

/// Opens the node ports of services to this machine, under the same numbers, and closes those
/// that no service has any more.
pub(crate) async fn sync_node_ports(engine: &Engine) {
    let wanted = crate::daemon::kubernetes::network::node_ports(&engine.kubernetes);
    let new: Vec<u16> = engine.with(|state| {
        state.node_ports.retain(|port, _| wanted.contains(port));
        wanted.iter().copied().filter(|port| !state.node_ports.contains_key(port)).collect()
    });
    for port in new {
        let opened = engine.node.forward(port, SocketAddrV4::new(node::ENGINE, port)).await;
        if let Err(error) = &opened {
            engine.note("WARNING", &format!("node port {port} is for pods only: {error}"));
        }
        engine.with(|state| state.node_ports.insert(port, opened.ok()));
    }
}
