//! How objects go: at once, after their processes, after their finalizers, with their owners.

use kube_api::Kind;
use serde_json::{Value, json};

use crate::cluster::{Cluster, MERGE, Watch};

/// Deletes with options.
async fn delete(cluster: &Cluster, path: &str, options: Value) -> (u16, Value) {
    cluster.send("DELETE", path, "application/json", Some(options.to_string())).await
}

#[tokio::test]
async fn the_answer_is_the_object_where_clients_want_one() {
    let cluster = Cluster::new("answer").await;
    let mut service = cluster.body("answer-a", json!({}));
    service["spec"] = json!({ "ports": [{ "port": 1 }] });
    for (plural, body, kind) in [
        ("services", service, "Service"),
        ("pods", cluster.pod("answer-a", json!({})), "Pod"),
        ("endpoints", cluster.body("answer-b", json!({})), "Status"),
    ] {
        let path = cluster.path(plural);
        let (code, made) = cluster.post(&path, &body).await;
        assert_eq!(code, 201, "{made}");
        let name = body["metadata"]["name"].as_str().unwrap();
        let (code, answer) = cluster.delete(&format!("{path}/{name}")).await;
        assert_eq!((code, &answer["kind"]), (200, &json!(kind)), "{answer}");
        let uid = if kind == "Status" { &answer["details"] } else { &answer["metadata"] };
        assert_eq!(uid["uid"], made["metadata"]["uid"]);
    }
}

/// A pod that runs on a node, and a service that selects it, both with the name of the rule.
async fn running(cluster: &Cluster) -> String {
    let name = cluster.rule;
    let spec = json!({ "selector": { "app": name }, "ports": [{ "port": 1 }] });
    cluster.serve(name, spec).await;
    let mut pod = cluster.pod(name, json!({ "app": name }));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(30);
    cluster.run(pod, "10.1.0.9", true).await;
    format!("{}/{name}", cluster.path("pods"))
}

#[tokio::test]
async fn a_pod_that_runs_is_marked_and_goes_when_its_node_says_so() {
    let cluster = Cluster::new("running").await;
    let path = running(&cluster).await;
    let ends = format!("{}/running", cluster.path("endpoints"));
    cluster
        .until(ends.clone(), |ends| ends["subsets"][0]["addresses"][0]["ip"] == "10.1.0.9")
        .await;
    let version = cluster.version("pods").await;
    let mut watch = cluster.watch("pods", "", &version).await;

    let (code, marked) = cluster.delete(&path).await;
    assert_eq!((code, &marked["kind"]), (200, &json!("Pod")));
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let end = |pod: &Value| -> jiff::Timestamp {
        pod["metadata"]["deletionTimestamp"].as_str().unwrap().parse().unwrap()
    };
    watch.expect("MODIFIED", "running").await;
    // It leaves its service at once.
    cluster.until(ends, |ends| ends["subsets"].as_array().is_none_or(Vec::is_empty)).await;
    assert_eq!(cluster.get(&path).await, (200, marked.clone()));
    // Again, and with more time, changes nothing; less time is taken.
    for options in [json!({}), json!({ "gracePeriodSeconds": 60 })] {
        assert_eq!(delete(&cluster, &path, options).await, (200, marked.clone()));
    }
    let (_, sooner) = delete(&cluster, &path, json!({ "gracePeriodSeconds": 5 })).await;
    assert_eq!(end(&marked).duration_since(end(&sooner)).as_secs(), 25);
    watch.expect("MODIFIED", "running").await;

    gone_at_once(&cluster, &path, &mut watch).await;
}

