//! Changes: work that Pebble does in the background.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use http1_client::{Method, Request};

use crate::client::query;
use crate::envelope::result;
use crate::{ChangeId, Client, Error};

/// A change as Pebble describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Change {
    /// The id.
    pub id: ChangeId,
    /// For instance `start` or `exec`.
    pub kind: String,
    /// A sentence for people.
    #[serde(default)]
    pub summary: String,
    /// `Do`, `Doing`, `Done`, `Error`, `Hold`, …
    pub status: String,
    /// Whether it has ended, well or badly.
    pub ready: bool,
    /// Why it ended badly.
    #[serde(default)]
    pub err: Option<String>,
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Task {
    #[serde(default)]
    pub(crate) data: Option<Value>,
    #[serde(default)]
    log: Vec<String>,
}

/// Pebble is asked in slices, so that a lost connection costs one slice.
const SLICE: Duration = Duration::from_secs(4);

impl Client {
    /// A change as it is now.
    ///
    /// # Errors
    /// When Pebble knows no such change.
    pub async fn change(&self, id: &ChangeId) -> Result<Change, Error> {
        self.get(&format!("read the change {id}"), &format!("/v1/changes/{id}")).await
    }

    /// Waits until a change has ended, but no longer than `bound`.
    ///
    /// # Errors
    /// `Error::Change` when it ended badly, `Error::Timeout` when it has not ended.
    pub async fn wait_change(&self, id: &ChangeId, bound: Duration) -> Result<Change, Error> {
        let doing = format!("complete the change {id}");
        let end = Instant::now() + bound;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout { doing, after: bound });
            }
            let slice = left.min(SLICE);
            let wait = format!("{:.3}s", slice.as_secs_f64());
            let path = format!("/v1/changes/{id}/wait{}", query(&[("timeout", &wait)]));
            let request = Request::builder().method(Method::GET).uri(path);
            let answer = self.send(&doing, request, Vec::new(), slice + self.timeout()).await?;
            let change: Change = match result(&doing, &answer.body) {
                Ok(change) => change,
                Err(Error::Refused { status: 504, .. }) => continue,
                Err(error) => return Err(error),
            };
            if !change.ready {
                continue;
            }
            return match &change.err {
                Some(message) => {
                    let message = change.explain(message);
                    Err(Error::Change { doing: change.described(doing), message })
                }
                None => Ok(change),
            };
        }
    }
}

impl Change {
    fn described(&self, doing: String) -> String {
        if self.summary.is_empty() { doing } else { format!("{doing} ({})", self.summary) }
    }

    /// The error with the last log line of each failed task, which has the service's
    /// own words.
    fn explain(&self, message: &str) -> String {
        let logs = self.tasks.iter().filter_map(|task| task.log.last());
        logs.fold(message.to_owned(), |text, log| format!("{text}\n{log}"))
    }
}
