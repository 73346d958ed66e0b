//! Creating, reading, replacing and deleting objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube_api::{Keeper, Kind, Selector};
use kubernetes_client::{Resource, label_selector};
use serde_json::{Value, json};

use crate::cluster::{Cluster, MERGE};

#[tokio::test]
async fn an_object_without_type_is_stored_with_it() {
    let cluster = Cluster::new("create").await;
    let path = cluster.path("endpoints");
    let (code, created) = cluster.post(&path, &cluster.body("lock", json!({}))).await;
    assert_eq!(code, 201);
    assert_eq!((&created["kind"], &created["apiVersion"]), (&json!("Endpoints"), &json!("v1")));
    let metadata = &created["metadata"];
    assert_eq!(metadata["namespace"], cluster.namespace.as_str());
    assert!(metadata["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(metadata["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    let (code, read) = cluster.get(&format!("{path}/lock")).await;
    assert_eq!((code, read), (200, created));
}

#[tokio::test]
async fn what_is_missing_or_there_is_said_in_a_status() {
    let cluster = Cluster::new("status").await;
    let path = cluster.path("endpoints");
    let (code, status) = cluster.get(&format!("{path}/no-such")).await;
    assert_eq!((code, &status["reason"]), (404, &json!("NotFound")));
    assert_eq!(status["message"], "endpoints \"no-such\" not found");
    assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(404)));

    let body = cluster.body("twice", json!({}));
    cluster.post(&path, &body).await;
    let (code, status) = cluster.post(&path, &body).await;
    assert_eq!((code, &status["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(status["message"], "endpoints \"twice\" already exists");

    let (code, status) = cluster.get("/api/v1/namespaces/lab/no-such-kind").await;
    assert!([403, 404].contains(&code), "{status}");
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let cluster = Cluster::new("bad").await;
    let path = cluster.path("endpoints");
    for body in ["", "{", "[]", "{}", "7"] {
        let (code, status) = cluster.send("POST", &path, "", Some(body.to_owned())).await;
        assert!([400, 422].contains(&code), "{body} {status}");
    }
    let mut number = cluster.body("number", json!({}));
    number["metadata"]["annotations"] = json!({ "ttl": 30 });
    assert_eq!(cluster.post(&path, &number).await.0, 400);
    let upper = cluster.body("Upper", json!({}));
    assert_eq!(cluster.post(&path, &upper).await.0, 422);
    let label = cluster.body("label", json!({ "a": "not a label" }));
    assert_eq!(cluster.post(&path, &label).await.0, 422);
    let mut elsewhere = cluster.body("elsewhere", json!({}));
    elsewhere["metadata"]["namespace"] = json!("another");
    assert_eq!(cluster.post(&path, &elsewhere).await.0, 400);
}

#[tokio::test]
async fn lists_select_by_labels() {
    let cluster = Cluster::new("select").await;
    let path = cluster.path("endpoints");
    for (name, role) in [("a", "primary"), ("b", "replica"), ("c", "replica")] {
        cluster
            .post(&path, &cluster.body(&format!("select-{name}"), json!({ "role": role })))
            .await;
    }
    let client = cluster.client();
    for (selector, expected) in [
        (label_selector(&[("contract", "select"), ("role", "replica")]), "select-b select-c"),
        ("contract=select,role!=replica".to_owned(), "select-a"),
        ("contract=select,role in (primary,standby)".to_owned(), "select-a"),
        ("contract=select,!role".to_owned(), ""),
    ] {
        let items = client.list(Resource::Endpoints, &selector).await.unwrap();
        let names: Vec<_> =
            items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{selector}");
    }
}

#[tokio::test]
async fn lists_select_by_fields() {
    let cluster = Cluster::new("by-field").await;
    let path = cluster.path("pods");
    for name in ["by-field-a", "by-field-b"] {
        cluster.post(&path, &cluster.pod(name, json!({}))).await;
    }
    let listed = async |selector: &str| {
        let ours = "labelSelector=contract%3Dby-field&fieldSelector=";
        let (code, list) = cluster.get(&format!("{path}?{ours}{selector}")).await;
        (code, list["items"].as_array().map(Vec::len))
    };
    assert_eq!(listed("metadata.name%3Dby-field-a").await, (200, Some(1)));
    assert_eq!(listed("metadata.name!%3Dby-field-a").await, (200, Some(1)));
    assert_eq!(listed("status.phase%3DPending,spec.nodeName%3D").await, (200, Some(2)));
    assert_eq!(listed("spec.hostname%3Da").await.0, 400);
    // The list says what its items are.
    let (_, list) = cluster.get(&format!("{path}?labelSelector=contract%3Dby-field")).await;
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("PodList"), &Value::Null));
}

