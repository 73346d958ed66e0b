//! Who may do what.

use kubernetes_client::Resource;
use serde_json::json;

use crate::cluster::{APPLY, Cluster, STRATEGIC};

#[tokio::test]
async fn a_token_must_be_known() {
    let mut cluster = Cluster::new("token").await;
    cluster.token = "nobody's".to_owned();
    for path in [cluster.path("pods"), "/version".to_owned(), "/healthz".to_owned()] {
        let (code, status) = cluster.get(&path).await;
        assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")), "{path}");
    }
    // Those two need none.
    cluster.token.clear();
    let (code, version) = cluster.get("/version").await;
    assert_eq!((code, &version["major"]), (200, &json!("1")));
    // Python's client wants every one of them.
    for field in ["buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"] {
        assert!(version[field].is_string(), "{field}: {version}");
    }
    assert_eq!(cluster.get("/healthz").await, (200, json!("ok")));
}

#[tokio::test]
async fn whoever_has_no_token_is_somebody_without_rights() {
    let mut cluster = Cluster::new("anonymous").await;
    cluster.token.clear();
    let (code, status) = cluster.get(&cluster.path("pods")).await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")), "{status}");
    let words = format!(
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \
         \"\" in the namespace \"{}\"",
        cluster.namespace()
    );
    assert_eq!(status["message"], words);
    assert_eq!(status["details"], json!({ "kind": "pods" }));
    let (code, status) = cluster.get("/apis").await;
    let words = "forbidden: User \"system:anonymous\" cannot get path \"/apis\"";
    assert_eq!((code, &status["message"]), (403, &json!(words)));
}

#[tokio::test]
async fn an_untrusted_application_sees_and_patches_its_pods_and_services() {
    let mut cluster = Cluster::new("untrusted").await;
    let mut service = cluster.body("untrusted-s", json!({}));
    service["spec"] = json!({ "ports": [{ "port": 1 }] });
    cluster.post(&cluster.path("services"), &service).await;
    cluster.distrust();
    let one = format!("{}/untrusted-s", cluster.path("services"));
    assert_eq!(cluster.get(&one).await.0, 200);
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    assert_eq!(cluster.patch(&one, STRATEGIC, &label).await.0, 200);
    assert_eq!(cluster.get(&cluster.path("pods")).await.0, 200);
    assert_eq!(cluster.get("/api/v1/namespaces/lab").await.0, 200);
    let (code, status) = cluster.delete(&one).await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
    assert_eq!(
        status["message"],
        "services \"untrusted-s\" is forbidden: User \"system:serviceaccount:lab:untrusted\" \
         cannot delete resource \"services\" in API group \"\" in the namespace \"lab\""
    );
    assert_eq!(status["details"], json!({ "name": "untrusted-s", "kind": "services" }));
    assert_eq!(cluster.post(&cluster.path("services"), &service).await.0, 403);
    // What is not there has to be made, by whichever verb.
    let mut apply = cluster.body("untrusted-t", json!({}));
    apply["apiVersion"] = json!("v1");
    apply["kind"] = json!("Service");
    apply["spec"] = json!({ "ports": [{ "port": 1 }] });
    let path = format!("{}/untrusted-t?fieldManager=m&force=true", cluster.path("services"));
    let (code, status) = cluster.patch(&path, APPLY, &apply).await;
    assert_eq!(code, 403, "{status}");
    assert_eq!(
        status["message"],
        "services \"untrusted-t\" is forbidden: User \"system:serviceaccount:lab:untrusted\" \
         cannot create resource \"services\" in API group \"\" in the namespace \"lab\""
    );
    assert_eq!(cluster.get(&format!("{}?watch=1", cluster.path("pods"))).await.0, 403);
    let path = cluster.path("endpoints");
    assert_eq!(cluster.get(&path).await.0, 403);
    assert_eq!(cluster.patch(&format!("{path}/e"), STRATEGIC, &json!({})).await.0, 403);
    assert_eq!(cluster.get("/api/v1/nodes").await.0, 403);
    assert_eq!(cluster.get("/api/v1/pods").await.0, 403);
    assert_eq!(cluster.get("/apis").await.0, 200);
    let error = cluster.client().get(Resource::Endpoints, "x").await.unwrap_err();
    assert!(error.is_forbidden());
}