/// Deletes the rule's pod without grace: that no time is left is written first.
async fn gone_at_once(cluster: &Cluster, path: &str, watch: &mut Watch) {
    let (code, last) = cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    assert_eq!((code, &last["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)), "{last}");
    assert!(last["metadata"]["deletionTimestamp"].is_string(), "{last}");
    watch.expect("MODIFIED", cluster.rule).await;
    watch.expect("DELETED", cluster.rule).await;
    assert_eq!(cluster.get(path).await.0, 404);
}

#[tokio::test]
async fn each_pod_is_marked_before_it_goes() {
    for runs in [true, false] {
        let cluster = Cluster::new("going").await;
        let path = if runs {
            running(&cluster).await
        } else {
            let pod = cluster.pod(cluster.rule, json!({}));
            assert_eq!(cluster.post(&cluster.path("pods"), &pod).await.0, 201);
            format!("{}/{}", cluster.path("pods"), cluster.rule)
        };
        let version = cluster.version("pods").await;
        let mut watch = cluster.watch("pods", "", &version).await;
        gone_at_once(&cluster, &path, &mut watch).await;
    }
}

#[tokio::test]
async fn an_eviction_deletes() {
    let cluster = Cluster::new("evicted").await;
    let path = running(&cluster).await;
    let evict = async |name: &str| {
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name },
            "deleteOptions": { "gracePeriodSeconds": 3 },
        });
        cluster.post(&format!("{path}/eviction"), &body).await
    };
    assert_eq!(evict("another").await.0, 400);
    let (code, status) = evict("evicted").await;
    assert_eq!((code, &status["status"]), (201, &json!("Success")));
    let (_, pod) = cluster.get(&path).await;
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 3);
    assert_eq!(cluster.get(&format!("{path}/eviction")).await.0, 405);
}

#[tokio::test]
async fn finalizers_hold_what_was_deleted() {
    let cluster = Cluster::new("held").await;
    let path = cluster.path("endpoints");
    let mut body = cluster.body("held", json!({}));
    body["metadata"]["finalizers"] = json!(["contract.example/hold"]);
    cluster.post(&path, &body).await;
    let one = format!("{path}/held");
    let (code, marked) = cluster.delete(&one).await;
    assert_eq!((code, &marked["kind"]), (200, &json!("Endpoints")));
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    assert_eq!(cluster.get(&one).await.0, 200);
    let more = json!(["contract.example/hold", "contract.example/more"]);
    let more = json!({ "metadata": { "finalizers": more } });
    let (code, status) = cluster.patch(&one, MERGE, &more).await;
    assert_eq!(code, 422);
    assert_eq!(
        status["details"]["causes"][0]["message"],
        "Forbidden: no new finalizers can be added if the object is being deleted, found new \
         finalizers []string{\"contract.example/more\"}"
    );
    let none = json!({ "metadata": { "finalizers": null } });
    assert_eq!(cluster.patch(&one, MERGE, &none).await.0, 200);
    cluster.gone(&one).await;
}

/// Creates endpoints with an owner.
async fn own(cluster: &Cluster, name: &str, owner: Option<&Value>) -> (String, Value) {
    let mut body = cluster.body(name, json!({}));
    if let Some(owner) = owner {
        body["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "Endpoints", "blockOwnerDeletion": true,
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        }]);
    }
    let path = cluster.path("endpoints");
    let (code, made) = cluster.post(&path, &body).await;
    assert_eq!(code, 201, "{made}");
    (format!("{path}/{name}"), made)
}

#[tokio::test]
async fn those_that_are_owned_go_or_stay_as_is_asked() {
    let cluster = Cluster::new("owned").await;
    for policy in ["Background", "Foreground", "Orphan"] {
        let (owner, made) = own(&cluster, "owned-a", None).await;
        let (owned, _) = own(&cluster, "owned-b", Some(&made)).await;
        let asked = json!({ "propagationPolicy": policy });
        assert_eq!(delete(&cluster, &owner, asked).await.0, 200);
        cluster.gone(&owner).await;
        if policy == "Orphan" {
            let (code, left) = cluster.get(&owned).await;
            assert_eq!((code, &left["metadata"]["ownerReferences"]), (200, &Value::Null));
        } else {
            cluster.gone(&owned).await;
        }
    }
    let (_, status) =
        delete(&cluster, &cluster.path("endpoints"), json!({ "dryRun": ["x"] })).await;
    assert_eq!(status["details"]["causes"][0]["field"], "dryRun", "{status}");
}

