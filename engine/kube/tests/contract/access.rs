//! Who may do what.

use kube_api::Kind;
use kubernetes::Resource;
use serde_json::json;

use crate::cluster::{Cluster, STRATEGIC};

#[tokio::test]
async fn a_token_must_be_known() {
    let mut cluster = Cluster::own("token", 100).await;
    for token in ["nobody's", ""] {
        cluster.token = token.to_owned();
        let (code, status) = cluster.get(&cluster.path("pods")).await;
        assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")));
    }
    let (code, version) = cluster.get("/version").await;
    assert_eq!((code, &version["major"]), (200, &json!("1")));
    assert_eq!(cluster.get("/healthz").await, (200, json!("ok")));
}

#[tokio::test]
async fn an_untrusted_application_may_nothing() {
    let mut cluster = Cluster::own("untrusted", 100).await;
    cluster.token = "untrusted".to_owned();
    let (code, status) = cluster.get("/api/v1/namespaces/lab/pods/x").await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
    assert_eq!(
        status["message"],
        "pods \"x\" is forbidden: User \"system:serviceaccount:lab:pg\" cannot get resource \
         \"pods\" in API group \"\" in the namespace \"lab\""
    );
    let path = cluster.path("endpoints");
    assert_eq!(cluster.post(&path, &cluster.body("e", json!({}))).await.0, 403);
    assert_eq!(cluster.patch(&format!("{path}/e"), STRATEGIC, &json!({})).await.0, 403);
    assert_eq!(cluster.get(&format!("{path}?watch=True")).await.0, 403);
    assert_eq!(cluster.get("/api/v1/nodes").await.0, 403);
    assert_eq!(cluster.get("/apis").await.0, 200);
    let error = cluster.client().get(Resource::Pods, "x").await.unwrap_err();
    assert!(error.is_forbidden());
}

#[tokio::test]
async fn a_trusted_application_may_its_namespace_and_read_nodes() {
    let cluster = Cluster::own("trusted", 100).await;
    let node = json!({
        "metadata": { "name": "host" },
        "status": { "allocatable": { "cpu": "2", "memory": "4Gi" } },
    });
    cluster.api().put(Kind::Node, "", &node).unwrap();
    let client = cluster.client();
    let read = client.get(Resource::Nodes, "host").await.unwrap().unwrap();
    assert_eq!(read["status"]["allocatable"]["cpu"], "2");
    assert_eq!(client.get(Resource::Pods, "none").await.unwrap(), None);
    assert_eq!(cluster.delete("/api/v1/nodes/host").await.0, 403);
    assert_eq!(cluster.get("/api/v1/namespaces/other/pods").await.0, 403);
    assert_eq!(cluster.get("/api/v1/pods").await.0, 403);
    // Patroni asks for this when it may bypass the service.
    assert_eq!(cluster.get("/api/v1/namespaces/default/endpoints/kubernetes").await.0, 403);
}

#[tokio::test]
async fn a_client_of_another_authority_is_not_fooled() {
    let (one, other) = (Cluster::own("one", 10).await, Cluster::own("other", 10).await);
    let config = kubernetes::ClusterConfig {
        host: "127.0.0.1".to_owned(),
        port: one.port(),
        token: "trusted".into(),
        ca_pem: other.ca_pem().to_owned(),
        namespace: "lab".to_owned(),
    };
    let client = kubernetes::Client::new(config).unwrap();
    let error = client.get(Resource::Pods, "x").await.unwrap_err();
    assert!(matches!(error, kubernetes::Error::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kubernetes::ClusterConfig {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        token: "t".into(),
        ca_pem: String::new(),
        namespace: "lab".to_owned(),
    };
    let client = kubernetes::Client::new(config).unwrap();
    let client = client.with_time(std::time::Duration::from_millis(50));
    let error = client.get(Resource::Pods, "x").await.unwrap_err();
    assert!(matches!(error, kubernetes::Error::Timeout { .. }), "{error}");
}
