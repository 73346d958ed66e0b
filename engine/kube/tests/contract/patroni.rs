//! The requests of Patroni 4.1 from its start to its stop, in their order.

use serde_json::{Value, json};

use crate::cluster::{Cluster, STRATEGIC, Watch};

const LABELS: &str = "labelSelector=application%3Dpatroni%2Ccluster-name%3Dlab";

fn labels() -> Value {
    json!({ "application": "patroni", "cluster-name": "lab" })
}

/// Metadata as Patroni sends it, nulls included, and the label by which the next run finds it.
fn metadata(cluster: &Cluster, name: &str, annotations: Value) -> Value {
    let mut labels = labels();
    labels["contract"] = json!(cluster.rule);
    json!({
        "namespace": cluster.namespace, "name": name, "labels": labels,
        "annotations": annotations,
    })
}

struct Member<'a> {
    cluster: &'a Cluster,
}

impl Member<'_> {
    async fn list(&self, plural: &str) -> (usize, String) {
        let (code, list) =
            self.cluster.get(&format!("{}?{LABELS}", self.cluster.path(plural))).await;
        assert_eq!(code, 200);
        let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        (list["items"].as_array().unwrap().len(), version)
    }

    /// Patches endpoints, at the version that was seen last if there is one.
    async fn patch(&self, name: &str, annotations: Value, seen: Option<&Value>) -> (u16, Value) {
        let mut body = json!({ "metadata": metadata(self.cluster, name, annotations) });
        if let Some(seen) = seen {
            body["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"].clone();
        }
        let path = format!("{}/{name}", self.cluster.path("endpoints"));
        self.cluster.patch(&path, STRATEGIC, &body).await
    }

    async fn touch(&self, role: Value, status: &str) -> Value {
        let body = json!({ "metadata": {
            "namespace": self.cluster.namespace, "name": "lab-0",
            "labels": { "application": "patroni", "cluster-name": "lab", "role": role },
            "annotations": { "status": status },
        }});
        let path = format!("{}/lab-0", self.cluster.path("pods"));
        let (code, pod) = self.cluster.patch(&path, STRATEGIC, &body).await;
        assert_eq!(code, 200, "{pod}");
        pod
    }
}

fn leader(renewed: &str) -> Value {
    json!({
        "leader": "lab-0", "ttl": "30", "renewTime": renewed, "acquireTime": "t0",
        "transitions": "0",
    })
}

#[tokio::test]
async fn patroni_bootstraps_holds_the_lock_and_lets_go() {
    let cluster = Cluster::new("patroni").await;
    cluster.post(&cluster.path("pods"), &cluster.pod("lab-0", labels())).await;
    let member = Member { cluster: &cluster };

    // Requests 1 to 4: two lists, two watches.
    let (pods, pods_version) = member.list("pods").await;
    let (endpoints, endpoints_version) = member.list("endpoints").await;
    assert_eq!((pods, endpoints), (1, 0));
    let watch = |plural: &str, version: &str| {
        format!("{}?{LABELS}&watch=True&resourceVersion={version}", cluster.path(plural))
    };
    let mut pods = cluster.watch_path(&watch("pods", &pods_version)).await;
    let mut endpoints = cluster.watch_path(&watch("endpoints", &endpoints_version)).await;

    bootstrap(&member, &mut pods, &mut endpoints).await;
    let held = take_the_lock(&member, &mut pods, &mut endpoints).await;
    let renewed = renew(&member, &held, &mut endpoints).await;
    let_go(&member, &renewed, &mut endpoints).await;
}

