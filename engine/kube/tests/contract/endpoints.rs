//! The endpoints controller, whose objects follow pods and services by themselves.

use serde_json::{Value, json};

use crate::cluster::{Cluster, MERGE, STRATEGIC, ready};

/// A pod with an address, ready or not; its port has the name `port`.
async fn run(cluster: &Cluster, pod: (&str, Value), port: &str, address: &str, is_ready: bool) {
    let mut pod = cluster.pod(pod.0, pod.1);
    pod["spec"]["containers"][0]["ports"] = json!([{ "name": port, "containerPort": 5432 }]);
    cluster.run(pod, address, is_ready).await;
}

/// Waits until a service leads to these addresses; gives its endpoints.
#[track_caller]
fn check(
    cluster: &Cluster,
    name: &str,
    ready: &[&str],
    not_ready: &[&str],
) -> impl Future<Output = Value> {
    let path = format!("{}/{name}", cluster.path("endpoints"));
    let list = |field: &str, addresses: &[&str]| {
        let all: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        if all.is_empty() { json!({}) } else { json!({ field: all }) }
    };
    let (ready, not_ready) = (list("addresses", ready), list("notReadyAddresses", not_ready));
    cluster.until(path, move |endpoints| {
        let bare = |field: &str| {
            let all = endpoints["subsets"][0][field].as_array().cloned().unwrap_or_default();
            let all: Vec<Value> = all.iter().map(|one| json!({ "ip": one["ip"] })).collect();
            if all.is_empty() { json!({}) } else { json!({ field: all }) }
        };
        bare("addresses") == ready && bare("notReadyAddresses") == not_ready
    })
}

#[tokio::test]
async fn endpoints_follow_labels_and_readiness() {
    let cluster = Cluster::new("ends").await;
    let ports = json!([{ "name": "database", "port": 5432 }]);
    let primary = json!({ "selector": { "app": "ends", "role": "primary" }, "ports": ports });
    cluster.serve("ends-primary", primary).await;
    let all = json!({
        "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": "ends" },
    });
    cluster.serve("ends-all", all).await;
    check(&cluster, "ends-primary", &[], &[]).await;
    let labels = |role: &str| json!({ "app": "ends", "role": role });
    run(&cluster, ("ends-1", labels("replica")), "db", "10.1.0.10", true).await;
    run(&cluster, ("ends-0", labels("primary")), "db", "10.1.0.9", false).await;
    check(&cluster, "ends-primary", &[], &["10.1.0.9"]).await;
    check(&cluster, "ends-all", &["10.1.0.10", "10.1.0.9"], &[]).await;

    cluster.report("ends-0", json!({ "conditions": ready(true) })).await;
    let endpoints = check(&cluster, "ends-primary", &["10.1.0.9"], &[]).await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["name"], "database");
    assert_eq!(endpoints["metadata"]["labels"]["contract"], "ends");
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["targetRef"]["name"], "ends-0");

    // A failover, as Patroni labels it.
    for (pod, role) in [("ends-0", Value::Null), ("ends-1", json!("primary"))] {
        let path = format!("{}/{pod}", cluster.path("pods"));
        let labels = json!({ "metadata": { "labels": { "role": role } } });
        assert_eq!(cluster.patch(&path, STRATEGIC, &labels).await.0, 200);
    }
    check(&cluster, "ends-primary", &["10.1.0.10"], &[]).await;
    let gone = format!("{}/ends-1?gracePeriodSeconds=0", cluster.path("pods"));
    assert_eq!(cluster.delete(&gone).await.0, 200);
    check(&cluster, "ends-primary", &[], &[]).await;
    check(&cluster, "ends-all", &["10.1.0.9"], &[]).await;
}

#[tokio::test]
async fn a_port_that_is_named_is_each_pods_own() {
    let cluster = Cluster::new("named-port").await;
    let ports = json!([{ "name": "database", "port": 80, "targetPort": "db" }]);
    let spec = json!({ "selector": { "app": "named-port" }, "ports": ports });
    cluster.serve("named-port", spec).await;
    for (name, port, address) in
        [("named-port-0", "db", "10.1.0.9"), ("named-port-1", "other", "10.1.0.10")]
    {
        run(&cluster, (name, json!({ "app": "named-port" })), port, address, true).await;
    }
    let endpoints = check(&cluster, "named-port", &["10.1.0.9"], &[]).await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 5432);
    let managed = &endpoints["metadata"]["labels"]["endpoints.kubernetes.io/managed-by"];
    assert_eq!(managed, "endpoint-controller");
}

