//! What Kubernetes refuses: the field that is wrong, and the reason that clients read.

use serde_json::{Value, json};

use crate::cluster::{APPLY, Cluster, MERGE, STRATEGIC};

const INVALID: &str = "FieldValueInvalid";
const REQUIRED: &str = "FieldValueRequired";
const DUPLICATE: &str = "FieldValueDuplicate";
const UNSUPPORTED: &str = "FieldValueNotSupported";
const FORBIDDEN: &str = "FieldValueForbidden";
const TOO_LONG: &str = "FieldValueTooLong";

/// One rule: an object, and what is wrong with it; nothing for one that is fine.
type Row = (Value, Option<(&'static str, &'static str)>);

/// Creates the object, which must be refused for that field and reason, or be taken.
async fn check(cluster: &Cluster, plural: &str, (body, expected): &Row) {
    let path = cluster.path(plural);
    let (code, answer) = cluster.post(&path, body).await;
    let name = body["metadata"]["name"].as_str().unwrap();
    cluster.delete(&format!("{path}/{name}")).await;
    let Some((field, reason)) = expected else {
        assert_eq!(code, 201, "{body}: {answer}");
        return;
    };
    assert_eq!((code, &answer["reason"]), (422, &json!("Invalid")), "{body}: {answer}");
    let causes = answer["details"]["causes"].as_array().unwrap();
    let wanted = |cause: &&Value| cause["field"] == *field && cause["reason"] == *reason;
    let cause = causes.iter().find(wanted);
    let cause = cause.unwrap_or_else(|| panic!("{body}: no {reason} of {field} in {answer}"));
    let (message, words) = (answer["message"].as_str().unwrap(), &cause["message"]);
    assert!(message.contains(&format!("{field}: {}", words.as_str().unwrap())), "{message}");
    assert!(message.starts_with(answer["details"]["kind"].as_str().unwrap()), "{message}");
}

async fn check_all(rule: &'static str, plural: &str, rows: impl Fn(&Cluster) -> Vec<Row>) {
    let cluster = Cluster::new(rule).await;
    for row in rows(&cluster) {
        check(&cluster, plural, &row).await;
    }
}

#[tokio::test]
async fn names_labels_and_annotations_have_forms() {
    check_all("meta", "endpoints", |cluster| {
        let with = |field: &str, value: Value| {
            let mut body = cluster.body("meta-a", json!({}));
            body["metadata"][field] = value;
            body
        };
        let labels = |labels: Value| cluster.body("meta-a", labels);
        let half = 131_072 - 1;
        vec![
            (cluster.body("meta-a.b", json!({})), None),
            (cluster.body("meta_a", json!({})), Some(("metadata.name", INVALID))),
            (cluster.body(&"a".repeat(254), json!({})), Some(("metadata.name", INVALID))),
            (labels(json!({ "app.kubernetes.io/x": "A_b.c-1", "e": "" })), None),
            (labels(json!({ "a b": "c" })), Some(("metadata.labels", INVALID))),
            (labels(json!({ "/b": "c" })), Some(("metadata.labels", INVALID))),
            (labels(json!({ "a": "b c" })), Some(("metadata.labels", INVALID))),
            (labels(json!({ "a": "x".repeat(64) })), Some(("metadata.labels", INVALID))),
            (with("annotations", json!({ "Example.COM/x": "any thing" })), None),
            (with("annotations", json!({ "a b": "c" })), Some(("metadata.annotations", INVALID))),
            // 262,144 bytes, keys included, and one more.
            (with("annotations", json!({ "a": "x".repeat(half), "b": "x".repeat(half) })), None),
            (
                with("annotations", json!({ "a": "x".repeat(half), "b": "x".repeat(half + 1) })),
                Some(("metadata.annotations", TOO_LONG)),
            ),
        ]
    })
    .await;
}

