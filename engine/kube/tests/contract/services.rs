//! Addresses, node ports and routes.

use std::net::Ipv4Addr;

use kube_api::{Api, Kind, Protocol, RoutePort};
use serde_json::{Value, json};

use crate::cluster::{Cluster, MERGE, STRATEGIC};

fn service(cluster: &Cluster, name: &str, spec: Value) -> Value {
    let mut body = cluster.body(name, json!({}));
    body["spec"] = spec;
    body
}

#[tokio::test]
async fn a_service_has_an_address_unless_it_is_headless() {
    let cluster = Cluster::new("address").await;
    let path = cluster.path("services");
    let spec = json!({ "ports": [{ "port": 80 }] });
    let (_, one) = cluster.post(&path, &service(&cluster, "address-one", spec.clone())).await;
    let (_, two) = cluster.post(&path, &service(&cluster, "address-two", spec)).await;
    let address = |service: &Value| service["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address(&one).parse::<std::net::IpAddr>().is_ok());
    assert_ne!(address(&one), address(&two));
    assert_eq!(one["spec"]["ports"][0]["protocol"], "TCP");
    assert_eq!(one["spec"]["ports"][0]["targetPort"], 80);
    assert_eq!(one["spec"]["internalTrafficPolicy"], "Cluster");
    assert_eq!(one["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(one["spec"]["externalTrafficPolicy"], Value::Null);
    // As Patroni makes it: no selector, no ports.
    let headless = service(&cluster, "address-none", json!({ "clusterIP": "None" }));
    let (code, none) = cluster.post(&path, &headless).await;
    assert_eq!((code, address(&none)), (201, "None".to_owned()));
    let moved =
        json!({ "spec": { "clusterIP": "10.152.183.99", "clusterIPs": ["10.152.183.99"] } });
    let (code, _) = cluster.patch(&format!("{path}/address-one"), MERGE, &moved).await;
    assert_eq!(code, 422);
}

#[tokio::test]
async fn node_ports_are_given_once_and_kept() {
    let cluster = Cluster::new("node-port").await;
    let path = cluster.path("services");
    let spec = json!({ "type": "NodePort", "ports": [{ "name": "p", "port": 6432 }] });
    let (_, made) = cluster.post(&path, &service(&cluster, "node-port", spec.clone())).await;
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    assert_eq!(made["spec"]["externalTrafficPolicy"], "Cluster");
    let mut taken = spec.clone();
    taken["ports"][0]["nodePort"] = json!(port);
    assert_eq!(cluster.post(&path, &service(&cluster, "node-port-2", taken)).await.0, 422);

    let one = format!("{path}/node-port");
    let balanced = json!({ "spec": { "type": "LoadBalancer", "ports": spec["ports"] } });
    let (_, balanced) = cluster.patch(&one, STRATEGIC, &balanced).await;
    assert_eq!(balanced["spec"]["ports"][0]["nodePort"], port);
    let inside = json!({ "spec": { "type": "ClusterIP", "ports": spec["ports"] } });
    let (_, inside) = cluster.patch(&one, MERGE, &inside).await;
    assert!(inside["spec"]["ports"][0]["nodePort"].is_null());
    assert_eq!(inside["spec"]["externalTrafficPolicy"], Value::Null);
}

/// A pod with an address, ready or not.
fn put_pod(api: &Api, name: &str, address: &str, role: &str, ready: bool) {
    let pod = json!({
        "metadata": { "name": name, "labels": { "app": "pg", "role": role } },
        "spec": { "hostname": name, "subdomain": "pg-endpoints", "nodeName": "host" },
        "status": {
            "podIP": address,
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        },
    });
    api.put(Kind::Pod, "lab", &pod).unwrap();
}

#[tokio::test]
async fn node_ports_are_those_of_names() {
    let cluster = Cluster::new("names").await;
    let path = cluster.path("services");
    let spec = json!({ "type": "NodePort", "ports": [
        { "name": "a", "port": 53, "protocol": "TCP", "nodePort": 31053 },
        { "name": "b", "port": 53, "protocol": "UDP", "nodePort": 31053 },
        { "name": "c", "port": 80 },
    ]});
    let (code, made) = cluster.post(&path, &service(&cluster, "names", spec)).await;
    assert_eq!(code, 201, "{made}");
    let port = &made["spec"]["ports"][2]["nodePort"];
    let moved = json!({ "spec": { "ports": [{ "name": "c", "port": 81 }] } });
    let (_, moved) = cluster.patch(&format!("{path}/names"), MERGE, &moved).await;
    assert_eq!(&moved["spec"]["ports"][0]["nodePort"], port, "{moved}");
}

#[tokio::test]
async fn a_port_that_is_named_is_where_the_route_leads() {
    // Routes are no objects; on a real cluster they are kube-proxy's.
    let cluster = Cluster::own("named", 1000).await;
    let api = cluster.api();
    let ports = json!([{ "name": "database", "port": 80, "targetPort": "db" }]);
    let spec = json!({ "selector": { "app": "pg" }, "ports": ports });
    cluster.post(&cluster.path("services"), &service(&cluster, "named", spec)).await;
    let port = json!({ "name": "db", "containerPort": 5432 });
    let pod = json!({
        "metadata": { "name": "pg-0", "labels": { "app": "pg" } },
        "spec": { "containers": [{ "name": "c", "image": "i", "ports": [port] }] },
        "status": {
            "podIP": "10.1.0.9", "conditions": [{ "type": "Ready", "status": "True" }],
        },
    });
    api.put(Kind::Pod, "lab", &pod).unwrap();
    assert_eq!(api.service_routes()[0].ports[0].target_port, Some(5432));
}

#[tokio::test]
async fn a_service_without_selector_leads_where_its_endpoints_say() {
    // Routes are no objects.
    let cluster = Cluster::own("by-hand", 1000).await;
    let spec = json!({ "ports": [{ "port": 80 }] });
    cluster.post(&cluster.path("services"), &service(&cluster, "by-hand", spec)).await;
    let target = || cluster.api().service_routes()[0].ports[0].target_port;
    assert_eq!(target(), None);
    let mut ends = cluster.body("by-hand", json!({}));
    ends["subsets"] = json!([{ "addresses": [{ "ip": "10.1.0.9" }], "ports": [{ "port": 5432 }] }]);
    cluster.post(&cluster.path("endpoints"), &ends).await;
    assert_eq!(target(), Some(5432));
}

#[tokio::test]
async fn routes_tell_the_node_all_it_needs() {
    // Routes are no objects.
    let cluster = Cluster::own("routes", 1000).await;
    let api = cluster.api();
    let mut changes = api.subscribe();
    changes.borrow_and_update();
    put_pod(api, "pg-0", "10.1.0.9", "primary", true);
    put_pod(api, "pg-1", "10.1.0.10", "primary", false);
    let spec = json!({
        "type": "LoadBalancer", "selector": { "role": "primary" },
        "ports": [{ "port": 5432, "targetPort": 6432, "nodePort": 31000 }],
    });
    cluster.post(&cluster.path("services"), &service(&cluster, "pg", spec)).await;
    assert!(changes.has_changed().unwrap());
    let routes = api.service_routes();
    let [route] = routes.as_slice() else { panic!("one service, got {routes:?}") };
    assert_eq!((route.namespace.as_str(), route.name.as_str()), ("lab", "pg"));
    assert_eq!(route.cluster_ip, Some(Ipv4Addr::new(10, 152, 183, 2)));
    let port = RoutePort {
        port: 5432,
        target_port: Some(6432),
        node_port: Some(31000),
        protocol: Protocol::Tcp,
    };
    assert_eq!(route.ports, [port]);
    let brief: Vec<_> = route
        .endpoints
        .iter()
        .map(|endpoint| {
            (endpoint.name.as_deref().unwrap(), endpoint.ip.octets()[3], endpoint.ready)
        })
        .collect();
    assert_eq!(brief, [("pg-0", 9, true), ("pg-1", 10, false)]);
    api.set_ingress("lab", "pg", Ipv4Addr::new(192, 0, 2, 1)).unwrap();
    let stored = api.get(Kind::Service, "lab", "pg").unwrap();
    assert_eq!(kubernetes_client::ingress(&stored), Some("192.0.2.1"));
}