#[tokio::test]
async fn what_is_written_into_endpoints_stays_until_something_changes() {
    let cluster = Cluster::new("by-whom").await;
    let spec = json!({ "selector": { "app": "by-whom" }, "ports": [{ "port": 5432 }] });
    cluster.serve("by-whom", spec).await;
    let labels = json!({ "app": "by-whom" });
    run(&cluster, ("by-whom-0", labels.clone()), "db", "10.1.0.9", true).await;
    check(&cluster, "by-whom", &["10.1.0.9"], &[]).await;
    let ends = json!([{ "addresses": [{ "ip": "10.1.0.77" }], "ports": [{ "port": 1 }] }]);
    let path = format!("{}/by-whom", cluster.path("endpoints"));
    assert_eq!(cluster.patch(&path, MERGE, &json!({ "subsets": ends })).await.0, 200);
    let (_, written) = cluster.get(&path).await;
    assert_eq!(written["subsets"][0]["addresses"][0]["ip"], "10.1.0.77");
    run(&cluster, ("by-whom-1", labels), "db", "10.1.0.10", true).await;
    check(&cluster, "by-whom", &["10.1.0.10", "10.1.0.9"], &[]).await;
}

/// Waits until a service's only slice has these endpoints: address, ready, serving, terminating.
async fn slice(cluster: &Cluster, name: &str, want: Value) -> Value {
    let namespace = cluster.namespace();
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
         ?labelSelector=kubernetes.io/service-name%3D{name}"
    );
    let list = cluster.until(path, move |list| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let all = items.iter().flat_map(|one| one["endpoints"].as_array().cloned());
        let mut all: Vec<Value> = all
            .flatten()
            .map(|one| {
                let is = &one["conditions"];
                json!([one["addresses"][0], is["ready"], is["serving"], is["terminating"]])
            })
            .collect();
        all.sort_by_key(Value::to_string);
        items.len() == 1 && Value::Array(all) == want
    });
    list.await["items"][0].clone()
}

#[tokio::test]
async fn slices_follow_labels_and_readiness() {
    let cluster = Cluster::new("slices").await;
    cluster.node().await;
    let ports = json!([{ "name": "database", "port": 5432 }]);
    let primary = json!({ "selector": { "app": "slices", "role": "primary" }, "ports": ports });
    cluster.serve("slices-primary", primary).await;
    let all = json!({
        "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": "slices" },
    });
    cluster.serve("slices-all", all).await;
    slice(&cluster, "slices-primary", json!([])).await;
    let labels = |role: &str| json!({ "app": "slices", "role": role });
    run(&cluster, ("slices-0", labels("primary")), "db", "10.1.0.9", false).await;
    run(&cluster, ("slices-1", labels("replica")), "db", "10.1.0.10", true).await;
    slice(&cluster, "slices-primary", json!([["10.1.0.9", false, false, false]])).await;
    let both = json!([["10.1.0.10", true, true, false], ["10.1.0.9", true, false, false]]);
    let slice_of_all = slice(&cluster, "slices-all", both).await;
    assert_eq!(slice_of_all["metadata"]["labels"]["service.kubernetes.io/headless"], "");

    cluster.report("slices-0", json!({ "conditions": ready(true) })).await;
    let made = slice(&cluster, "slices-primary", json!([["10.1.0.9", true, true, false]])).await;
    assert_eq!(made["addressType"], "IPv4");
    let port = &made["ports"][0];
    assert_eq!((&port["name"], &port["port"]), (&json!("database"), &json!(5432)));
    assert_eq!(made["endpoints"][0]["targetRef"]["name"], "slices-0");
    let metadata = &made["metadata"];
    assert!(metadata["name"].as_str().unwrap().starts_with("slices-primary-"), "{metadata}");
    assert_eq!(metadata["labels"]["contract"], "slices");
    let managed = &metadata["labels"]["endpointslice.kubernetes.io/managed-by"];
    assert_eq!(managed, "endpointslice-controller.k8s.io");
    let owner = &metadata["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("Service"), &json!("slices-primary")));

    // A pod that goes takes no traffic any more, and stays while it does so.
    let pod = format!("{}/slices-0", cluster.path("pods"));
    let held = json!({ "metadata": { "finalizers": ["example.com/held"] } });
    assert_eq!(cluster.patch(&pod, STRATEGIC, &held).await.0, 200);
    assert_eq!(cluster.delete(&format!("{pod}?gracePeriodSeconds=0")).await.0, 200);
    slice(&cluster, "slices-primary", json!([["10.1.0.9", false, true, true]])).await;
    let let_go = json!({ "metadata": { "finalizers": null } });
    assert_eq!(cluster.patch(&pod, MERGE, &let_go).await.0, 200);
    slice(&cluster, "slices-primary", json!([])).await;
}
