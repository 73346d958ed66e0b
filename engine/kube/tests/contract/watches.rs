//! Lists and watches without gaps.

use kube_api::{Api, ApiOptions, Kind};
use serde_json::json;

use crate::cluster::{Cluster, STRATEGIC};

#[tokio::test]
async fn a_watch_misses_nothing_since_its_list() {
    let cluster = Cluster::new("gap").await;
    let path = cluster.path("endpoints");
    cluster.post(&path, &cluster.body("gap-a", json!({}))).await;
    let version = cluster.version("endpoints").await;
    cluster.post(&path, &cluster.body("gap-b", json!({}))).await;
    let patch = json!({ "metadata": { "annotations": { "x": "1" } } });
    cluster.patch(&format!("{path}/gap-a"), STRATEGIC, &patch).await;
    let mut watch = cluster.watch("endpoints", "", &version).await;
    watch.expect("ADDED", "gap-b").await;
    watch.expect("MODIFIED", "gap-a").await;
    let (_, before) = cluster.get(&format!("{path}/gap-b")).await;
    cluster.delete(&format!("{path}/gap-b")).await;
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let number = |object: &serde_json::Value| {
        object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert!(number(&deleted["object"]) > number(&before));
}

#[tokio::test]
async fn a_watch_sees_labels_come_and_go() {
    let cluster = Cluster::new("labels").await;
    let path = cluster.path("pods");
    let version = cluster.version("pods").await;
    let mut watch = cluster.watch("pods", "application=patroni", &version).await;
    cluster.post(&path, &cluster.pod("labels-0", json!({}))).await;
    let one = format!("{path}/labels-0");
    let label =
        |value: serde_json::Value| json!({ "metadata": { "labels": { "application": value } } });
    cluster.patch(&one, STRATEGIC, &label(json!("patroni"))).await;
    watch.expect("ADDED", "labels-0").await;
    cluster.patch(&one, STRATEGIC, &json!({ "metadata": { "annotations": { "s": "1" } } })).await;
    watch.expect("MODIFIED", "labels-0").await;
    let (_, last) = cluster.patch(&one, STRATEGIC, &label(json!(null))).await;
    let gone = watch.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    let version = &last["metadata"]["resourceVersion"];
    assert_eq!(&gone["object"]["metadata"]["resourceVersion"], version);
    // Its deletion is no event of this watch.
    cluster.delete(&format!("{one}?gracePeriodSeconds=0")).await;
    cluster.post(&path, &cluster.pod("labels-1", json!({ "application": "patroni" }))).await;
    watch.expect("ADDED", "labels-1").await;
}

#[tokio::test]
async fn a_watch_from_nowhere_begins_with_what_there_is() {
    let cluster = Cluster::new("nowhere").await;
    let path = cluster.path("endpoints");
    cluster.post(&path, &cluster.body("nowhere-a", json!({}))).await;
    let mut watch =
        cluster.watch_path(&format!("{path}?watch=true&labelSelector=contract%3Dnowhere")).await;
    watch.expect("ADDED", "nowhere-a").await;
    cluster.post(&path, &cluster.body("nowhere-b", json!({}))).await;
    watch.expect("ADDED", "nowhere-b").await;
}

#[tokio::test]
async fn a_watch_ends_when_it_was_to_end() {
    let cluster = Cluster::new("end").await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let query = format!("watch=1&timeoutSeconds=1&resourceVersion={version}");
    let query = format!("{query}&labelSelector=contract%3Dend");
    let mut watch = cluster.watch_path(&format!("{path}?{query}")).await;
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_version_out_of_reach_is_gone() {
    // A real one remembers the changes of minutes.
    let cluster = Cluster::own("expired", 3).await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    for name in ["a", "b", "c", "d"] {
        cluster.post(&path, &cluster.body(name, json!({}))).await;
    }
    let mut watch = cluster.watch("endpoints", "", &version).await;
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
    // The list is whole whatever the history is.
    let (_, list) = cluster.get(&path).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_version_of_the_future_is_waited_for() {
    let cluster = Cluster::new("future").await;
    let path = cluster.path("endpoints");
    let selector = "labelSelector=contract%3Dfuture&resourceVersion=999999999";
    let watch = format!("{path}?{selector}&watch=1&timeoutSeconds=2");
    let mut watch = cluster.watch_path(&watch).await;
    cluster.post(&path, &cluster.body("future-a", json!({}))).await;
    assert_eq!(watch.next().await, None);
    let (code, status) = cluster.get(&format!("{path}?{selector}")).await;
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("Timeout: Too large resource version: 999999999")
    );
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn a_streamed_list_has_an_end() {
    let cluster = Cluster::new("streamed").await;
    let path = cluster.path("endpoints");
    cluster.post(&path, &cluster.body("streamed-a", json!({}))).await;
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true";
    let query = format!("{query}&labelSelector=contract%3Dstreamed");
    let (code, status) = cluster.get(&format!("{path}?{query}")).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    let streamed = format!("{path}?{query}&resourceVersionMatch=NotOlderThan");
    let mut watch = cluster.watch_path(&streamed).await;
    watch.expect("ADDED", "streamed-a").await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["kind"]),
        (&json!("BOOKMARK"), &json!("Endpoints"))
    );
    let metadata = &event["object"]["metadata"];
    assert_eq!(metadata["annotations"], json!({ "k8s.io/initial-events-end": "true" }));
    assert!(metadata["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    cluster.post(&path, &cluster.body("streamed-b", json!({}))).await;
    watch.expect("ADDED", "streamed-b").await;
}

#[tokio::test]
async fn a_watch_says_how_far_it_is_where_that_is_wanted() {
    let cluster = Cluster::new("bookmark").await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let query =
        format!("watch=1&allowWatchBookmarks=true&timeoutSeconds=8&resourceVersion={version}");
    let path = format!("{path}?{query}&labelSelector=contract%3Dbookmark");
    let mut watch = cluster.watch_path(&path).await;
    let mut first = watch.next().await;
    // A real server says it two seconds before the end, and says nothing when it is late.
    for _ in 0..3 {
        if first.is_none() {
            watch = cluster.watch_path(&path).await;
            first = watch.next().await;
        }
    }
    let event = first.unwrap();
    assert_eq!(event["type"], "BOOKMARK", "{event}");
    assert_eq!(event["object"]["metadata"]["annotations"], json!(null));
    while let Some(event) = watch.next().await {
        assert_eq!(event["type"], "BOOKMARK", "{event}");
    }
}

#[tokio::test]
async fn a_cut_watch_hurts_nobody() {
    let cluster = Cluster::new("cut").await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let mut kept = cluster.watch("endpoints", "", &version).await;
    for _ in 0..5 {
        cluster.watch("endpoints", "", &version).await.cut();
    }
    cluster.post(&path, &cluster.body("cut-a", json!({}))).await;
    kept.expect("ADDED", "cut-a").await;
    let mut late = cluster.watch("endpoints", "", &version).await;
    late.expect("ADDED", "cut-a").await;
}

#[tokio::test]
async fn many_watchers_see_the_same_in_the_same_order() {
    let cluster = Cluster::new("many").await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let mut watches = Vec::new();
    for _ in 0..100 {
        watches.push(cluster.watch("endpoints", "", &version).await);
    }
    let names = ["many-a", "many-b", "many-c", "many-d", "many-e"];
    for name in names {
        cluster.post(&path, &cluster.body(name, json!({}))).await;
    }
    for watch in &mut watches {
        for name in names {
            watch.expect("ADDED", name).await;
        }
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_read_delays_nobody() {
    // A real one may cut a watch whose buffer is full.
    let cluster = Cluster::own("slow", 5000).await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let mut slow = cluster.watch("endpoints", "", &version).await;
    cluster.post(&path, &cluster.body("slow", json!({}))).await;
    // More than the buffers of a connection hold.
    for round in 0..1000 {
        let patch = json!({ "metadata": { "annotations": {
            "round": round.to_string(), "padding": "x".repeat(10_000),
        }}});
        cluster.api().patch(Kind::Endpoints, "lab", "slow", &patch).unwrap();
    }
    let mut quick = cluster.watch("endpoints", "", &version).await;
    quick.expect("ADDED", "slow").await;
    slow.expect("ADDED", "slow").await;
    for round in 0..1000 {
        let event = slow.next().await.unwrap();
        assert_eq!(event["object"]["metadata"]["annotations"]["round"], round.to_string());
    }
}

#[tokio::test]
async fn a_restored_store_sends_old_watchers_back_to_a_list() {
    let options = || ApiOptions::new(([10, 0, 0, 1].into(), 10), 3);
    let api = Api::new(options());
    let spec = json!({ "selector": { "a": "b" }, "ports": [{ "port": 1 }] });
    let service = json!({ "metadata": { "name": "s" }, "spec": spec });
    api.apply(Kind::Service, "lab", "m", &service).unwrap();
    let before = *api.subscribe().borrow();
    let restored = Api::restore(options(), api.snapshot().unwrap()).unwrap();
    let none = kube_api::Selector::default();
    assert_eq!(restored.list(Kind::Service, "lab", &none), api.list(Kind::Service, "lab", &none));
    assert!(*restored.subscribe().borrow() > before);
    // The address stays taken, and the applied fields stay known.
    let other = json!({ "metadata": { "name": "t" }, "spec": { "ports": [{ "port": 1 }] } });
    let other = restored.apply(Kind::Service, "lab", "m", &other).unwrap();
    assert_eq!(other["spec"]["clusterIP"], "10.0.0.2");
    let bare = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 1 }] } });
    let bare = restored.apply(Kind::Service, "lab", "m", &bare).unwrap();
    assert_eq!(bare["spec"]["selector"], json!(null));
    assert!(Api::restore(options(), json!({ "objects": 7 })).is_err());
}
