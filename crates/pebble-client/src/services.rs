//! Services: what runs, and starting, stopping and signalling it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::query;
use crate::{ChangeId, Client, Error, Startup};

/// A service as it runs now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceInfo {
    /// The name.
    pub name: String,
    /// Whether it starts with the container.
    pub startup: Startup,
    /// What it does now.
    pub current: ServiceStatus,
    /// Since when, as Pebble writes it; none where it was never started.
    #[serde(rename = "current-since", default)]
    pub since: Option<String>,
}

/// What a service does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStatus {
    /// It runs.
    Active,
    /// It was not started, or was stopped.
    Inactive,
    /// It failed and will be started again.
    Backoff,
    /// It failed and stays so.
    Error,
}

impl ServiceInfo {
    /// Whether it runs.
    pub fn is_active(&self) -> bool {
        self.current == ServiceStatus::Active
    }
}

impl Client {
    /// The services of these names, or all where there are none; sorted, unknown ones
    /// left out.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn services(&self, names: &[&str]) -> Result<Vec<ServiceInfo>, Error> {
        let path = format!("/v1/services{}", query(&[("names", &names.join(","))]));
        self.get("list the services", &path).await
    }

    /// Starts services, and what they require. Wait for the change to learn whether
    /// they stayed up for a second.
    ///
    /// # Errors
    /// When a service is unknown.
    pub async fn start(&self, names: &[&str]) -> Result<ChangeId, Error> {
        self.act("start", names).await
    }

    /// Stops services.
    ///
    /// # Errors
    /// When a service is unknown.
    pub async fn stop(&self, names: &[&str]) -> Result<ChangeId, Error> {
        self.act("stop", names).await
    }

    /// Stops and starts services.
    ///
    /// # Errors
    /// When a service is unknown.
    pub async fn restart(&self, names: &[&str]) -> Result<ChangeId, Error> {
        self.act("restart", names).await
    }

    /// Restarts running services whose part of the plan changed and starts every
    /// enabled one that does not run.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn replan(&self) -> Result<ChangeId, Error> {
        self.act("replan", &[]).await
    }

    /// Sends a signal, such as `SIGHUP`, to running services.
    ///
    /// # Errors
    /// When a service is unknown or does not run.
    pub async fn signal(&self, signal: &str, names: &[&str]) -> Result<(), Error> {
        let doing = format!("send {signal} to {}", names.join(", "));
        let body = json!({ "signal": signal, "services": names });
        self.post(&doing, "/v1/signals", &body).await?.done(&doing)
    }

    async fn act(&self, action: &str, names: &[&str]) -> Result<ChangeId, Error> {
        let doing = format!("{action} {}", names.join(", ")).trim_end().to_owned();
        let mut body = json!({ "action": action });
        if let (Value::Object(map), false) = (&mut body, names.is_empty()) {
            map.insert("services".to_owned(), json!(names));
        }
        self.post(&doing, "/v1/services", &body).await?.change(&doing)
    }
}
