//! The Service, on the leader.

use std::collections::BTreeSet;
use std::time::Duration;

use charm::{Event, Hook, Level};
use interfaces::{Endpoint, Endpoints};
use kubernetes::{Client, Error, Resource, label_selector};
use serde_json::Value;

use crate::facts::{Common, Service, ServiceView};
use crate::operator::PgBouncer;
use crate::options::Expose;
use crate::place;

use super::workload::words;

/// How long the API and a Service may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The label by which Juju marks an application's pods.
pub(crate) const APP_LABEL: &str = "app.kubernetes.io/name";

/// Reads the Service; whether it is connectable is looked up on update-status only.
pub(super) async fn service(
    charm: &mut PgBouncer,
    hook: &mut Hook,
    event: &Event,
    common: &Common,
) -> Service {
    let (true, Ok(options)) = (common.leader, &common.options) else { return Service::Unread };
    let client = match client(charm) {
        Ok(client) => client,
        Err(why) => {
            hook.log(Level::Warning, why);
            return Service::Unreachable;
        }
    };
    let name = place::service_name(common.unit.app());
    let found = match client.get(Resource::Services, &name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Service::Absent,
        Err(error) => return failed(hook, &error),
    };
    let port = found["spec"]["ports"][0]["port"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    let endpoints = match options.expose {
        Expose::ClusterIp => {
            Some(place::cluster_endpoint(common.unit.app(), &common.model, port).into())
        }
        Expose::LoadBalancer => {
            kubernetes::ingress(&found).map(|host| Endpoint { host: host.to_owned(), port }.into())
        }
        Expose::NodePort => match nodes(&client, common, &found, port).await {
            Ok(endpoints) => endpoints,
            Err(error) => return failed(hook, &error),
        },
    };
    let connectable = match (event, &endpoints) {
        (Event::UpdateStatus, Some(endpoints)) => reachable(charm, endpoints).await,
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

fn client(charm: &mut PgBouncer) -> Result<Client, String> {
    if charm.kubernetes.is_none() {
        let client = charm.door.kubernetes().map_err(words)?;
        charm.kubernetes = Some(client.with_time(PATIENCE));
    }
    charm.kubernetes.clone().ok_or_else(|| "cannot use the Kubernetes API".to_owned())
}

fn failed(hook: &mut Hook, error: &Error) -> Service {
    hook.log(Level::Warning, words(error));
    if error.is_forbidden() { Service::Forbidden } else { Service::Unreachable }
}

/// The addresses of the nodes on which our units run, with the Service's node port.
async fn nodes(
    client: &Client,
    common: &Common,
    service: &Value,
    port: u16,
) -> Result<Option<Endpoints>, Error> {
    let Some(port) = kubernetes::node_port(service, port) else { return Ok(None) };
    let selector = label_selector(&[(APP_LABEL, common.unit.app().as_str())]);
    let mut hosts = BTreeSet::new();
    for pod in client.list(Resource::Pods, &selector).await? {
        let Some(name) = pod["spec"]["nodeName"].as_str() else { continue };
        if let Some(node) = client.get(Resource::Nodes, name).await? {
            hosts.extend(kubernetes::node_address(&node).map(str::to_owned));
        }
    }
    let all = hosts.into_iter().map(|host| Endpoint { host, port }.to_string());
    Ok(all.collect::<Vec<_>>().join(",").parse().ok())
}

/// Whether every endpoint accepts a connection in time.
pub(crate) async fn reachable(charm: &PgBouncer, endpoints: &Endpoints) -> bool {
    for endpoint in endpoints.all() {
        let accepts = charm.door.accepts(&endpoint.host, endpoint.port);
        if !matches!(tokio::time::timeout(PATIENCE, accepts).await, Ok(true)) {
            return false;
        }
    }
    true
}