#[tokio::test]
async fn owners_and_finalizers_have_forms() {
    check_all("owners", "endpoints", |cluster| {
        let with = |field: &str, value: Value| {
            let mut body = cluster.body("owners-a", json!({}));
            body["metadata"][field] = value;
            body
        };
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1" });
        let two = json!([
            { "apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1", "controller": true },
            { "apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "2", "controller": true },
        ]);
        vec![
            (with("generateName", json!("B-")), None),
            (with("finalizers", json!(["a b"])), Some(("metadata.finalizers", INVALID))),
            (with("ownerReferences", json!([owner])), None),
            (
                with(
                    "ownerReferences",
                    json!([{ "apiVersion": "v1", "kind": "Pod", "name": "a" }]),
                ),
                Some(("metadata.ownerReferences.uid", INVALID)),
            ),
            (
                with(
                    "ownerReferences",
                    json!([{ "apiVersion": "a/b/c", "kind": "P", "name": "a", "uid": "1" }]),
                ),
                Some(("metadata.ownerReferences.apiVersion", INVALID)),
            ),
            (with("ownerReferences", two), Some(("metadata.ownerReferences", INVALID))),
        ]
    })
    .await;
}

#[tokio::test]
async fn services_ask_for_nothing_that_is_not_theirs() {
    check_all("svc", "services", |cluster| {
        let named = |name: &str, spec: Value| {
            let mut body = cluster.body(name, json!({}));
            body["spec"] = spec;
            body
        };
        let service = |spec: Value| named("svc-a", spec);
        let one = json!([{ "port": 80 }]);
        let at =
            |address: &str| service(json!({ "clusterIP": address, "ports": [{ "port": 80 }] }));
        vec![
            (service(json!({ "ports": one })), None),
            (named("0svc", json!({ "ports": one })), Some(("metadata.name", INVALID))),
            (named("svc.a", json!({ "ports": one })), Some(("metadata.name", INVALID))),
            (service(json!({})), Some(("spec.ports", REQUIRED))),
            (service(json!({ "clusterIP": "None" })), None),
            // Outside the range: another network's address.
            (at("192.0.2.1"), Some(("spec.clusterIPs", INVALID))),
            (at("127.0.0.1"), Some(("spec.clusterIPs", INVALID))),
            (at("nowhere"), Some(("spec.clusterIPs[0]", INVALID))),
            (
                service(json!({ "clusterIP": "None", "type": "NodePort", "ports": one })),
                Some(("spec.clusterIPs[0]", INVALID)),
            ),
            (service(json!({ "ports": one, "type": "Nope" })), Some(("spec.type", UNSUPPORTED))),
            (
                service(json!({ "ports": one, "sessionAffinity": "Nope" })),
                Some(("spec.sessionAffinity", UNSUPPORTED)),
            ),
            (
                service(json!({ "ports": one, "selector": { "a": "b c" } })),
                Some(("spec.selector", INVALID)),
            ),
            (
                service(json!({ "ports": one, "selector": { "a b": "c" } })),
                Some(("spec.selector", INVALID)),
            ),
            (
                service(json!({ "ports": one, "externalIPs": ["127.0.0.1"] })),
                Some(("spec.externalIPs[0]", INVALID)),
            ),
            (service(json!({ "type": "ExternalName" })), Some(("spec.externalName", REQUIRED))),
            (service(json!({ "type": "ExternalName", "externalName": "a.example" })), None),
        ]
    })
    .await;
}

#[tokio::test]
async fn ports_of_services_have_names_and_numbers() {
    check_all("ports", "services", |cluster| {
        let service = |spec: Value| {
            let mut body = cluster.body("ports-a", json!({}));
            body["spec"] = spec;
            body
        };
        let ports = |ports: Value| service(json!({ "ports": ports }));
        let of = |kind: &str, mut port: Value| {
            port["port"] = json!(80);
            service(json!({ "type": kind, "ports": [port] }))
        };
        vec![
            (ports(json!([{ "port": 0 }])), Some(("spec.ports[0].port", INVALID))),
            (ports(json!([{ "port": 65536 }])), Some(("spec.ports[0].port", INVALID))),
            (
                ports(json!([{ "port": 80, "protocol": "Nope" }])),
                Some(("spec.ports[0].protocol", UNSUPPORTED)),
            ),
            (
                ports(json!([{ "port": 80, "targetPort": 70000 }])),
                Some(("spec.ports[0].targetPort", INVALID)),
            ),
            (
                ports(json!([{ "port": 80, "targetPort": "5432" }])),
                Some(("spec.ports[0].targetPort", INVALID)),
            ),
            (ports(json!([{ "port": 80, "targetPort": "http" }])), None),
            (ports(json!([{ "port": 80, "name": "A b" }])), Some(("spec.ports[0].name", INVALID))),
            (
                ports(json!([{ "port": 80 }, { "port": 81 }])),
                Some(("spec.ports[0].name", REQUIRED)),
            ),
            (
                ports(json!([{ "port": 80, "name": "a" }, { "port": 81, "name": "a" }])),
                Some(("spec.ports[1].name", DUPLICATE)),
            ),
            (
                ports(json!([{ "port": 80, "name": "a" }, { "port": 80, "name": "b" }])),
                Some(("spec.ports[1]", DUPLICATE)),
            ),
            (
                of("ClusterIP", json!({ "nodePort": 30001 })),
                Some(("spec.ports[0].nodePort", FORBIDDEN)),
            ),
            (of("NodePort", json!({ "nodePort": 80 })), Some(("spec.ports[0].nodePort", INVALID))),
            (
                of("NodePort", json!({ "nodePort": 65536 })),
                Some(("spec.ports[0].nodePort", INVALID)),
            ),
        ]
    })
    .await;
}

#[tokio::test]
async fn endpoints_lead_to_other_machines() {
    check_all("ends", "endpoints", |cluster| {
        let ends = |subsets: Value| {
            let mut body = cluster.body("ends-a", json!({}));
            body["subsets"] = subsets;
            body
        };
        let at = |address: &str| ends(json!([{ "addresses": [{ "ip": address }] }]));
        let ip = |reason| Some(("subsets[0].addresses[0].ip", reason));
        let port =
            |ports: Value| ends(json!([{ "addresses": [{ "ip": "10.1.0.9" }], "ports": ports }]));
        vec![
            (at("10.1.0.9"), None),
            (at("127.0.0.1"), ip(INVALID)),
            (at("169.254.169.254"), ip(INVALID)),
            (at("0.0.0.0"), ip(INVALID)),
            (at("224.0.0.1"), ip(INVALID)),
            (at("::1"), ip(INVALID)),
            (at(""), ip(INVALID)),
            (at("10.1.0.9/24"), ip(INVALID)),
            (
                ends(json!([{ "notReadyAddresses": [{ "ip": "127.0.0.1" }] }])),
                Some(("subsets[0].notReadyAddresses[0].ip", INVALID)),
            ),
            (ends(json!([{ "ports": [{ "port": 1 }] }])), Some(("subsets[0]", REQUIRED))),
            (
                ends(json!([{ "addresses": [{ "ip": "10.1.0.9", "hostname": "a.b" }] }])),
                Some(("subsets[0].addresses[0].hostname", INVALID)),
            ),
            (port(json!([{ "port": 0 }])), Some(("subsets[0].ports[0].port", INVALID))),
            (
                port(json!([{ "port": 1 }, { "port": 2 }])),
                Some(("subsets[0].ports[0].name", REQUIRED)),
            ),
            (
                port(json!([{ "port": 1, "protocol": "x" }])),
                Some(("subsets[0].ports[0].protocol", UNSUPPORTED)),
            ),
        ]
    })
    .await;
}

#[tokio::test]
async fn pods_have_containers_and_keep_them() {
    let cluster = Cluster::new("pods").await;
    let pod = |containers: Value| {
        let mut body = cluster.pod("pods-a", json!({}));
        body["spec"]["containers"] = containers;
        body
    };
    let twice = json!([{ "name": "c", "image": "i" }, { "name": "c", "image": "i" }]);
    for row in [
        (pod(json!([])), Some(("spec.containers", REQUIRED))),
        (pod(json!([{ "name": "C", "image": "i" }])), Some(("spec.containers[0].name", INVALID))),
        (pod(json!([{ "name": "c" }])), Some(("spec.containers[0].image", REQUIRED))),
        (pod(twice), Some(("spec.containers[1].name", DUPLICATE))),
    ] {
        check(&cluster, "pods", &row).await;
    }
    let path = cluster.path("pods");
    cluster.post(&path, &cluster.pod("pods-b", json!({}))).await;
    let one = format!("{path}/pods-b");
    let moved = json!({ "spec": { "nodeName": "other", "schedulerName": "other" } });
    let (code, status) = cluster.patch(&one, MERGE, &moved).await;
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (422, &json!(FORBIDDEN)));
    let gone = json!({ "metadata": { "deletionTimestamp": "2020-01-01T00:00:00Z" } });
    cluster.patch(&one, MERGE, &gone).await;
    let (_, pod) = cluster.get(&one).await;
    assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
}