#[tokio::test]
async fn whoever_waits_for_those_it_owns_is_shown_waiting() {
    let cluster = Cluster::new("waiting").await;
    let (owner, made) = own(&cluster, "waiting-a", None).await;
    let (owned, _) = own(&cluster, "waiting-b", Some(&made)).await;
    let hold = json!({ "metadata": { "finalizers": ["contract.example/hold"] } });
    cluster.patch(&owned, MERGE, &hold).await;
    let (_, marked) = delete(&cluster, &owner, json!({ "propagationPolicy": "Foreground" })).await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert_eq!(cluster.get(&owner).await.0, 200);
    let marked = |object: &Value| object["metadata"]["deletionTimestamp"].is_string();
    cluster.until(owned.clone(), marked).await;
    assert_eq!(cluster.get(&owner).await.0, 200);
    cluster.patch(&owned, MERGE, &json!({ "metadata": { "finalizers": null } })).await;
    cluster.gone(&owned).await;
    cluster.gone(&owner).await;
}

#[tokio::test]
async fn what_nobody_owns_although_it_says_so_goes() {
    let cluster = Cluster::new("nobodys").await;
    let nobody =
        json!({ "metadata": { "name": "nobodys", "uid": "6e7a6b5c-0000-4000-8000-000000000000" } });
    let (owned, _) = own(&cluster, "nobodys-b", Some(&nobody)).await;
    cluster.gone(&owned).await;
}

#[tokio::test]
async fn endpoints_go_with_their_service_whoever_wrote_them() {
    let cluster = Cluster::new("with-service").await;
    let mut lock = cluster.body("with-service", json!({}));
    lock["metadata"]["annotations"] = json!({
        "initialize": "7", "control-plane.alpha.kubernetes.io/leader": "{}",
    });
    let path = cluster.path("endpoints");
    cluster.post(&path, &lock).await;
    let mut service = cluster.body("with-service", json!({}));
    service["spec"] = json!({ "clusterIP": "None" });
    cluster.post(&cluster.path("services"), &service).await;
    assert_eq!(cluster.get(&format!("{path}/with-service")).await.0, 200);
    cluster.delete(&format!("{}/with-service", cluster.path("services"))).await;
    cluster.gone(&format!("{path}/with-service")).await;
}

#[tokio::test]
async fn orphans_go_when_a_controller_starts_unless_they_are_locks() {
    // A real one would have to start anew.
    let cluster = Cluster::own("orphans", 100).await;
    let path = cluster.path("endpoints");
    cluster.post(&path, &cluster.body("patroni-pg-config", json!({}))).await;
    let mut lock = cluster.body("patroni-pg", json!({}));
    lock["metadata"]["annotations"] = json!({ "control-plane.alpha.kubernetes.io/leader": "{}" });
    cluster.post(&path, &lock).await;
    let api = cluster.api();
    assert_eq!(api.delete_orphan_endpoints("lab").unwrap(), 1);
    assert_eq!(api.get(Kind::Endpoints, "lab", "patroni-pg-config"), None);
    assert!(api.get(Kind::Endpoints, "lab", "patroni-pg").is_some(), "a lock was deleted");
}

#[tokio::test]
async fn a_rehearsal_changes_nothing() {
    let cluster = Cluster::new("rehearsal").await;
    let path = cluster.path("endpoints");
    let one = format!("{path}/rehearsal");
    let dry = |path: &str| format!("{path}?dryRun=All");
    let body = cluster.body("rehearsal", json!({}));
    assert_eq!(cluster.post(&dry(&path), &body).await.0, 201);
    assert_eq!(cluster.get(&one).await.0, 404);
    let (_, made) = cluster.post(&path, &body).await;
    assert_eq!(cluster.post(&dry(&path), &body).await.0, 409);
    let mark = json!({ "metadata": { "annotations": { "a": "1" } } });
    let (code, would) = cluster.patch(&dry(&one), MERGE, &mark).await;
    assert_eq!((code, &would["metadata"]["annotations"]["a"]), (200, &json!("1")));
    assert_eq!(cluster.delete(&dry(&one)).await.0, 200);
    assert_eq!(cluster.get(&one).await, (200, made));
    assert_eq!(cluster.post(&format!("{path}?dryRun=Some"), &body).await.0, 422);
}