#[tokio::test]
async fn what_is_not_there_is_made_by_replacing_where_kubernetes_does() {
    let cluster = Cluster::new("made").await;
    let path = cluster.path("endpoints");
    let mut body = cluster.body("made", json!({}));
    // What says nothing is an empty text.
    body["metadata"]["annotations"] = json!({ "a": null });
    let (code, made) =
        cluster.send("PUT", &format!("{path}/made"), "", Some(body.to_string())).await;
    assert_eq!((code, &made["metadata"]["annotations"]), (201, &json!({ "a": "" })), "{made}");
    let pod = cluster.pod("made", json!({}));
    let path = format!("{}/made", cluster.path("pods"));
    assert_eq!(cluster.send("PUT", &path, "", Some(pod.to_string())).await.0, 404);
}

#[tokio::test]
async fn a_replacement_must_know_the_version() {
    let cluster = Cluster::new("replace").await;
    let path = cluster.path("endpoints");
    let (_, first) = cluster.post(&path, &cluster.body("replaced", json!({}))).await;
    let path = format!("{path}/replaced");
    let mut second = first.clone();
    second["metadata"]["annotations"] = json!({ "a": "1" });
    let (code, stored) = cluster.send("PUT", &path, "", Some(second.to_string())).await;
    assert_eq!((code, &stored["metadata"]["annotations"]["a"]), (200, &json!("1")));
    assert_eq!(stored["metadata"]["uid"], first["metadata"]["uid"]);
    let (code, status) = cluster.send("PUT", &path, "", Some(second.to_string())).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
}

#[tokio::test]
async fn deletion_is_final_and_names_its_condition() {
    let cluster = Cluster::new("delete").await;
    let path = cluster.path("endpoints");
    let (_, object) = cluster.post(&path, &cluster.body("gone", json!({}))).await;
    let one = format!("{path}/gone");
    let stale = json!({ "preconditions": { "uid": "another" } });
    let (code, _) = cluster.send("DELETE", &one, "application/json", Some(stale.to_string())).await;
    assert_eq!(code, 409);
    assert_eq!(cluster.delete(&one).await.0, 200);
    assert_eq!(cluster.get(&one).await.0, 404);
    assert_eq!(cluster.delete(&one).await.0, 404);
    cluster.client().delete(Resource::Endpoints, "gone").await.unwrap();
    let (_, again) = cluster.post(&path, &cluster.body("gone", json!({}))).await;
    assert_ne!(again["metadata"]["uid"], object["metadata"]["uid"]);
}

#[tokio::test]
async fn a_collection_is_deleted_by_labels() {
    let cluster = Cluster::new("collection").await;
    let path = cluster.path("endpoints");
    for (name, scope) in [("x", "old"), ("y", "old"), ("z", "new")] {
        let body = cluster.body(&format!("collection-{name}"), json!({ "scope": scope }));
        cluster.post(&path, &body).await;
    }
    let selected = format!("{path}?labelSelector=contract%3Dcollection%2Cscope%3Dold");
    assert_eq!(cluster.delete(&selected).await.0, 200);
    let (_, left) = cluster.get(&format!("{path}?labelSelector=contract%3Dcollection")).await;
    let left = left["items"].as_array().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["metadata"]["name"], "collection-z");
}