#[tokio::test]
async fn a_trusted_application_may_everything() {
    let cluster = Cluster::new("trusted").await;
    let node = json!({
        "metadata": { "name": "trusted" },
        "status": { "allocatable": { "cpu": "2", "memory": "4Gi" } },
    });
    let (code, made) = cluster.post("/api/v1/nodes", &node).await;
    assert_eq!(code, 201, "{made}");
    let client = cluster.client();
    let read = client.get(Resource::Nodes, "trusted").await.unwrap().unwrap();
    assert_eq!(read["status"]["allocatable"]["cpu"], "2");
    assert_eq!(cluster.delete("/api/v1/nodes/trusted").await.0, 200);
    assert_eq!(client.get(Resource::Pods, "none").await.unwrap(), None);
    assert_eq!(cluster.get("/api/v1/namespaces/other/pods").await.0, 200);
    assert_eq!(cluster.get("/api/v1/pods").await.0, 200);
    // A place must be there before something is put into it.
    let fresh = json!({ "metadata": { "name": "fresh" } });
    let other = "/api/v1/namespaces/fresh";
    let values = json!({ "metadata": { "name": "v" }, "data": { "a": "b" } });
    let (code, status) = cluster.post(&format!("{other}/configmaps"), &values).await;
    assert_eq!((code, &status["message"]), (404, &json!("namespaces \"fresh\" not found")));
    let (code, made) = cluster.post("/api/v1/namespaces", &fresh).await;
    assert_eq!((code, &made["status"]["phase"]), (201, &json!("Active")));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "fresh");
    assert_eq!(cluster.post(&format!("{other}/configmaps"), &values).await.0, 201);
    assert_eq!(cluster.delete(other).await.0, 200);
    cluster.gone(&format!("{other}/configmaps/v")).await;
    cluster.gone(other).await;
}

#[tokio::test]
async fn a_namespace_in_which_something_runs_stays() {
    // A real one goes, with what is in it.
    let cluster = Cluster::own("runs", 100).await;
    // Patroni asks for this when it may bypass the service; a real API has itself there.
    assert_eq!(cluster.get("/api/v1/namespaces/default/endpoints/kubernetes").await.0, 404);
    let other = "/api/v1/namespaces/runs";
    let space = json!({ "metadata": { "name": "runs" } });
    assert_eq!(cluster.post("/api/v1/namespaces", &space).await.0, 201);
    let pod = cluster.pod("p", json!({}));
    assert_eq!(cluster.post(&format!("{other}/pods"), &pod).await.0, 201);
    assert_eq!(cluster.delete(other).await.0, 403);
    assert_eq!(cluster.delete(&format!("{other}/pods/p")).await.0, 200);
    assert_eq!(cluster.delete(other).await.0, 200);
}

#[tokio::test]
async fn a_client_of_another_authority_is_not_fooled() {
    let (one, other) = (Cluster::new("one").await, Cluster::own("other", 10).await);
    let client = one.client_with(other.ca_pem());
    let error = client.get(Resource::Pods, "x").await.unwrap_err();
    assert!(matches!(error, kubernetes_client::Error::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kubernetes_client::ClusterConfig {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        token: "t".into(),
        ca_pem: String::new(),
        namespace: "lab".to_owned(),
    };
    let client = kubernetes_client::Client::new(config).unwrap();
    let client = client.with_time(std::time::Duration::from_millis(50));
    let error = client.get(Resource::Pods, "x").await.unwrap_err();
    assert!(matches!(error, kubernetes_client::Error::Timeout { .. }), "{error}");
}