#[tokio::test]
async fn an_address_is_given_once_and_never_changed() {
    let cluster = Cluster::new("given").await;
    let path = cluster.path("services");
    let service = |name: &str, spec: Value| {
        let mut body = cluster.body(name, json!({}));
        body["spec"] = spec;
        body["spec"]["ports"] = json!([{ "port": 80 }]);
        body
    };
    let (_, first) = cluster.post(&path, &service("given-a", json!({}))).await;
    let address = first["spec"]["clusterIP"].as_str().unwrap();
    let (code, status) =
        cluster.post(&path, &service("given-b", json!({ "clusterIP": address }))).await;
    assert_eq!(code, 422);
    let cause = &status["details"]["causes"][0];
    assert!(cause["message"].as_str().unwrap().contains("already allocated"), "{status}");
    cluster.post(&path, &service("given-c", json!({}))).await;
    let one = format!("{path}/given-c");
    for patch in [
        json!({ "spec": { "clusterIP": address } }),
        json!({ "spec": { "clusterIP": "10.1.0.9", "clusterIPs": ["10.1.0.9"] } }),
        json!({ "spec": { "clusterIP": "None" } }),
    ] {
        let (code, status) = cluster.patch(&one, MERGE, &patch).await;
        assert_eq!(code, 422, "{patch}: {status}");
        assert_eq!(status["details"]["causes"][0]["field"], "spec.clusterIPs[0]");
    }
    // A name says nothing of an address, and a type that needs none gives it back.
    let renamed = json!({ "spec": { "type": "ExternalName", "externalName": "a.example" } });
    let (code, outside) = cluster.patch(&one, STRATEGIC, &renamed).await;
    assert_eq!((code, &outside["spec"]["clusterIP"]), (200, &Value::Null), "{outside}");
}

