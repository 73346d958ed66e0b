//! What the node needs to know of services: addresses, ports, and the pods behind them.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::address::HEADLESS;
use crate::store::Object;
use crate::{Kind, Store};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutePort {
    /// The port at the cluster address.
    pub port: u16,
    /// The port at the pod; none while no endpoint has it.
    pub target_port: Option<u16>,
    /// The port at every node, for services of type `NodePort` and `LoadBalancer`.
    pub node_port: Option<u16>,
    /// The protocol.
    pub protocol: Protocol,
}

/// One address behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEndpoint {
    /// The pod's host name, for `<name>.<service>.<namespace>.svc.cluster.local`.
    pub name: Option<String>,
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// Whether it takes traffic; names of others are not resolved.
    pub ready: bool,
    /// Whether the pod itself says that this is its service: its address leads back to here.
    pub own: bool,
}

/// A service as the node routes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRoute {
    /// The namespace.
    pub namespace: String,
    /// The service's name.
    pub name: String,
    /// The address that stands for all endpoints; none for headless services.
    pub cluster_ip: Option<Ipv4Addr>,
    /// Whether it asks for a load balancer.
    pub balanced: bool,
    /// The load balancer's address, once it has one.
    pub ingress: Option<Ipv4Addr>,
    /// Whether the name resolves to the endpoints themselves.
    pub headless: bool,
    /// The ports.
    pub ports: Vec<RoutePort>,
    /// The addresses behind it, by address.
    pub endpoints: Vec<RouteEndpoint>,
}

impl Store {
    /// The routes of all services, by namespace and name.
    pub fn service_routes(&self) -> Vec<ServiceRoute> {
        let services = self.keys_of(Kind::Service, None);
        let routes = services.map(|(key, service)| {
            let endpoints = self.get(&key.of_kind(Kind::Endpoints));
            let endpoints = endpoints.ok().map(Object::value);
            let spec = &service.value()["spec"];
            let cluster_ip = spec["clusterIP"].as_str();
            ServiceRoute {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                cluster_ip: cluster_ip.and_then(|address| address.parse().ok()),
                balanced: spec["type"] == "LoadBalancer",
                ingress: service.value()["status"]["loadBalancer"]["ingress"][0]["ip"]
                    .as_str()
                    .and_then(|address| address.parse().ok()),
                headless: cluster_ip == Some(HEADLESS),
                ports: spec["ports"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|entry| port(entry, endpoints))
                    .collect(),
                endpoints: endpoints
                    .map(|found| addresses(found, is_selecting(service.value())))
                    .unwrap_or_default(),
            }
        });
        routes.collect()
    }
}

/// A port of a service, and where it leads: to the port of the same name that the endpoints have,
/// whichever client wrote them. Where they have several of that name, the first counts.
fn port(entry: &Value, endpoints: Option<&Value>) -> Option<RoutePort> {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok().filter(|number| *number != 0);
    let port = number(&entry["port"])?;
    let protocol = match entry["protocol"].as_str() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some(_) => return None,
    };
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let subsets = endpoints.and_then(|found| found["subsets"].as_array()).into_iter().flatten();
    let mut ports = subsets.filter_map(|subset| subset["ports"].as_array()).flatten();
    let found = ports.find(|own| name(own) == name(entry));
    let target_port = found.and_then(|own| number(&own["port"]));
    let node_port = number(&entry["nodePort"]);
    Some(RoutePort { port, target_port, node_port, protocol })
}

/// Whether the endpoints of a service are the controller's.
fn is_selecting(service: &Value) -> bool {
    service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty())
}

fn addresses(endpoints: &Value, selected: bool) -> Vec<RouteEndpoint> {
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let entries = subset[field].as_array().into_iter().flatten();
            found.extend(entries.filter_map(|entry| {
                let name = entry["hostname"].as_str().or(entry["targetRef"]["name"].as_str());
                let ip = entry["ip"].as_str()?.parse().ok()?;
                // The controller takes the host name from the pods that name the service.
                let own = selected && entry["hostname"].is_string();
                Some(RouteEndpoint { name: name.map(str::to_owned), ip, ready, own })
            }));
        }
    }
    found.sort_by_key(|endpoint| endpoint.ip);
    found
}
