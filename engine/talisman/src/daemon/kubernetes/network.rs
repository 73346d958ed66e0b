//! The network as the Kubernetes objects say: routes of services, load balancers, names.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use kube_api::{Api, ApiError, Protocol, ServiceRoute};
use node::{PodAddress, Zone};

/// The most addresses behind a service that get traffic, the first ones: as many as Kubernetes
/// mirrors of endpoints that a client wrote.
const ADDRESSES_MAX: usize = 1000;

/// The most pairs of a port and an address that a service's rules may have.
const PAIRS_EACH_MAX: usize = 10_000;

/// The most such pairs of all services together.
const PAIRS_MAX: usize = 40_000;

/// The node's routes for every service. An address that is not allowed gives no route, wherever it
/// was written. Where there are too many, the small services come first.
pub(crate) fn routes(api: &Api) -> Vec<node::ServiceRoute> {
    let mut sized: Vec<(usize, ServiceRoute, Arc<[PodAddress]>)> = Vec::new();
    for service in api.service_routes() {
        let ready = service.endpoints.iter().filter(|end| end.ready);
        let endpoints: BTreeSet<PodAddress> =
            ready.filter_map(|end| PodAddress::new(end.ip)).collect();
        let endpoints: Arc<[PodAddress]> = endpoints.into_iter().take(ADDRESSES_MAX).collect();
        sized.push((service.ports.len() * endpoints.len().max(1), service, endpoints));
    }
    sized.sort_by_key(|(pairs, ..)| *pairs);
    let (mut routes, mut all) = (Vec::new(), 0);
    for (pairs, service, endpoints) in sized {
        if pairs > PAIRS_EACH_MAX || all + pairs > PAIRS_MAX {
            let (namespace, name) = (&service.namespace, &service.name);
            tracing::warn!(
                namespace,
                name,
                pairs,
                "cannot route a service: it has too many ports and endpoints"
            );
            continue;
        }
        all += pairs;
        routes.extend(routes_of(&service, &endpoints));
    }
    routes
}

/// The routes of one service.
fn routes_of(service: &ServiceRoute, endpoints: &Arc<[PodAddress]>) -> Vec<node::ServiceRoute> {
    let own = service.cluster_ip.and_then(node::ServiceAddress::new);
    let (Some(cluster_ip), Some(own)) = (own, service.cluster_ip) else { return Vec::new() };
    // A client may write its service's status; only the address given out here counts.
    let ingress = service.ingress.filter(|given| *given == balanced(own));
    let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let routes = ports.filter_map(|port| {
        Some(node::ServiceRoute {
            cluster_ip,
            port: port.port,
            target_port: port.target_port?,
            node_port: port.node_port,
            ingress: ingress.and_then(node::ServiceAddress::new),
            endpoints: endpoints.clone(),
        })
    });
    routes.collect()
}

/// Gives each load balancer without one its address, as a cloud would: the cluster address,
/// one network further on.
pub(crate) fn balance(api: &Api) -> Result<(), ApiError> {
    for service in api.service_routes() {
        let (true, None, Some(own)) = (service.balanced, service.ingress, service.cluster_ip)
        else {
            continue;
        };
        api.set_ingress(&service.namespace, &service.name, balanced(own))?;
    }
    Ok(())
}

/// The load balancer's address of a service.
fn balanced(own: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(own).wrapping_add(1 << 8))
}

/// The node ports of all services.
pub(crate) fn node_ports(api: &Api) -> BTreeSet<u16> {
    let routes = api.service_routes();
    routes.iter().flat_map(|service| &service.ports).filter_map(|port| port.node_port).collect()
}