/// Requests 5 to 10: the race that only one wins, the identifier, the configuration.
async fn bootstrap(member: &Member<'_>, pods: &mut Watch, endpoints: &mut Watch) {
    let cluster = member.cluster;
    let mut service = json!({ "metadata": metadata(cluster, "lab-config", Value::Null) });
    service["spec"] = json!({ "clusterIP": "None" });
    assert_eq!(cluster.post(&cluster.path("services"), &service).await.0, 201);
    assert_eq!(cluster.post(&cluster.path("services"), &service).await.0, 409);
    let race = json!({ "metadata": metadata(cluster, "lab-config", json!({ "initialize": "" })) });
    let (code, config) = cluster.post(&cluster.path("endpoints"), &race).await;
    assert_eq!(code, 201);
    assert_eq!(cluster.post(&cluster.path("endpoints"), &race).await.0, 409);
    endpoints.expect("ADDED", "lab-config").await;

    let pod = member.touch(Value::Null, "{\"state\":\"starting\"}").await;
    assert!(pod["metadata"]["labels"]["role"].is_null());
    pods.expect("MODIFIED", "lab-0").await;
    let identifier = json!({ "initialize": "7512" });
    let (code, initialized) = member.patch("lab-config", identifier.clone(), Some(&config)).await;
    assert_eq!(code, 200);
    assert_eq!(member.patch("lab-config", identifier, Some(&config)).await.0, 409);
    let (_, configured) = member.patch("lab-config", json!({ "config": "{}" }), None).await;
    assert_eq!(configured["metadata"]["annotations"]["initialize"], "7512");
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    assert_ne!(version(&initialized), version(&configured));
    endpoints.expect("MODIFIED", "lab-config").await;
    endpoints.expect("MODIFIED", "lab-config").await;
}

/// Requests 11 and 12: the lock and the role.
async fn take_the_lock(member: &Member<'_>, pods: &mut Watch, endpoints: &mut Watch) -> Value {
    let cluster = member.cluster;
    let (_, pod) = cluster.get(&format!("{}/lab-0", cluster.path("pods"))).await;
    let mut lock = json!({ "metadata": metadata(cluster, "lab", leader("t1")) });
    lock["subsets"] = json!([{
        "addresses": [{ "ip": "10.1.0.9", "hostname": null, "nodeName": null, "targetRef": {
            "kind": "Pod", "name": "lab-0", "namespace": cluster.namespace,
            "uid": pod["metadata"]["uid"],
            "resourceVersion": pod["metadata"]["resourceVersion"],
        }}],
        "ports": [{ "name": "postgresql", "port": 5432, "protocol": "TCP" }],
    }]);
    let (code, held) = cluster.post(&cluster.path("endpoints"), &lock).await;
    assert_eq!(code, 201, "{held}");
    endpoints.expect("ADDED", "lab").await;
    let pod = member.touch(json!("primary"), "{\"state\":\"running\"}").await;
    assert_eq!(pod["metadata"]["labels"]["role"], "primary");
    pods.expect("MODIFIED", "lab-0").await;
    held
}

/// Request 13, every loop: renewal at the version seen; another member's attempt loses.
async fn renew(member: &Member<'_>, held: &Value, endpoints: &mut Watch) -> Value {
    let cluster = member.cluster;
    let (code, renewed) = member.patch("lab", leader("t2"), Some(held)).await;
    assert_eq!(code, 200);
    assert_eq!(member.patch("lab", json!({ "leader": "lab-1" }), Some(held)).await.0, 409);
    let (_, read) = cluster.get(&format!("{}/lab", cluster.path("endpoints"))).await;
    assert_eq!(read, renewed);
    let event = endpoints.next().await.unwrap();
    assert_eq!(event["object"], renewed);
    renewed
}

/// The stop: the lock is let go, the object stays.
async fn let_go(member: &Member<'_>, renewed: &Value, endpoints: &mut Watch) {
    let cluster = member.cluster;
    let mut release = json!({ "metadata": metadata(cluster, "lab", json!({ "leader": null })) });
    release["metadata"]["resourceVersion"] = renewed["metadata"]["resourceVersion"].clone();
    release["subsets"] = json!([]);
    let path = format!("{}/lab", cluster.path("endpoints"));
    let (code, released) = cluster.patch(&path, STRATEGIC, &release).await;
    assert_eq!(code, 200);
    assert!(released["metadata"]["annotations"]["leader"].is_null());
    assert_eq!(released["metadata"]["annotations"]["ttl"], "30");
    endpoints.expect("MODIFIED", "lab").await;
    let pod = member.touch(Value::Null, "{\"state\":\"stopped\"}").await;
    assert!(pod["metadata"]["labels"]["role"].is_null());
}
