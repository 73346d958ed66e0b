//! Ways into a Kubernetes API, and requests for it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http1_client::{Body, Request};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The namespace of a suite, and its accounts.
const NAMESPACE: &str = "lab";
const TRUSTED: &str = "trusted";
const UNTRUSTED: &str = "untrusted";
/// How long a token is good; no suite takes so long.
const TOKEN_SECONDS: u32 = 86_400;

/// The administrator's access.
pub struct Administrator {
    address: (String, u16),
    token: String,
    tls: TlsConnector,
}

impl Administrator {
    /// The administrator with this token.
    ///
    /// # Errors
    /// When the authority's certificate is none.
    pub fn new(address: (String, u16), authority: &str, token: &str) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, token: token.to_owned(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The user that the environment of a command names, which has the rights of a trusted
    /// application.
    ///
    /// # Errors
    /// When the command does not run beside a Kubernetes.
    pub fn of_environment() -> Result<Self> {
        let read = |name: &str| {
            let name = format!("KUBE_CONTRACT_{name}");
            std::env::var(&name).with_context(|| format!("{name} is not set; run `make help`"))
        };
        let address = (read("HOST")?, read("PORT")?.parse()?);
        Self::new(address, &read("CA")?, &read("TOKEN")?)
    }

    /// What the API answers to a request without body.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn get(&self, path: &str) -> Result<String> {
        self.send("GET", path, String::new()).await
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.send("DELETE", path, String::new()).await.map(drop)
    }

    /// Makes an object in the collection at `path`.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        Ok(serde_json::from_str(&self.send("POST", path, object.to_string()).await?)?)
    }

    async fn send(&self, method: &str, path: &str, body: String) -> Result<String> {
        let asked = || format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address.0)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        let stream = TcpStream::connect((self.address.0.as_str(), self.address.1))
            .await
            .with_context(asked)?;
        let name = ServerName::try_from(self.address.0.clone())?;
        let stream = self.tls.connect(name, stream).await?;
        let answer = http1_client::send(stream, request).await.with_context(asked)?;
        let text = String::from_utf8(answer.body.to_vec())?;
        if !answer.status.is_success() {
            bail!("{}: {} {text}", asked(), answer.status);
        }
        Ok(text)
    }

    /// Makes the namespace of a suite with two accounts, whose rights are those that Juju gives
    /// an application with `--trust` and one without.
    pub(super) async fn namespace(&self) -> Result<(String, String)> {
        let name = |name: &str| json!({ "metadata": { "name": name } });
        self.create("/api/v1/namespaces", &name(NAMESPACE)).await?;
        let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
        for account in [TRUSTED, UNTRUSTED] {
            self.create(&accounts, &name(account)).await?;
        }
        let rights = "/apis/rbac.authorization.k8s.io/v1";
        let mut role = name(TRUSTED);
        role["rules"] = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
        self.create(&format!("{rights}/clusterroles"), &role).await?;
        let binding = bound("ClusterRole", TRUSTED);
        self.create(&format!("{rights}/clusterrolebindings"), &binding).await?;
        let mut role = name(UNTRUSTED);
        role["rules"] = json!([
            { "apiGroups": [""], "resources": ["pods", "services"],
              "verbs": ["get", "list", "patch"] },
            { "apiGroups": [""], "resources": ["namespaces"], "resourceNames": [NAMESPACE],
              "verbs": ["get", "list"] },
        ]);
        let rights = format!("{rights}/namespaces/{NAMESPACE}");
        self.create(&format!("{rights}/roles"), &role).await?;
        self.create(&format!("{rights}/rolebindings"), &bound("Role", UNTRUSTED)).await?;
        Ok((self.token(TRUSTED).await?, self.token(UNTRUSTED).await?))
    }

    async fn token(&self, account: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let asked = json!({ "spec": { "expirationSeconds": TOKEN_SECONDS } });
        let made = self.create(&path, &asked).await?;
        Ok(made["status"]["token"].as_str().context("no token")?.to_owned())
    }
}

/// A binding of the account to the role of its name.
fn bound(kind: &str, name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": NAMESPACE }],
    })
}

/// What the contract suite has to know of a Kubernetes API.
pub struct Access {
    pub(super) host: String,
    pub(super) port: u16,
    /// The authority's certificate.
    pub(super) authority: String,
    /// The tokens of an application that is trusted and of one that is not.
    pub(super) tokens: (String, String),
    /// What an administrator's tools read.
    pub(super) kubeconfig: PathBuf,
}

impl Access {
    /// The environment by which the suite finds it.
    pub(super) fn variables(&self) -> [(&'static str, String); 7] {
        [
            ("KUBE_CONTRACT_HOST", self.host.clone()),
            ("KUBE_CONTRACT_PORT", self.port.to_string()),
            ("KUBE_CONTRACT_CA", self.authority.clone()),
            ("KUBE_CONTRACT_NAMESPACE", NAMESPACE.to_owned()),
            ("KUBE_CONTRACT_TOKEN", self.tokens.0.clone()),
            ("KUBE_CONTRACT_UNTRUSTED", self.tokens.1.clone()),
            ("KUBECONFIG", self.kubeconfig.display().to_string()),
        ]
    }
}
