//! The client: one TLS connection a request.

use std::fmt::{Display, Formatter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http1_client::{
    Body, Boxed, Method, Request, Response, StatusCode, Stream, Transport, encode, header,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{ClusterConfig, ConfigError, Error, Resource};

/// How long one request may take.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// What was written as which media type.
type Payload<'a> = Option<(&'static str, &'a Value)>;

/// A client for one namespace.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClusterConfig>,
    transport: Arc<dyn Transport>,
    time: Duration,
}

/// TLS to the API.
struct Tls {
    config: Arc<ClusterConfig>,
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({self})")
    }
}

impl Display for Tls {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.config.host, self.config.port)
    }
}

impl Transport for Tls {
    fn dial(&self) -> Boxed<'_, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async {
            let ClusterConfig { host, port, .. } = self.config.as_ref();
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            let stream = self.connector.connect(self.server_name.clone(), stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ClusterConfig { host, port, namespace, .. } = self.config.as_ref();
        write!(f, "Client({host}:{port}, {namespace})")
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum InClusterError {
    /// The process is not in a pod.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What Kubernetes gave cannot be used.
    #[error(transparent)]
    Client(#[from] Error),
}

impl Client {
    /// A client for what `config` says.
    ///
    /// # Errors
    /// When the certificates or the host cannot be used.
    pub fn new(config: ClusterConfig) -> Result<Client, Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(config.ca_pem.as_bytes()) {
            let certificate = certificate.map_err(Error::Certificates)?;
            roots.add(certificate).map_err(Error::Tls)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server_name = ServerName::try_from(config.host.clone())
            .map_err(|_| Error::Host(config.host.clone()))?;
        let config = Arc::new(config);
        let connector = TlsConnector::from(Arc::new(tls));
        let transport = Tls { config: config.clone(), connector, server_name };
        Ok(Client { config, transport: Arc::new(transport), time: REQUEST_TIME })
    }

    /// A client of the API at the far side of `transport`, whatever `config` says of TLS.
    pub fn over(config: ClusterConfig, transport: Arc<dyn Transport>) -> Client {
        Client { config: Arc::new(config), transport, time: REQUEST_TIME }
    }

    /// A client from inside a pod; see [`ClusterConfig::in_cluster`].
    ///
    /// # Errors
    /// When the process is not in a pod with a service account.
    pub fn in_cluster(
        root: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Client, InClusterError> {
        Ok(Client::new(ClusterConfig::in_cluster(root, env)?)?)
    }

    /// The same client with another bound on the time of a request.
    pub fn with_time(self, time: Duration) -> Client {
        Client { time, ..self }
    }

    /// The namespace of the objects.
    pub fn namespace(&self) -> &str {
        &self.config.namespace
    }

    /// One object; none when there is none of this name.
    ///
    /// # Errors
    /// When there is no answer or a refusal other than "not found".
    pub async fn get(&self, resource: Resource, name: &str) -> Result<Option<Value>, Error> {
        let path = self.object(resource, name);
        match self.json(Method::GET, &path, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects whose labels fulfil `selector` (see [`crate::label_selector`]).
    ///
    /// # Errors
    /// When there is no answer or a refusal.
    pub async fn list(&self, resource: Resource, selector: &str) -> Result<Vec<Value>, Error> {
        let mut path = resource.path(&self.config.namespace);
        if !selector.is_empty() {
            path.push_str(&format!("?labelSelector={}", encode(selector)));
        }
        let mut list = self.json(Method::GET, &path, None).await?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Merges `patch` into an object: nulls delete, lists replace. A `resourceVersion` in its
    /// metadata makes the write conditional. The answer is the object after.
    ///
    /// # Errors
    /// When there is no answer or a refusal.
    pub async fn patch_merge(
        &self,
        resource: Resource,
        name: &str,
        patch: &Value,
    ) -> Result<Value, Error> {
        let path = self.object(resource, name);
        let payload = Some(("application/merge-patch+json", patch));
        self.json(Method::PATCH, &path, payload).await
    }

    /// Server-side apply: the object holds `object` afterwards, whichever manager wrote it before,
    /// and nothing that `field_manager` applied earlier and leaves out now.
    ///
    /// # Errors
    /// When there is no answer or a refusal.
    pub async fn apply(
        &self,
        resource: Resource,
        name: &str,
        field_manager: &str,
        object: &Value,
    ) -> Result<Value, Error> {
        let manager = encode(field_manager);
        let path = self.object(resource, name) + &format!("?fieldManager={manager}&force=true");
        // JSON is YAML.
        let object = typed(resource, Some(name), object);
        let payload = Some(("application/apply-patch+yaml", &object));
        self.json(Method::PATCH, &path, payload).await
    }

    /// Creates an object that must not exist yet.
    ///
    /// # Errors
    /// When there is no answer or a refusal; a conflict when the object exists.
    pub async fn create(&self, resource: Resource, object: &Value) -> Result<Value, Error> {
        let path = resource.path(&self.config.namespace);
        let object = typed(resource, None, object);
        self.json(Method::POST, &path, Some(("application/json", &object))).await
    }

    /// Sees to it that an object does not exist.
    ///
    /// # Errors
    /// When there is no answer or a refusal other than "not found".
    pub async fn delete(&self, resource: Resource, name: &str) -> Result<(), Error> {
        match self.json(Method::DELETE, &self.object(resource, name), None).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn object(&self, resource: Resource, name: &str) -> String {
        format!("{}/{}", resource.path(&self.config.namespace), encode(name))
    }

    async fn json(&self, method: Method, path: &str, body: Payload<'_>) -> Result<Value, Error> {
        let exchange = self.exchange(method.clone(), path, body);
        let answer = tokio::time::timeout(self.time, exchange).await.map_err(|_| {
            let (method, path) = (method.clone(), path.to_owned());
            Error::Timeout { method, path, seconds: self.time.as_secs() }
        })??;
        if !answer.status.is_success() {
            let message = refusal(&answer);
            let path = path.to_owned();
            return Err(Error::Refused { method, path, status: answer.status, message });
        }
        serde_json::from_slice(&answer.body).map_err(|source| Error::Decode {
            method,
            path: path.to_owned(),
            source,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Payload<'_>,
    ) -> Result<Response, Error> {
        let request = self.request(&method, path, body).map_err(|source| Error::Request {
            method: method.clone(),
            path: path.to_owned(),
            source,
        })?;
        self.transport.send(request).await.map_err(|error| match error {
            http1_client::Error::Connect(source) => {
                Error::Connect { address: self.transport.to_string(), source }
            }
            source => Error::Send { method, path: path.to_owned(), source },
        })
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Payload<'_>,
    ) -> Result<Request<Body>, hyper::http::Error> {
        let ClusterConfig { host, port, token, .. } = self.config.as_ref();
        let mut bearer =
            header::HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, bearer);
        match body {
            None => request.body(Body::default()),
            Some((media_type, value)) => {
                let request = request.header(header::CONTENT_TYPE, media_type);
                request.body(Body::from(serde_json::to_vec(value).unwrap_or_default()))
            }
        }
    }
}

/// The object with the type and the name that the path has.
fn typed(resource: Resource, name: Option<&str>, object: &Value) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.insert("apiVersion".to_owned(), json!(resource.api_version()));
    fields.insert("kind".to_owned(), json!(resource.kind()));
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if let (Some(name), Some(metadata)) = (name, metadata.as_object_mut()) {
        metadata.insert("name".to_owned(), json!(name));
    }
    object
}

/// The API's own words, else the start of whatever came.
fn refusal(answer: &Response) -> String {
    let status: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match status.as_ref().and_then(|status| status["message"].as_str()) {
        Some(message) => message.to_owned(),
        None if answer.status == StatusCode::NOT_FOUND => "not found".to_owned(),
        None => String::from_utf8_lossy(&answer.body).chars().take(200).collect(),
    }
}
