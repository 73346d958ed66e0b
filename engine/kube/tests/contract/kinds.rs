//! The kinds that charms read and write beside pods and services.

use serde_json::{Value, json};

use crate::cluster::{Cluster, MERGE, STRATEGIC};

#[tokio::test]
async fn a_secrets_plain_values_are_kept_encoded() {
    let cluster = Cluster::new("secret").await;
    let path = cluster.path("secrets");
    let mut body = cluster.body("secret", json!({}));
    body["stringData"] = json!({ "password": "p" });
    let (code, made) = cluster.post(&path, &body).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!((&made["data"], &made["type"]), (&json!({ "password": "cA==" }), &json!("Opaque")));
    assert_eq!(made["stringData"], Value::Null);
    let one = format!("{path}/secret");
    let (code, status) = cluster.patch(&one, MERGE, &json!({ "type": "other" })).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("type")));
    let odd = json!({ "data": { "password": "not base64" } });
    let (code, status) = cluster.patch(&one, MERGE, &odd).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("patch")));
    assert!(status["message"].as_str().unwrap().contains("illegal base64 data"), "{status}");
    let mut other = cluster.body("secret-b", json!({}));
    other["data"] = odd["data"].clone();
    let (code, status) = cluster.post(&path, &other).await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    assert!(status["message"].as_str().unwrap().contains("illegal base64 data"), "{status}");
    let fixed = json!({ "immutable": true });
    assert_eq!(cluster.patch(&one, MERGE, &fixed).await.0, 200);
    let more = json!({ "stringData": { "more": "m" } });
    let (code, status) = cluster.patch(&one, MERGE, &more).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("data")));
    assert_eq!(cluster.delete(&one).await.1["kind"], "Status");
}

#[tokio::test]
async fn values_have_names() {
    let cluster = Cluster::new("values").await;
    let path = cluster.path("configmaps");
    for (key, code) in [("a.b_c-D", 201), ("a/b", 422), ("..a", 422), (".a", 201)] {
        let mut body = cluster.body("values", json!({}));
        body["data"] = json!({ key: "1" });
        let (found, answer) = cluster.post(&path, &body).await;
        assert_eq!(found, code, "{key}: {answer}");
        cluster.delete(&format!("{path}/values")).await;
    }
}

#[tokio::test]
async fn other_kinds_come_and_go() {
    let cluster = Cluster::new("others").await;
    let namespace = cluster.namespace();
    let rules = json!([{ "host": "a.example" }]);
    let claim = json!({
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
    });
    let about = json!({ "kind": "Pod", "namespace": namespace, "name": "p" });
    for (path, fields) in [
        (cluster.path("serviceaccounts"), json!({})),
        (cluster.path("persistentvolumeclaims"), json!({ "spec": claim })),
        (cluster.path("events"), json!({ "involvedObject": about, "reason": "Made" })),
        (
            format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"),
            json!({ "spec": { "rules": rules } }),
        ),
        (
            format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
            json!({ "addressType": "IPv4", "endpoints": [] }),
        ),
    ] {
        let mut body = cluster.body("others", json!({}));
        for (name, value) in fields.as_object().unwrap() {
            body[name.as_str()] = value.clone();
        }
        let (code, made) = cluster.post(&path, &body).await;
        assert_eq!(code, 201, "{path}: {made}");
        let one = format!("{path}/others");
        assert_eq!(cluster.get(&one).await, (200, made));
        assert_eq!(cluster.delete(&one).await.0, 200);
    }
}

#[tokio::test]
async fn clients_are_told_what_there_is() {
    let cluster = Cluster::new("told").await;
    let (_, groups) = cluster.get("/apis").await;
    for (group, plural) in [
        ("", "secrets"),
        ("", "pods/eviction"),
        ("apps", "statefulsets"),
        ("networking.k8s.io", "ingresses"),
        ("discovery.k8s.io", "endpointslices"),
    ] {
        let named = |one: &Value| one["name"] == group;
        let known = groups["groups"].as_array().unwrap().iter().any(named);
        assert!(group.is_empty() || known, "{group}");
        let path =
            if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let (code, list) = cluster.get(&path).await;
        assert_eq!((code, &list["kind"]), (200, &json!("APIResourceList")));
        let resources = list["resources"].as_array().unwrap();
        assert!(resources.iter().any(|one| one["name"] == plural), "{plural}");
    }
}

/// Juju writes what it read back, with another template and an empty strategy: what a charm has set
/// there outlives a refresh.
#[tokio::test]
async fn a_partition_outlives_another_template() {
    let cluster = Cluster::new("partition").await;
    let mut set = cluster.body("partition", json!({}));
    let container = json!({ "name": "c", "image": "none.invalid/none" });
    set["spec"] = json!({
        "serviceName": "partition", "replicas": 0,
        "selector": { "matchLabels": { "app": "partition" } },
        "template": {
            "metadata": { "labels": { "app": "partition" } }, "spec": { "containers": [container] },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", cluster.namespace());
    let (code, set) = cluster.post(&path, &set).await;
    assert_eq!(code, 201, "{set}");
    let one = format!("{path}/partition");
    let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } });
    let held = json!({ "spec": { "updateStrategy": strategy } });
    let (code, held) = cluster.patch(&one, MERGE, &held).await;
    assert_eq!((code, &held["spec"]["updateStrategy"]), (200, &strategy), "{held}");

    let mut written = held.clone();
    for field in ["managedFields", "resourceVersion"] {
        written["metadata"].as_object_mut().unwrap().remove(field);
    }
    written["spec"]["updateStrategy"] = json!({});
    let modified = json!({ "charm.juju.is/modified-version": "1" });
    written["spec"]["template"]["metadata"]["annotations"] = modified.clone();
    let (code, written) = cluster.patch(&one, STRATEGIC, &written).await;
    assert_eq!(code, 200, "{written}");
    assert_eq!(written["spec"]["template"]["metadata"]["annotations"], modified);
    assert_eq!(written["spec"]["updateStrategy"], strategy);

    // Who decided on what it read is refused where the set has changed since.
    let version = &held["metadata"]["resourceVersion"];
    let lower = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 1 } } } });
    let mut late = lower.clone();
    late["metadata"] = json!({ "resourceVersion": version });
    let (code, status) = cluster.patch(&one, MERGE, &late).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    // A real controller writes the status meanwhile, so who was refused reads again.
    let mut code = 409;
    for _ in 0..20 {
        let (_, now) = cluster.get(&one).await;
        late["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
        code = cluster.patch(&one, MERGE, &late).await.0;
        if code != 409 {
            break;
        }
    }
    assert_eq!(code, 200);
    let wrong = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": -1 } } } });
    assert_eq!(cluster.patch(&one, MERGE, &wrong).await.0, 422);
    assert_eq!(cluster.delete(&one).await.0, 200);
}
