//! What the node needs to know of services: addresses, ports, and the pods behind them.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::address::HEADLESS;
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
    /// The port at the pod.
    pub target_port: u16,
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
            let endpoints = self.get(Kind::Endpoints, &key.namespace, &key.name);
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
                ports: spec["ports"].as_array().into_iter().flatten().filter_map(port).collect(),
                endpoints: endpoints.map(|found| addresses(found.value())).unwrap_or_default(),
            }
        });
        routes.collect()
    }
}

fn port(entry: &Value) -> Option<RoutePort> {
    let number =
        |field: &str| u16::try_from(entry[field].as_u64()?).ok().filter(|number| *number != 0);
    let port = number("port")?;
    let protocol = match entry["protocol"].as_str() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some(_) => return None,
    };
    let target_port = number("targetPort").unwrap_or(port);
    Some(RoutePort { port, target_port, node_port: number("nodePort"), protocol })
}

fn addresses(endpoints: &Value) -> Vec<RouteEndpoint> {
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let entries = subset[field].as_array().into_iter().flatten();
            found.extend(entries.filter_map(|entry| {
                let name = entry["hostname"].as_str().or(entry["targetRef"]["name"].as_str());
                let ip = entry["ip"].as_str()?.parse().ok()?;
                Some(RouteEndpoint { name: name.map(str::to_owned), ip, ready })
            }));
        }
    }
    found.sort_by_key(|endpoint| endpoint.ip);
    found
}