#[tokio::test]
async fn what_an_owner_alone_owned_goes_with_it() {
    let cluster = Cluster::new("owner").await;
    let mut set = cluster.body("owner", json!({}));
    let container = json!({ "name": "c", "image": "none.invalid/none" });
    set["spec"] = json!({
        "serviceName": "owner", "replicas": 0, "selector": { "matchLabels": { "app": "owner" } },
        "template": {
            "metadata": { "labels": { "app": "owner" } }, "spec": { "containers": [container] },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", cluster.namespace());
    let (code, set) = cluster.post(&path, &set).await;
    assert_eq!(code, 201, "{set}");
    let mut body = cluster.body("owner-primary", json!({}));
    body["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "owner",
        "uid": set["metadata"]["uid"],
    }]);
    body["spec"] = json!({ "selector": { "app": "owner" }, "ports": [{ "port": 5432 }] });
    cluster.post(&cluster.path("services"), &body).await;
    cluster.post(&cluster.path("endpoints"), &cluster.body("owner-lock", json!({}))).await;
    let ends = format!("{}/owner-primary", cluster.path("endpoints"));
    cluster.until(ends.clone(), |ends| ends["kind"] == "Endpoints").await;
    assert_eq!(cluster.delete(&format!("{path}/owner")).await.0, 200);
    cluster.gone(&format!("{}/owner-primary", cluster.path("services"))).await;
    cluster.gone(&ends).await;
    assert_eq!(cluster.get(&format!("{}/owner-lock", cluster.path("endpoints"))).await.0, 200);
}

/// A disk that is full while the flag is set.
fn disk(full: &Arc<AtomicBool>) -> Keeper {
    let full = full.clone();
    Arc::new(move |_: &kube_api::Store| match full.load(Ordering::Relaxed) {
        true => Err("no space left on device".into()),
        false => Ok(()),
    })
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_has_not_happened() {
    let full = Arc::new(AtomicBool::new(false));
    // A real one's disk cannot be filled without filling this machine's.
    let cluster = Cluster::kept("kept", 2, Some(disk(&full))).await;
    let path = cluster.path("endpoints");
    let (code, lock) = cluster.post(&path, &cluster.body("lock", json!({}))).await;
    assert_eq!(code, 201);
    let version = cluster.version("endpoints").await;
    let mut watch = cluster.watch("endpoints", "", &version).await;

    full.store(true, Ordering::Relaxed);
    let one = format!("{path}/lock");
    let mark = json!({ "metadata": { "annotations": { "leader": "b" } } });
    for (code, status) in [
        cluster.post(&path, &cluster.body("other", json!({}))).await,
        cluster.patch(&one, MERGE, &mark).await,
        cluster.delete(&one).await,
        cluster.delete(&path).await,
    ] {
        assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
        assert_eq!(status["message"], "Internal error occurred: no space left on device");
    }
    assert_eq!(cluster.get(&one).await, (200, lock));
    assert_eq!(cluster.version("endpoints").await, version);
    // What changes nothing needs no disk.
    assert_eq!(cluster.patch(&one, MERGE, &json!({})).await.0, 200);

    full.store(false, Ordering::Relaxed);
    assert_eq!(cluster.patch(&one, MERGE, &mark).await.0, 200);
    watch.expect("MODIFIED", "lock").await;
}

#[tokio::test]
async fn a_chain_of_owners_goes_however_long_it_is() {
    // A real collector takes minutes for so many.
    let cluster = Cluster::own("chain", 100).await;
    let api = cluster.api();
    let mut owner: Option<Value> = None;
    for link in 0..10_000 {
        let mut body = cluster.body(&format!("link-{link}"), json!({}));
        if let Some(owner) = owner {
            body["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "Endpoints",
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            }]);
        }
        owner = Some(api.put(Kind::Endpoints, "lab", &body).unwrap());
    }
    assert!(api.delete(Kind::Endpoints, "lab", "link-0").unwrap());
    assert_eq!(api.list(Kind::Endpoints, "lab", &Selector::default()), [] as [Value; 0]);
}

#[tokio::test]
async fn whoever_has_an_owner_left_stays() {
    let cluster = Cluster::new("two-owners").await;
    let path = cluster.path("endpoints");
    let put = async |name: &str, owners: &[&Value]| {
        let mut body = cluster.body(name, json!({}));
        let owner = |owner: &&Value| {
            json!({
                "apiVersion": "v1", "kind": "Endpoints",
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            })
        };
        body["metadata"]["ownerReferences"] = owners.iter().map(owner).collect();
        let (code, made) = cluster.post(&path, &body).await;
        assert_eq!(code, 201, "{made}");
        made
    };
    let at = |name: &str| format!("{path}/{name}");
    let (one, two) = (put("owners-one", &[]).await, put("owners-two", &[]).await);
    put("owners-shared", &[&one, &two]).await;
    put("owners-own", &[&one]).await;
    assert_eq!(cluster.delete(&at("owners-one")).await.0, 200);
    cluster.gone(&at("owners-own")).await;
    assert_eq!(cluster.get(&at("owners-shared")).await.0, 200);
    // The last owners together, in one request.
    put("owners-third", &[&two]).await;
    let all = format!("{path}?labelSelector=contract%3Dtwo-owners");
    assert_eq!(cluster.delete(&all).await.0, 200);
    for name in ["owners-two", "owners-shared", "owners-third"] {
        cluster.gone(&at(name)).await;
    }
}
