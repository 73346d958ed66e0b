//! Server-side apply by several managers: whose a field is, and who may change it.

use serde_json::{Value, json};

use crate::cluster::{APPLY, Cluster, MERGE};

/// What one manager says of an object; without `force` it changes nothing of others.
async fn apply(
    cluster: &Cluster,
    plural: &str,
    manager: &str,
    force: bool,
    mut body: Value,
) -> (u16, Value) {
    let kind = if plural == "services" { "Service" } else { "Endpoints" };
    body["apiVersion"] = json!("v1");
    body["kind"] = json!(kind);
    let name = body["metadata"]["name"].as_str().unwrap();
    let path = format!("{}/{name}?fieldManager={manager}&force={force}", cluster.path(plural));
    cluster.patch(&path, APPLY, &body).await
}

fn annotated(cluster: &Cluster, name: &str, annotations: Value) -> Value {
    let mut body = cluster.body(name, json!({}));
    body["metadata"]["annotations"] = annotations;
    body
}

#[tokio::test]
async fn what_another_manager_owns_changes_only_by_force() {
    let cluster = Cluster::new("owners-of-fields").await;
    let say = async |manager: &str, force: bool, annotations: Value| {
        let body = annotated(&cluster, "owners-of-fields", annotations);
        apply(&cluster, "endpoints", manager, force, body).await
    };
    assert_eq!(say("m1", false, json!({ "leader": "a", "ttl": "1" })).await.0, 201);
    let (code, status) = say("m2", false, json!({ "leader": "b" })).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")), "{status}");
    let words = "Apply failed with 1 conflict: conflict with \"m1\": .metadata.annotations.leader";
    assert_eq!(status["message"], words);
    let cause = json!({
        "reason": "FieldManagerConflict", "message": "conflict with \"m1\"",
        "field": ".metadata.annotations.leader",
    });
    assert_eq!(status["details"]["causes"], json!([cause]));
    let (_, status) = say("m2", false, json!({ "leader": "b", "ttl": "2" })).await;
    let words = "Apply failed with 2 conflicts: conflicts with \"m1\":\n\
                 - .metadata.annotations.leader\n- .metadata.annotations.ttl";
    assert_eq!(status["message"], words);
    // The same value is shared, and goes when no manager applies it any more.
    assert_eq!(say("m2", false, json!({ "ttl": "1" })).await.0, 200);
    let (_, left) = say("m1", false, json!({ "leader": "a" })).await;
    assert_eq!(left["metadata"]["annotations"], json!({ "leader": "a", "ttl": "1" }));
    let (_, left) = say("m2", false, json!({})).await;
    assert_eq!(left["metadata"]["annotations"], json!({ "leader": "a" }));
    // What was taken by force is no longer the other's to take back.
    assert_eq!(say("m2", true, json!({ "leader": "b" })).await.0, 200);
    let (_, left) = say("m1", false, json!({})).await;
    assert_eq!(left["metadata"]["annotations"], json!({ "leader": "b" }));
}

#[tokio::test]
async fn whoever_changed_a_field_last_owns_it() {
    let cluster = Cluster::new("changed-last").await;
    let say = async |annotations: Value| {
        let body = annotated(&cluster, "changed-last", annotations);
        apply(&cluster, "endpoints", "m1", false, body).await
    };
    say(json!({ "a": "1", "b": "1" })).await;
    let path = format!("{}/changed-last?fieldManager=hand", cluster.path("endpoints"));
    let patch = json!({ "metadata": { "annotations": { "a": "2" } } });
    assert_eq!(cluster.patch(&path, MERGE, &patch).await.0, 200);
    let (code, status) = say(json!({ "a": "1", "b": "1" })).await;
    assert_eq!(code, 409);
    let message = &status["details"]["causes"][0]["message"];
    assert_eq!(message, "conflict with \"hand\" using v1");
    let (_, left) = say(json!({})).await;
    assert_eq!(left["metadata"]["annotations"], json!({ "a": "2" }));
}

#[tokio::test]
async fn lists_with_keys_add_up_and_selectors_do_not() {
    let cluster = Cluster::new("add-up").await;
    let say = async |manager: &str, spec: Value| {
        let mut body = cluster.body("add-up", json!({}));
        body["spec"] = spec;
        apply(&cluster, "services", manager, true, body).await.1
    };
    let port = |number: u16| json!({ "name": format!("p{number}"), "port": number });
    say("m1", json!({ "ports": [port(1)], "selector": { "a": "1" } })).await;
    let both = say("m2", json!({ "ports": [port(2)], "selector": { "b": "2" } })).await;
    let numbers = |service: &Value| -> Vec<u64> {
        let ports = service["spec"]["ports"].as_array().unwrap().iter();
        ports.map(|port| port["port"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&both), [1, 2], "{both}");
    assert_eq!(both["spec"]["selector"], json!({ "b": "2" }));
    let one = say("m1", json!({})).await;
    assert_eq!(numbers(&one), [2], "{one}");
}

#[tokio::test]
async fn owners_of_two_managers_add_up() {
    let cluster = Cluster::new("two-say").await;
    let path = cluster.path("endpoints");
    let mut owners = Vec::new();
    for name in ["two-say-a", "two-say-b"] {
        owners.push(cluster.post(&path, &cluster.body(name, json!({}))).await.1);
    }
    let mut last = Value::Null;
    for (manager, owner) in ["m1", "m2"].into_iter().zip(&owners) {
        let mut body = cluster.body("two-say", json!({}));
        body["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "Endpoints",
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        }]);
        last = apply(&cluster, "endpoints", manager, false, body).await.1;
    }
    assert_eq!(last["metadata"]["ownerReferences"].as_array().unwrap().len(), 2, "{last}");
}

#[tokio::test]
async fn what_no_kind_has_cannot_be_applied() {
    let cluster = Cluster::new("undeclared").await;
    let mut body = cluster.body("undeclared", json!({}));
    body["junk"] = json!(1);
    let (code, status) = apply(&cluster, "endpoints", "m1", true, body).await;
    assert_eq!((code, &status["reason"]), (500, &Value::Null), "{status}");
    // It names the place that the body names.
    let words = "failed to create typed patch object (/undeclared; /v1, Kind=Endpoints): \
                 .junk: field not declared in schema";
    assert_eq!(status["message"], words);
    let path = format!("{}/undeclared?force=true", cluster.path("endpoints"));
    cluster.post(&cluster.path("endpoints"), &cluster.body("undeclared", json!({}))).await;
    let (code, status) = cluster.patch(&path, MERGE, &json!({})).await;
    assert_eq!((code, &status["details"]["kind"]), (422, &json!("PatchOptions")), "{status}");
}
