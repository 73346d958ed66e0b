//! One request to Pebble: connect and send.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http1_client::{Body, Method, Request, Response, Stream, Transport, Unix, encode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::{Answer, malformed, result};
use crate::{Error, Layer, Plan};

/// A client of one Pebble. It holds no connection; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    timeout: Duration,
}

/// What `system-info` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemInfo {
    /// Pebble's version, for instance `v1.32.1`.
    pub version: String,
    /// Changes with every start of the container.
    #[serde(default)]
    pub boot_id: String,
}

/// The body that adds a layer.
#[derive(Serialize)]
struct Addition<'a> {
    action: &'a str,
    combine: bool,
    label: &'a str,
    format: &'a str,
    layer: &'a str,
}

/// How long one request may take unless [`Client::with_timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// A client of the Pebble that listens on this unix socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self::over(Arc::new(Unix(socket.into())))
    }

    /// A client of the Pebble at the far side of `transport`.
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, timeout: TIMEOUT }
    }

    /// Bounds every single request, 30 s by default.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Pebble's version and boot id: the cheapest way to learn whether it answers.
    ///
    /// # Errors
    /// When Pebble cannot be reached or does not answer in time.
    pub async fn system_info(&self) -> Result<SystemInfo, Error> {
        self.get("read Pebble's version", "/v1/system-info").await
    }

    /// The plan: all layers laid over each other.
    ///
    /// # Errors
    /// When Pebble cannot be reached or the plan cannot be read.
    pub async fn plan(&self) -> Result<Plan, Error> {
        let doing = "read the plan";
        let text: String = self.get(doing, "/v1/plan?format=yaml").await?;
        Plan::parse(&text).map_err(|why| malformed(doing, why))
    }

    /// Adds a layer to the plan. With `combine`, a layer with this label is extended;
    /// otherwise it is an error if there is one.
    ///
    /// Nothing starts or stops: call [`Client::replan`].
    ///
    /// # Errors
    /// When Pebble refuses the layer.
    pub async fn add_layer(&self, label: &str, layer: &Layer, combine: bool) -> Result<(), Error> {
        let doing = format!("add the layer {label}");
        // Every JSON text is YAML, and leaves no doubt about quoting.
        let text = serde_json::to_string(layer).map_err(|error| malformed(&doing, error))?;
        let body = Addition { action: "add", combine, label, format: "yaml", layer: &text };
        self.post(&doing, "/v1/layers", &body).await?.done(&doing)
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        doing: &str,
        path: &str,
    ) -> Result<T, Error> {
        let request = Request::builder().method(Method::GET).uri(path);
        let answer = self.send(doing, request, Vec::new(), self.timeout).await?;
        result(doing, &answer.body)
    }

    pub(crate) async fn post(
        &self,
        doing: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        let body = serde_json::to_vec(body).map_err(|error| malformed(doing, error))?;
        let answer = self.send(doing, request, body, self.timeout).await?;
        Ok(Answer(answer.body))
    }

    /// Sends a request and returns the raw answer.
    pub(crate) async fn send(
        &self,
        doing: &str,
        request: hyper::http::request::Builder,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Response, Error> {
        let request = request
            .header(header::HOST, "localhost")
            .body(Body::from(body))
            .map_err(|error| malformed(doing, error))?;
        match tokio::time::timeout(timeout, self.transport.send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(http1_client::Error::Connect(source))) => Err(self.unreachable(source)),
            Ok(Err(source)) => Err(Error::Exchange { doing: doing.to_owned(), source }),
            Err(_) => Err(Error::Timeout { doing: doing.to_owned(), after: timeout }),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        self.transport.dial().await.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: std::io::Error) -> Error {
        Error::Connect { at: self.transport.to_string(), source }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// A query string from pairs; empty values are left out.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&format!("{key}={}", encode(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(query(&[("path", "/a b&c"), ("names", "")]), "?path=%2Fa%20b%26c");
        assert_eq!(query(&[]), "");
    }
}
