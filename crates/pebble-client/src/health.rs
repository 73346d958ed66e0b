//! Checks and notices.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::query;
use crate::{Client, Error, Startup};

/// A check as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckInfo {
    /// The name.
    pub name: String,
    /// Whether it starts with the container.
    #[serde(default)]
    pub startup: Startup,
    /// Whether it passes.
    pub status: CheckStatus,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u64,
    /// Failures in a row that make it `Down`.
    #[serde(default)]
    pub threshold: u64,
}

/// Whether a check passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It passes, or has failed fewer times than its threshold.
    Up,
    /// It failed as often as its threshold.
    Down,
    /// It does not run.
    Inactive,
}

/// A notice: something that happened in the container, counted by key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// The id.
    pub id: String,
    /// `custom`, `change-update` or `warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For instance `example.com/backup`.
    pub key: String,
    /// How often it happened.
    #[serde(default)]
    pub occurrences: u64,
    /// When it was last repeated, as Pebble writes it.
    #[serde(default)]
    pub last_repeated: String,
    /// What its last occurrence said.
    #[serde(default)]
    pub last_data: Map<String, Value>,
}

/// A notice as a wait returns it: no more than what happened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Happened {
    /// The id.
    pub id: String,
    /// As [`Notice::kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// As [`Notice::key`]; the change's id where a change is what happened.
    pub key: String,
    /// As [`Notice::last_repeated`]; [`Client::wait_notices`] takes it.
    #[serde(default)]
    pub last_repeated: String,
    /// The only user that may see it; none where all may.
    #[serde(default)]
    pub user_id: Option<u32>,
    /// What its last occurrence said of a change.
    #[serde(default)]
    pub last_data: OfChange,
}

/// What a notice says of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfChange {
    /// For instance `perform-check`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The check that it is about.
    #[serde(default)]
    pub check_name: Option<String>,
}

#[derive(Deserialize)]
struct Health {
    healthy: bool,
}

impl Client {
    /// The checks of these names, or all where there are none; sorted.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn checks(&self, names: &[&str]) -> Result<Vec<CheckInfo>, Error> {
        let path = format!("/v1/checks{}", query(&[("names", &names.join(","))]));
        self.get("list the checks", &path).await
    }

    /// Whether all checks of a level (`alive` or `ready`) pass; true where there are none.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn is_healthy(&self, level: &str) -> Result<bool, Error> {
        let path = format!("/v1/health{}", query(&[("level", level)]));
        let health: Health = self.get("ask for the health", &path).await?;
        Ok(health.healthy)
    }

    /// The notices of these keys, or all where there are none, oldest first.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn notices(&self, keys: &[&str]) -> Result<Vec<Notice>, Error> {
        let path = format!("/v1/notices{}", query(&[("keys", &keys.join(","))]));
        self.get("list the notices", &path).await
    }

    /// The notices of all users that were repeated after `after`, oldest first; waits for the
    /// first one, `bound` at most. An empty `after` stands for the beginning.
    ///
    /// # Errors
    /// When Pebble cannot be reached.
    pub async fn wait_notices(&self, after: &str, bound: Duration) -> Result<Vec<Happened>, Error> {
        let seconds = format!("{}s", bound.as_secs());
        let pairs = [("users", "all"), ("after", after), ("timeout", &seconds)];
        self.get("wait for notices", &format!("/v1/notices{}", query(&pairs))).await
    }

    /// A notice by its id.
    ///
    /// # Errors
    /// When Pebble knows no such notice.
    pub async fn notice(&self, id: &str) -> Result<Notice, Error> {
        self.get(&format!("read the notice {id}"), &format!("/v1/notices/{id}")).await
    }

    /// Records a custom notice; the key is `domain.tld/path`. Returns its id.
    ///
    /// # Errors
    /// When Pebble refuses the key.
    pub async fn notify(&self, key: &str, data: &Map<String, Value>) -> Result<String, Error> {
        let doing = format!("record the notice {key}");
        let body = serde_json::json!({
            "action": "add", "type": "custom", "key": key, "data": data,
        });
        let answer = self.post(&doing, "/v1/notices", &body).await?;
        match answer.result::<Value>(&doing)?.get("id").and_then(Value::as_str) {
            Some(id) => Ok(id.to_owned()),
            None => Err(Error::Answer { doing, why: "it names no notice".to_owned() }),
        }
    }
}