/// All names: services, pods behind headless services, and the way back from pod addresses.
pub(crate) fn zone(api: &Api) -> Zone {
    let mut zone = Zone::default();
    let mut others = Vec::new();
    for service in api.service_routes() {
        let name = format!("{}.{}.svc.cluster.local", service.name, service.namespace);
        let addresses: Vec<Ipv4Addr> = match service.cluster_ip {
            Some(address) => vec![address],
            None => service.endpoints.iter().map(|end| end.ip).take(ADDRESSES_MAX).collect(),
        };
        for end in service.endpoints.iter().take(ADDRESSES_MAX).filter(|_| service.headless) {
            let Some(pod) = &end.name else { continue };
            let full = format!("{pod}.{name}");
            if end.own {
                zone.pointers.insert(end.ip, full.clone());
            } else {
                others.push((end.ip, full.clone()));
            }
            zone.names.insert(full, vec![end.ip]);
        }
        zone.names.insert(name, addresses);
    }
    // Endpoints written by a client take no pod's own name.
    for (ip, name) in others {
        zone.pointers.entry(ip).or_insert(name);
    }
    let api_name = format!("kubernetes.default.svc.{}", "cluster.local");
    zone.names.insert(api_name, vec![node::ENGINE]);
    zone
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use kube_api::Kind;
    use serde_json::{Value, json};

    #[test]
    fn no_route_takes_anothers_address() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let service = json!({
            "metadata": {"name": "a"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        });
        api.put(Kind::Service, "lab", &service).unwrap();
        let ends = json!({
            "metadata": {"name": "a"},
            "subsets": [{"ports": [{"port": 80}], "addresses": [
                {"ip": "10.1.0.9"}, {"ip": "10.1.255.1"}, {"ip": "10.152.183.3"}, {"ip": "8.8.8.8"},
            ]}],
        });
        api.put(Kind::Endpoints, "lab", &ends).unwrap();
        // Another pod's address, as the load balancer's.
        api.set_ingress("lab", "a", Ipv4Addr::new(10, 1, 0, 3)).unwrap();
        let found = routes(&api);
        let [route] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(route.ingress, None);
        let ends: Vec<String> = route.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(ends, ["10.1.0.9"]);
        api.set_ingress("lab", "a", Ipv4Addr::new(10, 152, 184, 2)).unwrap();
        assert_eq!(routes(&api)[0].ingress.unwrap().to_string(), "10.152.184.2");
    }

    #[test]
    fn a_port_of_another_protocol_is_no_port_of_tcp() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let ports = json!([
            {"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 54},
        ]);
        let service = json!({"metadata": {"name": "a"}, "spec": {"ports": ports}});
        api.put(Kind::Service, "lab", &service).unwrap();
        let ends = json!([{"addresses": [{"ip": "10.1.0.9"}], "ports": ports}]);
        let ends = json!({"metadata": {"name": "a"}, "subsets": ends});
        api.put(Kind::Endpoints, "lab", &ends).unwrap();
        let found: Vec<u16> = routes(&api).iter().map(|route| route.port).collect();
        assert_eq!(found, [54]);
    }

    /// A service with `ports` ports and `addresses` addresses behind it.
    fn put_service(api: &Api, name: &str, ports: usize, addresses: usize) {
        let ports: Vec<Value> =
            (1..=ports).map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let service = json!({"metadata": {"name": name}, "spec": {"ports": &ports}});
        api.put(Kind::Service, "lab", &service).unwrap();
        let ip = |at: usize| json!({"ip": format!("10.1.{}.{}", at / 250, at % 250 + 2)});
        let ends: Vec<Value> = (0..addresses).map(ip).collect();
        let ends = json!([{"addresses": ends, "ports": ports}]);
        let ends = json!({"metadata": {"name": name}, "subsets": ends});
        api.put(Kind::Endpoints, "lab", &ends).unwrap();
    }

    /// How many routes there are with so many addresses.
    fn count(api: &Api, addresses: usize) -> usize {
        routes(api).iter().filter(|route| route.endpoints.len() == addresses).count()
    }

    #[test]
    fn one_service_has_no_more_routes_than_it_may() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 99), 1));
        put_service(&api, "wide", 1, 2000);
        put_service(&api, "greedy", 101, 100);
        put_service(&api, "fair", 100, 99);
        assert_eq!(count(&api, ADDRESSES_MAX), 1, "the first addresses only");
        assert_eq!((count(&api, 100), count(&api, 99)), (0, 100));
    }

    #[test]
    fn an_address_leads_back_to_the_pods_own_name() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let headless = |name: &str, selector: Value| {
            let spec = json!({"clusterIP": "None", "selector": selector});
            let service = json!({"metadata": {"name": name}, "spec": spec});
            api.put(Kind::Service, "lab", &service).unwrap();
        };
        headless("pg-endpoints", json!({"app": "pg"}));
        // Another service of the same pod, and endpoints that a client wrote.
        headless("z", json!({"app": "pg"}));
        let pod = json!({
            "metadata": {"name": "pg-0", "labels": {"app": "pg"}},
            "spec": {"hostname": "pg-0", "subdomain": "pg-endpoints"},
            "status": {"podIP": "10.1.0.9"},
        });
        api.put(Kind::Pod, "lab", &pod).unwrap();
        headless("zz", json!({}));
        let ip = |at: usize| json!({"ip": format!("10.1.{}.{}", at / 250, at % 250 + 2), "hostname": format!("h{at}")});
        let ends: Vec<Value> = (0..1500).map(ip).collect();
        let ends = json!({"metadata": {"name": "zz"}, "subsets": [{"addresses": ends}]});
        api.put(Kind::Endpoints, "lab", &ends).unwrap();
        let zone = zone(&api);
        let own = "pg-0.pg-endpoints.lab.svc.cluster.local";
        assert_eq!(zone.pointers[&Ipv4Addr::new(10, 1, 0, 9)], own);
        assert_eq!(zone.pointers[&Ipv4Addr::new(10, 1, 0, 2)], "h0.zz.lab.svc.cluster.local");
        assert_eq!(zone.names["zz.lab.svc.cluster.local"].len(), ADDRESSES_MAX);
    }

    #[test]
    fn many_large_services_take_no_small_ones_routes() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 99), 1));
        for large in 0..6 {
            put_service(&api, &format!("a{large}"), 10, 900);
        }
        put_service(&api, "z", 3, 2);
        assert_eq!(count(&api, 2), 3);
        assert_eq!(count(&api, 900), 4 * 10, "as many as there may be in all");
        // The addresses are there once for all ports of a service.
        let found = routes(&api);
        let large: Vec<_> = found.iter().filter(|route| route.endpoints.len() == 900).collect();
        assert!(Arc::ptr_eq(&large[0].endpoints, &large[9].endpoints));
    }
}
