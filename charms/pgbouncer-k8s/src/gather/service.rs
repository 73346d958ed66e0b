//! The Service, on the leader.

use std::collections::BTreeSet;

use juju_charm::{Event, Level, Reader, error_chain};
use juju_interfaces::{Endpoint, Endpoints};
use kubernetes_client::{Client, Error, Resource, label_selector};
use serde_json::Value;

use crate::connections::{Connections, PATIENCE};
use crate::facts::{Common, Service, ServiceView};
use crate::names::{self, APP_LABEL};
use crate::options::Expose;

/// Reads the Service; whether it is connectable is looked up on update-status only.
pub(super) async fn service(
    connections: &mut Connections,
    hook: &mut Reader,
    event: &Event,
    common: &Common,
) -> Service {
    let (true, Ok(options)) = (common.leader, &common.options) else { return Service::Unread };
    let client = match client(connections) {
        Ok(client) => client,
        Err(why) => {
            hook.log(Level::Warning, why);
            return Service::Unreachable;
        }
    };
    let name = names::service_name(common.unit.app());
    let found = match client.get(Resource::Services, &name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Service::Absent,
        Err(error) => return failed(hook, &error),
    };
    let port = found["spec"]["ports"][0]["port"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    let endpoints = match options.expose {
        Expose::ClusterIp => {
            Some(names::cluster_endpoint(common.unit.app(), &common.model, port).into())
        }
        Expose::LoadBalancer => kubernetes_client::ingress(&found)
            .map(|host| Endpoint { host: host.to_owned(), port }.into()),
        Expose::NodePort => match nodes(&client, common, &found, port).await {
            Ok(endpoints) => endpoints,
            Err(error) => return failed(hook, &error),
        },
    };
    let connectable = match (event, &endpoints) {
        (Event::UpdateStatus, Some(endpoints)) => connections.reach(endpoints).await,
        _ => true,
    };
    let annotations = found["metadata"]["annotations"].as_object().into_iter().flatten();
    Service::Present(ServiceView {
        kind: found["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned(),
        port,
        annotations: annotations
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        endpoints,
        connectable,
    })
}

fn client(connections: &mut Connections) -> Result<Client, String> {
    if connections.kubernetes.is_none() {
        let client = connections.ports.kubernetes().map_err(error_chain)?;
        connections.kubernetes = Some(client.with_time(PATIENCE));
    }
    connections.kubernetes.clone().ok_or_else(|| "cannot use the Kubernetes API".to_owned())
}

fn failed(hook: &mut Reader, error: &Error) -> Service {
    hook.log(Level::Warning, error_chain(error));
    if error.is_forbidden() { Service::Forbidden } else { Service::Unreachable }
}

/// The addresses of the nodes on which our units run, with the Service's node port.
async fn nodes(
    client: &Client,
    common: &Common,
    service: &Value,
    port: u16,
) -> Result<Option<Endpoints>, Error> {
    let Some(port) = kubernetes_client::node_port(service, port) else { return Ok(None) };
    let selector = label_selector(&[(APP_LABEL, common.unit.app().as_str())]);
    let mut hosts = BTreeSet::new();
    for pod in client.list(Resource::Pods, &selector).await? {
        let Some(name) = pod["spec"]["nodeName"].as_str() else { continue };
        if let Some(node) = client.get(Resource::Nodes, name).await? {
            hosts.extend(kubernetes_client::node_address(&node).map(str::to_owned));
        }
    }
    let all = hosts.into_iter().map(|host| Endpoint { host, port }.to_string());
    Ok(all.collect::<Vec<_>>().join(",").parse().ok())
}
