//! The API under test and a bare HTTP client for it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http1_client::{Body, Method, Request};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube_api::{
    Api, ApiOptions, Authority, Authorize, Identity, Keeper, Limits, ServerTls, StoreOptions, serve,
};
use kubernetes_client::{Client, ClusterConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON: &str = "application/json-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Nothing in these tests takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two tokens, of an application that is trusted and of one that is not.
pub(crate) struct Tokens;

impl Authorize for Tokens {
    fn identify(&self, token: &str) -> Option<Identity> {
        let trusted = match token {
            "trusted" => true,
            "untrusted" => false,
            _ => return None,
        };
        let (namespace, app) = ("lab".to_owned(), token.to_owned());
        Some(Identity { namespace, app, trusted, labels: Default::default() })
    }
}

/// A cluster and one token for it.
pub(crate) struct Cluster {
    host: String,
    port: u16,
    pub(crate) token: String,
    ca_pem: String,
    pub(crate) namespace: String,
    /// The label of everything that this test makes.
    pub(crate) rule: &'static str,
    server: Option<(Api, tokio::task::JoinHandle<()>)>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((_, server)) = &self.server {
            server.abort();
        }
    }
}

impl Cluster {
    /// The real cluster of the environment, else one of our own; without objects of `rule`.
    pub(crate) async fn new(rule: &'static str) -> Cluster {
        let env = |name: &str| std::env::var(format!("KUBE_CONTRACT_{name}")).ok();
        let Some(host) = env("HOST") else { return Cluster::own(rule, 2000).await };
        let cluster = Cluster {
            host,
            port: env("PORT").unwrap().parse().unwrap(),
            token: env("TOKEN").unwrap(),
            ca_pem: env("CA").unwrap(),
            namespace: env("NAMESPACE").unwrap(),
            rule,
            server: None,
        };
        for plural in ["services", "pods", "endpoints"] {
            let path = cluster.path(plural);
            let list = cluster.get(&format!("{path}?labelSelector=contract={rule}")).await.1;
            for item in list["items"].as_array().unwrap() {
                let name = item["metadata"]["name"].as_str().unwrap();
                cluster.send("DELETE", &format!("{path}/{name}"), "", None).await;
            }
        }
        cluster
    }

    /// A cluster of our own that remembers `history_max` changes, for what no real one shows: each
    /// test says why.
    pub(crate) async fn own(rule: &'static str, history_max: usize) -> Cluster {
        Cluster::kept(rule, history_max, None).await
    }

    /// A cluster of our own whose changes are persisted.
    pub(crate) async fn kept(
        rule: &'static str,
        history_max: usize,
        keeper: Option<Keeper>,
    ) -> Cluster {
        Cluster::serving(rule, history_max, keeper, Limits::default()).await
    }

    /// A cluster of our own with other bounds.
    pub(crate) async fn bounded(rule: &'static str, limits: Limits) -> Cluster {
        Cluster::serving(rule, 2000, None, limits).await
    }

