//! Merge, strategic merge and server-side apply.

use kubernetes_client::{Resource, Service, ServiceType};
use serde_json::{Value, json};

use crate::cluster::{APPLY, Cluster, JSON, MERGE, STRATEGIC};

#[tokio::test]
async fn nulls_delete_keys_and_lists_are_replaced_whole() {
    let cluster = Cluster::new("merge").await;
    let mut body = cluster.body("merged", json!({}));
    body["metadata"]["annotations"] = json!({ "leader": "a", "ttl": "30" });
    let address = |ip: &str| json!({ "addresses": [{ "ip": ip }], "ports": [{ "port": 5432 }] });
    body["subsets"] = json!([address("10.1.0.1"), address("10.1.0.2")]);
    let path = cluster.path("endpoints");
    cluster.post(&path, &body).await;
    let path = format!("{path}/merged");
    for kind in [STRATEGIC, MERGE] {
        let patch = json!({
            "metadata": { "annotations": { "leader": null, "optime": kind.len().to_string() } },
            "subsets": [address("10.1.0.3")],
        });
        let (code, merged) = cluster.patch(&path, kind, &patch).await;
        assert_eq!(code, 200, "{merged}");
        let annotations = json!({ "ttl": "30", "optime": kind.len().to_string() });
        assert_eq!(merged["metadata"]["annotations"], annotations);
        assert_eq!(merged["subsets"].as_array().unwrap().len(), 1);
        assert_eq!(merged["subsets"][0]["addresses"][0]["ip"], "10.1.0.3");
    }
    let (_, emptied) = cluster.patch(&path, STRATEGIC, &json!({ "subsets": [] })).await;
    assert!(emptied["subsets"].as_array().is_none_or(Vec::is_empty));
}

