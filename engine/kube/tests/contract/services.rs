//! Addresses, node ports and the endpoints controller.

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

fn addresses(api: &Api, name: &str) -> (Vec<String>, Vec<String>) {
    let endpoints = api.get(Kind::Endpoints, "lab", name).unwrap();
    let of = |field: &str| {
        let list = endpoints["subsets"][0][field].as_array().cloned().unwrap_or_default();
        list.iter().map(|address| address["ip"].as_str().unwrap().to_owned()).collect()
    };
    (of("addresses"), of("notReadyAddresses"))
}

#[track_caller]
fn check(api: &Api, name: &str, ready: &[&str], not_ready: &[&str]) {
    let own = |list: &[&str]| list.iter().map(|ip| (*ip).to_owned()).collect::<Vec<_>>();
    assert_eq!(addresses(api, name), (own(ready), own(not_ready)));
}

#[tokio::test]
async fn endpoints_follow_labels_and_readiness() {
    let cluster = Cluster::own("endpoints", 1000).await;
    let api = cluster.api();
    let ports = json!([{ "name": "database", "port": 5432 }]);
    let primary = json!({ "selector": { "app": "pg", "role": "primary" }, "ports": ports });
    cluster.post(&cluster.path("services"), &service(&cluster, "pg-primary", primary)).await;
    let all = json!({
        "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": "pg" },
    });
    cluster.post(&cluster.path("services"), &service(&cluster, "pg-endpoints", all)).await;
    check(api, "pg-primary", &[], &[]);
    put_pod(api, "pg-1", "10.1.0.10", "replica", true);
    put_pod(api, "pg-0", "10.1.0.9", "primary", false);
    check(api, "pg-primary", &[], &["10.1.0.9"]);
    check(api, "pg-endpoints", &["10.1.0.9", "10.1.0.10"], &[]);

    let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    api.patch(Kind::Pod, "lab", "pg-0", &ready).unwrap();
    check(api, "pg-primary", &["10.1.0.9"], &[]);
    let endpoints = api.get(Kind::Endpoints, "lab", "pg-primary").unwrap();
    assert_eq!(endpoints["subsets"][0]["ports"][0]["name"], "database");
    assert_eq!(endpoints["metadata"]["labels"]["contract"], "endpoints");
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["targetRef"]["name"], "pg-0");

    // A failover, as Patroni labels it.
    for (pod, role) in [("pg-0", Value::Null), ("pg-1", json!("primary"))] {
        let path = format!("{}/{pod}", cluster.path("pods"));
        cluster
            .patch(&path, STRATEGIC, &json!({ "metadata": { "labels": { "role": role } } }))
            .await;
    }
    check(api, "pg-primary", &["10.1.0.10"], &[]);
    assert!(api.delete(Kind::Pod, "lab", "pg-1").unwrap());
    check(api, "pg-primary", &[], &[]);
    check(api, "pg-endpoints", &["10.1.0.9"], &[]);
}

#[tokio::test]
async fn endpoints_without_a_selecting_service_are_left_alone() {
    let cluster = Cluster::own("alone", 1000).await;
    let api = cluster.api();
    let mut lock = cluster.body("patroni-pg-config", json!({}));
    lock["metadata"]["annotations"] = json!({ "initialize": "7" });
    let (_, lock) = cluster.post(&cluster.path("endpoints"), &lock).await;
    let config = service(&cluster, "patroni-pg-config", json!({ "clusterIP": "None" }));
    cluster.post(&cluster.path("services"), &config).await;
    put_pod(api, "pg-0", "10.1.0.9", "primary", true);
    cluster.delete(&format!("{}/patroni-pg-config", cluster.path("services"))).await;
    let stored = api.get(Kind::Endpoints, "lab", "patroni-pg-config");
    assert_eq!(stored, Some(lock));
    let record = json!({ "control-plane.alpha.kubernetes.io/leader": "{}" });
    let mut marked = cluster.body("patroni-pg", json!({}));
    marked["metadata"]["annotations"] = record;
    cluster.post(&cluster.path("endpoints"), &marked).await;
    assert_eq!(api.delete_orphan_endpoints("lab").unwrap(), 1);
    assert_eq!(api.get(Kind::Endpoints, "lab", "patroni-pg-config"), None);
    assert!(api.get(Kind::Endpoints, "lab", "patroni-pg").is_some(), "a lock was deleted");
}

#[tokio::test]
async fn routes_tell_the_node_all_it_needs() {
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
        target_port: 6432,
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
    assert_eq!(kubernetes::ingress(&stored), Some("192.0.2.1"));
}