    async fn serving(
        rule: &'static str,
        history_max: usize,
        keeper: Option<Keeper>,
        limits: Limits,
    ) -> Cluster {
        let mut options = ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 200), 7);
        options.keeper = keeper;
        options.store = StoreOptions { history_max, ..options.store };
        let api = Api::new(options);
        // Only the test of full disks depends on what is persisted before it begins.
        let lab = json!({ "metadata": { "name": "lab" } });
        api.put(kube_api::Kind::Namespace, "", &lab).unwrap();
        let authority = Authority::generate().unwrap();
        let certificate = authority.issue(&[IpAddr::from([127, 0, 0, 1])]).unwrap();
        let tls = ServerTls::new(&certificate).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(api.clone(), listener, tls, Arc::new(Tokens), limits));
        Cluster {
            host: "127.0.0.1".to_owned(),
            port,
            token: "trusted".to_owned(),
            ca_pem: authority.cert_pem().to_owned(),
            namespace: "lab".to_owned(),
            rule,
            server: Some((api, server)),
        }
    }

    /// The engine's handle; only on a cluster of our own.
    pub(crate) fn api(&self) -> &Api {
        &self.server.as_ref().unwrap().0
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The client that charms use.
    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.ca_pem)
    }

    /// The same with the certificate of an authority, be it this cluster's or not.
    pub(crate) fn client_with(&self, ca_pem: &str) -> Client {
        let config = ClusterConfig {
            host: self.host.clone(),
            port: self.port,
            token: SecretString::from(self.token.as_str()),
            ca_pem: ca_pem.to_owned(),
            namespace: self.namespace.clone(),
        };
        Client::new(config).unwrap()
    }

    /// The path of all objects of a kind.
    pub(crate) fn path(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// A body with the name, the label of this test and more labels.
    pub(crate) fn body(&self, name: &str, labels: Value) -> Value {
        let mut body = json!({ "metadata": { "name": name, "labels": labels } });
        body["metadata"]["labels"]["contract"] = json!(self.rule);
        body
    }

    /// A pod that no scheduler takes.
    pub(crate) fn pod(&self, name: &str, labels: Value) -> Value {
        let mut pod = self.body(name, labels);
        let container = json!({ "name": "c", "image": "none.invalid/none" });
        pod["spec"] = json!({ "schedulerName": "none", "containers": [container] });
        pod
    }

    /// A service with this specification.
    pub(crate) async fn serve(&self, name: &str, spec: Value) {
        let mut body = self.body(name, json!({}));
        body["spec"] = spec;
        let (code, made) = self.post(&self.path("services"), &body).await;
        assert_eq!(code, 201, "{made}");
    }

    /// The node that pods are on. Real controllers leave out of some of their objects the pods of
    /// nodes that they do not know.
    pub(crate) async fn node(&self) {
        let node = json!({ "metadata": { "name": "host" } });
        let (code, made) = self.post("/api/v1/nodes", &node).await;
        // Another test may have made it.
        assert!([201, 409].contains(&code), "{made}");
    }

    /// A pod of this description that runs on a node with an address, ready or not. Real
    /// controllers write nothing of a pod that is nowhere.
    pub(crate) async fn run(&self, mut pod: Value, address: &str, is_ready: bool) {
        pod["spec"]["nodeName"] = json!("host");
        let (code, made) = self.post(&self.path("pods"), &pod).await;
        assert_eq!(code, 201, "{made}");
        let status = json!({
            "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
            "conditions": ready(is_ready),
        });
        self.report(made["metadata"]["name"].as_str().unwrap(), status).await;
    }

    /// What a kubelet would write of a pod.
    pub(crate) async fn report(&self, pod: &str, status: Value) {
        let path = format!("{}/{pod}/status", self.path("pods"));
        let (code, pod) = self.patch(&path, STRATEGIC, &json!({ "status": status })).await;
        assert_eq!(code, 200, "{pod}");
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        // Patroni names no content type.
        self.send("POST", path, "", Some(body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        self.send("PATCH", path, kind, Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, "", None).await
    }

    /// The same cluster, to an application that is not trusted.
    pub(crate) fn distrust(&mut self) {
        let token = match self.server {
            Some(_) => "untrusted".to_owned(),
            None => std::env::var("KUBE_CONTRACT_UNTRUSTED").unwrap(),
        };
        self.token = token;
    }

    /// Waits until an object is as wanted; controllers of a real cluster take their time.
    #[track_caller]
    pub(crate) fn until(
        &self,
        path: String,
        wanted: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let end = tokio::time::Instant::now() + 3 * PATIENCE;
            loop {
                let (_, found) = self.get(&path).await;
                if wanted(&found) {
                    return found;
                }
                assert!(tokio::time::Instant::now() < end, "{found}, at {place}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Waits until an object is gone.
    #[track_caller]
    pub(crate) fn gone(&self, path: &str) -> impl Future<Output = Value> {
        self.until(path.to_owned(), |found| found["code"] == 404)
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<String>,
    ) -> (u16, Value) {
        let request = self.request(method, path, content_type, body.unwrap_or_default());
        let answer = http1_client::send(self.connect().await, request);
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        (answer.status.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A watch of `plural` from `version` on, for objects of this test.
    pub(crate) async fn watch(&self, plural: &str, selector: &str, version: &str) -> Watch {
        let selector = [format!("contract={}", self.rule), selector.to_owned()];
        let selector = selector.join(",");
        let selector = selector.trim_end_matches(',').replace('=', "%3D").replace(',', "%2C");
        self.watch_path(&format!(
            "{}?labelSelector={selector}&watch=True&resourceVersion={version}",
            self.path(plural)
        ))
        .await
    }

    pub(crate) async fn watch_path(&self, path: &str) -> Watch {
        let stream = TokioIo::new(self.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Body>(stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request = self.request("GET", path, "", String::new());
        let response = sender.send_request(request).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers[http1_client::header::TRANSFER_ENCODING], "chunked");
        Watch { incoming: response.into_body(), text: String::new(), connection, _sender: sender }
    }

    /// The version of a list taken now.
    pub(crate) async fn version(&self, plural: &str) -> String {
        let (_, list) = self.get(&self.path(plural)).await;
        list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.try_connect().await.unwrap()
    }

    /// A connection with its TLS handshake; an error when the server does not want it.
    pub(crate) async fn try_connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let name = ServerName::try_from(self.host.clone()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: String) -> Request<Body> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("host", format!("{}:{}", self.host, self.port))
            .header("authorization", format!("Bearer {}", self.token));
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        request.body(Body::from(body)).unwrap()
    }
}

/// Whether a pod is ready, as its status says it.
pub(crate) fn ready(ready: bool) -> Value {
    json!([{ "type": "Ready", "status": if ready { "True" } else { "False" } }])
}

/// An open watch.
pub(crate) struct Watch {
    incoming: Incoming,
    text: String,
    connection: tokio::task::JoinHandle<()>,
    _sender: hyper::client::conn::http1::SendRequest<Body>,
}

impl Watch {
    /// The next event; none when the server ended the watch.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = tokio::time::timeout(PATIENCE, self.incoming.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event's type and object's name.
    pub(crate) async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    #[track_caller]
    pub(crate) fn expect(
        &mut self,
        kind: &'static str,
        name: &'static str,
    ) -> impl Future<Output = ()> + '_ {
        let place = std::panic::Location::caller();
        async move {
            let expected = (kind.to_owned(), name.to_owned());
            assert_eq!(self.brief().await, expected, "at {place}");
        }
    }

    /// Cuts the connection as Patroni does, without a farewell.
    pub(crate) fn cut(self) {
        self.connection.abort();
    }
}