#[tokio::test]
async fn a_stale_version_is_a_conflict() {
    let cluster = Cluster::new("stale").await;
    let path = cluster.path("endpoints");
    let (_, first) = cluster.post(&path, &cluster.body("stale", json!({}))).await;
    let path = format!("{path}/stale");
    let version = &first["metadata"]["resourceVersion"];
    let patch = |leader: &str| {
        let annotations = json!({ "leader": leader });
        json!({ "metadata": { "resourceVersion": version, "annotations": annotations } })
    };
    let (code, won) = cluster.patch(&path, STRATEGIC, &patch("a")).await;
    assert_eq!(code, 200);
    assert_ne!(&won["metadata"]["resourceVersion"], version);
    let (code, lost) = cluster.patch(&path, STRATEGIC, &patch("b")).await;
    assert_eq!((code, &lost["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        lost["message"],
        "Operation cannot be fulfilled on endpoints \"stale\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    let (_, now) = cluster.get(&path).await;
    assert_eq!(now["metadata"]["annotations"]["leader"], "a");
    let error = cluster.client().patch_merge(Resource::Endpoints, "stale", &patch("c")).await;
    assert!(error.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_patch_of_nothing_is_not_found_and_one_of_no_known_type_is_refused() {
    let cluster = Cluster::new("patch-missing").await;
    let path = format!("{}/never-made", cluster.path("endpoints"));
    assert_eq!(cluster.patch(&path, STRATEGIC, &json!({})).await.0, 404);
    assert_eq!(cluster.patch(&path, "text/plain", &json!({})).await.0, 415);
}

#[tokio::test]
async fn a_list_of_operations_is_a_patch() {
    let cluster = Cluster::new("operations").await;
    let path = cluster.path("endpoints");
    let (_, made) = cluster.post(&path, &cluster.body("operations", json!({}))).await;
    let path = format!("{path}/operations");
    let add = json!({ "op": "add", "path": "/metadata/annotations", "value": { "a": "1" } });
    let test =
        |leader: &str| json!({ "op": "test", "path": "/metadata/annotations/a", "value": leader });
    let (code, marked) = cluster.patch(&path, JSON, &json!([add, test("1")])).await;
    assert_eq!((code, &marked["metadata"]["annotations"]), (200, &json!({ "a": "1" })));
    let (code, status) = cluster.patch(&path, JSON, &json!([add, test("2")])).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    let words = "the server rejected our request due to an error in our request";
    assert_eq!(status["message"], words);
    // It says at which version it is meant.
    let version = &made["metadata"]["resourceVersion"];
    let stale = json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version });
    assert_eq!(cluster.patch(&path, JSON, &json!([stale])).await.0, 409);
    assert_eq!(cluster.patch(&path, JSON, &json!({ "a": 1 })).await.0, 400);
}

#[tokio::test]
async fn an_unchanged_object_keeps_its_version() {
    let cluster = Cluster::new("unchanged").await;
    let path = cluster.path("endpoints");
    let (_, first) = cluster.post(&path, &cluster.body("same", json!({ "a": "b" }))).await;
    let patch = json!({ "metadata": { "labels": { "a": "b", "role": null } } });
    let (code, second) = cluster.patch(&format!("{path}/same"), STRATEGIC, &patch).await;
    assert_eq!((code, second), (200, first));
}

#[tokio::test]
async fn apply_creates_then_merges_then_takes_back() {
    let cluster = Cluster::new("apply").await;
    let client = cluster.client();
    let service = Service::new("applied")
        .label("contract", "apply")
        .selects("role", "primary")
        .port("database", 5432);
    let annotations = |key: &str| [(key.to_owned(), "1".to_owned())].into();
    let first = service.clone().annotations(annotations("old")).to_value();
    let created = client.apply(Resource::Services, "applied", "pg", &first).await.unwrap();
    assert_eq!(created["spec"]["type"], "ClusterIP");

    let others = json!({ "metadata": { "annotations": { "other": "kept" } } });
    client.patch_merge(Resource::Services, "applied", &others).await.unwrap();
    let second =
        service.annotations(annotations("new")).service_type(ServiceType::NodePort).to_value();
    let changed = client.apply(Resource::Services, "applied", "pg", &second).await.unwrap();
    assert_eq!(changed["metadata"]["annotations"], json!({ "new": "1", "other": "kept" }));
    assert_eq!(changed["spec"]["type"], "NodePort");
    assert_eq!(changed["spec"]["clusterIP"], created["spec"]["clusterIP"]);
    let again = client.apply(Resource::Services, "applied", "pg", &second).await.unwrap();
    assert_eq!(again["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn apply_takes_yaml_and_wants_a_manager_and_a_type() {
    let cluster = Cluster::new("yaml").await;
    let path = format!("{}/yaml", cluster.path("endpoints"));
    let yaml =
        "apiVersion: v1\nkind: Endpoints\nmetadata:\n  name: yaml\n  labels:\n    contract: yaml\n";
    let managed = format!("{path}?fieldManager=m&force=true");
    let (code, made) = cluster.send("PATCH", &managed, APPLY, Some(yaml.to_owned())).await;
    assert_eq!(code, 201, "{made}");
    let (code, same) = cluster.send("PATCH", &managed, APPLY, Some(yaml.to_owned())).await;
    assert_eq!((code, &same["metadata"]["uid"]), (200, &made["metadata"]["uid"]));
    let (code, _) = cluster.send("PATCH", &path, APPLY, Some(yaml.to_owned())).await;
    assert!([400, 422].contains(&code));
    assert_eq!(cluster.patch(&managed, APPLY, &json!({ "metadata": {} })).await.0, 400);
}

#[tokio::test]
async fn the_status_has_its_own_path() {
    let cluster = Cluster::new("substatus").await;
    let pods = cluster.path("pods");
    cluster.post(&pods, &cluster.pod("with-status", json!({}))).await;
    let path = format!("{pods}/with-status");
    let patch =
        json!({ "metadata": { "labels": { "role": "x" } }, "status": { "podIP": "10.1.0.9" } });
    let (_, main) = cluster.patch(&path, STRATEGIC, &patch).await;
    assert_eq!(main["metadata"]["labels"]["role"], "x");
    assert!(main["status"]["podIP"].is_null());
    let (code, status) = cluster.patch(&format!("{path}/status"), STRATEGIC, &patch).await;
    assert_eq!((code, &status["status"]["podIP"]), (200, &json!("10.1.0.9")));
    assert_eq!(status["status"]["podIPs"], json!([{ "ip": "10.1.0.9" }]));
    // What lies beside the status is taken as well, but for what the pod is made from.
    let beside = json!({ "metadata": { "labels": { "role": "y" } }, "spec": { "hostname": "z" } });
    let (code, beside) = cluster.patch(&format!("{path}/status"), STRATEGIC, &beside).await;
    assert_eq!((code, &beside["metadata"]["labels"]["role"]), (200, &json!("y")));
    assert_eq!(beside["spec"]["hostname"], Value::Null);
}

/// What `manager` says of the endpoints `name`, as it is applied.
async fn apply(cluster: &Cluster, name: &str, manager: &str, body: &Value) -> (u16, Value) {
    let path = format!("{}/{name}?fieldManager={manager}&force=true", cluster.path("endpoints"));
    cluster.patch(&path, APPLY, body).await
}

fn applied(cluster: &Cluster, name: &str, annotations: Value) -> Value {
    let mut body = cluster.body(name, json!({}));
    body["metadata"]["annotations"] = annotations;
    body["apiVersion"] = json!("v1");
    body["kind"] = json!("Endpoints");
    body
}

#[tokio::test]
async fn a_field_manager_has_a_form() {
    let cluster = Cluster::new("manager").await;
    let body = applied(&cluster, "manager", json!({ "a": "1" }));
    assert_eq!(apply(&cluster, "manager", &"m".repeat(128), &body).await.0, 201);
    for (wrong, reason) in
        [("m".repeat(129), "FieldValueTooLong"), ("m%07".to_owned(), "FieldValueInvalid")]
    {
        let (code, status) = apply(&cluster, "manager", &wrong, &body).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
        let cause = &status["details"]["causes"][0];
        assert_eq!((&cause["field"], &cause["reason"]), (&json!("fieldManager"), &json!(reason)));
        // Every writer is a manager, also without an apply.
        let path = format!("{}?fieldManager={wrong}", cluster.path("endpoints"));
        assert_eq!(cluster.post(&path, &cluster.body("manager-b", json!({}))).await.0, 422);
    }
}

#[tokio::test]
async fn what_is_remembered_of_managers_has_an_end() {
    // These bounds are ours.
    let cluster = Cluster::own("managers", 100).await;
    let body = applied(&cluster, "managers", json!({ "a": "1" }));
    for manager in 0..32 {
        let (code, answer) = apply(&cluster, "managers", &format!("m{manager}"), &body).await;
        assert_eq!(code, if manager == 0 { 201 } else { 200 }, "{answer}");
    }
    let (code, status) = apply(&cluster, "managers", "one-more", &body).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.managedFields");
    // Known managers may go on, and one that applies nothing makes room.
    assert_eq!(apply(&cluster, "managers", "m31", &body).await.0, 200);
    let nothing =
        json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "managers" } });
    assert_eq!(apply(&cluster, "managers", "m31", &nothing).await.0, 200);
    assert_eq!(apply(&cluster, "managers", "one-more", &body).await.0, 200);
}

#[tokio::test]
async fn what_managers_applied_counts_as_part_of_the_object() {
    // These bounds are ours.
    let cluster = Cluster::own("counted", 100).await;
    // The same from each, so that the object itself does not change; of a field only the path is
    // remembered.
    let key = |number: usize| format!("{number:0>60}.example/{}", "x".repeat(60));
    let fields = (0..1000).map(|number| (key(number), json!("1")));
    let body = applied(&cluster, "counted", Value::Object(fields.collect()));
    let mut taken = 0;
    let refusal = loop {
        let (code, answer) = apply(&cluster, "counted", &format!("m{taken}"), &body).await;
        if code > 201 {
            break (code, answer);
        }
        taken += 1;
        assert!(taken < 20, "there is no end");
    };
    assert_eq!(refusal.0, 413, "{}", refusal.1);
    let managers = cluster.api().snapshot().unwrap()["managed"][0]["managers"].clone();
    assert_eq!(managers.as_array().unwrap().len(), taken, "a refused apply is remembered");
    let (code, same) = apply(&cluster, "counted", "m0", &body).await;
    assert_eq!(code, 200, "{same}");
}