#[tokio::test]
async fn fields_have_types_and_names() {
    let cluster = Cluster::new("fields").await;
    let path = cluster.path("services");
    let text = |port: &str, more: &str| {
        format!(
            r#"{{"metadata":{{"name":"fields-a","labels":{{"contract":"fields"}}}},"spec":{{"ports":[{{"port":{port}}}]{more}}}}}"#
        )
    };
    let send = async |path: &str, kind: &str, body: String| {
        let answer = cluster.send("POST", path, kind, Some(body)).await;
        cluster.delete(&format!("{}/fields-a", cluster.path("services"))).await;
        answer
    };
    let (code, status) = send(&path, "", text("\"80\"", "")).await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    assert!(status["message"].as_str().unwrap().contains("cannot unmarshal string"), "{status}");
    // What no service has is dropped, or refused where the client wants that.
    let (code, made) = send(&path, "", text("80", r#","colour":"red""#)).await;
    assert_eq!((code, &made["spec"]["colour"]), (201, &Value::Null));
    for body in [text("80", r#","colour":"red""#), text("80", r#","type":"X","type":"ClusterIP""#)]
    {
        let strict = format!("{path}?fieldValidation=Strict");
        let (code, status) = send(&strict, "application/json", body).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
        assert!(status["message"].as_str().unwrap().contains("strict decoding error"), "{status}");
    }
    let odd = format!("{path}?fieldValidation=Often");
    assert_eq!(send(&odd, "application/json", text("80", "")).await.0, 422);
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(send(&path, kind, text("80", "")).await.0, 415, "{kind}");
    }
    // A server-side apply is checked no less.
    let applied = format!("{path}/fields-a?fieldManager=m&force=true");
    let body = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "fields-a", "labels": { "contract": "fields" } },
        "spec": { "clusterIP": "192.0.2.9", "ports": [{ "port": 80 }] },
    });
    assert_eq!(cluster.patch(&applied, APPLY, &body).await.0, 422);
}
