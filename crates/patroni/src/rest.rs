//! The REST API of one member.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http1_client::{Method, Request, StatusCode, Tcp, Transport, header};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::tls::{Nowhere, Tls};
use crate::{Cluster, Health, TimelineEnd};

/// How long a look at a member may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a change may take; a switchover waits for two loops of Patroni.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why Patroni did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens.
    #[error("cannot reach Patroni at {at}")]
    Connect {
        /// Host name or address, and port.
        at: String,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("cannot {what}: Patroni did not answer in time")]
    Timeout {
        /// What was asked.
        what: &'static str,
    },
    /// The request cannot be written, for instance because the host is no host name.
    #[error("cannot {what}: the request to Patroni is malformed")]
    Request {
        /// What was asked.
        what: &'static str,
    },
    /// The connection broke.
    #[error("cannot {what}")]
    Http {
        /// What was asked.
        what: &'static str,
        /// The reason.
        #[source]
        source: http1_client::Error,
    },
    /// Patroni refused.
    #[error("cannot {what}: Patroni answered {status}, {body}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The status.
        status: StatusCode,
        /// Patroni's words.
        body: String,
    },
    /// The answer is not what Patroni sends.
    #[error("cannot {what}: Patroni's answer is not understood")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
}

/// Who a switchover would need in sync, and has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotInSync {
    /// Any standby at all.
    Anybody,
    /// The candidate that was named.
    Candidate,
}

impl Error {
    /// Whether a switchover was refused because a standby is not in sync; it may be soon.
    pub fn not_in_sync(&self) -> Option<NotInSync> {
        let Self::Refused { status, body, .. } = self else { return None };
        match body {
            _ if status.as_u16() != 412 || !body.contains("sync_standby") => None,
            body if body.contains("candidate name") => Some(NotInSync::Candidate),
            _ => Some(NotInSync::Anybody),
        }
    }
}

/// A client of one member's REST API.
#[derive(Clone)]
pub struct Rest {
    transport: Arc<dyn Transport>,
    login: Option<(String, SecretString)>,
}

impl Rest {
    /// A client that may look only.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::over(Arc::new(Tcp { host: host.into(), port }))
    }

    /// A read-only client of a member whose certificate one of these CAs, in PEM, has signed. To
    /// the own member, at a loopback address, it speaks in clear where that one does.
    pub fn trusting(host: impl Into<String>, port: u16, authorities: &str) -> Self {
        let tcp = Tcp { host: host.into(), port };
        match Tls::new(tcp.clone(), authorities) {
            Ok(tls) => Self::over(Arc::new(tls)),
            Err(error) => Self::over(Arc::new(Nowhere { tcp, why: error.to_string() })),
        }
    }

    /// A client, which may look only, of the member at the far side of `transport`.
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, login: None }
    }

    /// A client that may change things.
    pub fn with_login(self, user: impl Into<String>, password: SecretString) -> Self {
        Self { login: Some((user.into(), password)), ..self }
    }

    /// The cluster as this member sees it.
    ///
    /// # Errors
    /// When the member does not answer.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        self.read("read the cluster", "/cluster").await
    }

    /// How this member is; a member that is not running answers too.
    ///
    /// # Errors
    /// When the member does not answer.
    pub async fn health(&self) -> Result<Health, Error> {
        let what = "read the member's health";
        let (_, body) = self.send(what, Method::GET, "/health", None, READ_TIMEOUT).await?;
        serde_json::from_slice(&body).map_err(|source| Error::Answer { what, source })
    }

    /// The dynamic configuration.
    ///
    /// # Errors
    /// When the member does not answer or there is no configuration yet.
    pub async fn config(&self) -> Result<Value, Error> {
        self.read("read the dynamic configuration", "/config").await
    }

    /// Where the timelines before the present one ended.
    ///
    /// # Errors
    /// When the member does not answer.
    pub async fn history(&self) -> Result<Vec<TimelineEnd>, Error> {
        self.read("read the history", "/history").await
    }

    /// Merges `patch` into the dynamic configuration; `null` removes a key.
    ///
    /// # Errors
    /// When the member does not answer or refuses.
    pub async fn patch_config(&self, patch: &Value) -> Result<(), Error> {
        self.change("change the dynamic configuration", Method::PATCH, "/config", patch).await
    }

    /// Hands the lead from `leader` to `candidate`, or to the member that Patroni chooses.
    ///
    /// # Errors
    /// When the member does not answer or refuses; 412 says that it is not possible now.
    pub async fn switchover(&self, leader: &str, candidate: Option<&str>) -> Result<(), Error> {
        let order = json!({"leader": leader, "candidate": candidate});
        self.change("switch over", Method::POST, "/switchover", &order).await
    }

    /// Lets `candidate` lead without a switchover, whatever it lacks.
    ///
    /// # Errors
    /// When the member does not answer or refuses; 412 says that it is not possible now.
    pub async fn fail_over(&self, candidate: &str) -> Result<(), Error> {
        let order = json!({"candidate": candidate});
        self.change("fail over", Method::POST, "/failover", &order).await
    }

    /// Restarts this member's PostgreSQL.
    ///
    /// # Errors
    /// When the member does not answer or refuses.
    pub async fn restart(&self) -> Result<(), Error> {
        self.change("restart PostgreSQL", Method::POST, "/restart", &json!({})).await
    }

    /// Copies the leader's data anew to this member.
    ///
    /// # Errors
    /// When the member does not answer or refuses.
    pub async fn reinitialize(&self) -> Result<(), Error> {
        let order = json!({"force": true});
        self.change("reinitialise the member", Method::POST, "/reinitialize", &order).await
    }

    async fn read<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, Error> {
        let (status, body) = self.send(what, Method::GET, path, None, READ_TIMEOUT).await?;
        accept(what, status, &body)?;
        serde_json::from_slice(&body).map_err(|source| Error::Answer { what, source })
    }

    async fn change(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        order: &Value,
    ) -> Result<(), Error> {
        let (status, body) = self.send(what, method, path, Some(order), WRITE_TIMEOUT).await?;
        accept(what, status, &body)
    }

    async fn send(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        order: Option<&Value>,
        timeout: Duration,
    ) -> Result<(StatusCode, Vec<u8>), Error> {
        let exchange = async {
            let request = self.request(what, method, path, order)?;
            match self.transport.send(request).await {
                Ok(response) => Ok((response.status, response.body.to_vec())),
                Err(http1_client::Error::Connect(source)) => {
                    Err(Error::Connect { at: self.transport.to_string(), source })
                }
                Err(source) => Err(Error::Http { what, source }),
            }
        };
        tokio::time::timeout(timeout, exchange).await.map_err(|_| Error::Timeout { what })?
    }

    fn request(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        order: Option<&Value>,
    ) -> Result<Request<http1_client::Body>, Error> {
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.transport.to_string());
        if order.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
            if let Some((user, password)) = &self.login {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                builder = builder.header(header::AUTHORIZATION, format!("Basic {pair}"));
            }
        }
        let body = order.map(Value::to_string).unwrap_or_default();
        builder.body(body.into()).map_err(|_| Error::Request { what })
    }
}

fn accept(what: &'static str, status: StatusCode, body: &[u8]) -> Result<(), Error> {
    if status.is_success() {
        return Ok(());
    }
    let body = String::from_utf8_lossy(body).into_owned();
    Err(Error::Refused { what, status, body })
}

/// The cluster as the first member that answers sees it; all are asked at once.
pub async fn any_cluster(members: impl IntoIterator<Item = Rest>) -> Option<Cluster> {
    let mut asked = JoinSet::new();
    for member in members {
        asked.spawn(async move { member.cluster().await });
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(cluster)) = answer {
            return Some(cluster);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// Answers one request; what was asked comes back from the task.
    async fn server(status: &'static str, body: &'static str) -> (Rest, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            let length_line = format!("Content-Length: {}", body.len());
            let answer = format!("HTTP/1.1 {status}\r\n{length_line}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (Rest::new("127.0.0.1", port), task)
    }

    #[tokio::test]
    async fn the_health_of_a_stopped_member_is_an_answer() {
        let (rest, _) =
            server("503 Service Unavailable", r#"{"state": "stopped", "role": "replica"}"#).await;
        assert!(!rest.health().await.unwrap().state.is_started());
    }

    #[tokio::test]
    async fn positions_in_the_log_are_numbers_or_none() {
        let check = async |xlog: &'static str, expected: Option<(u64, u64)>| {
            let (rest, _) = server("200 OK", xlog).await;
            let found = rest.health().await.unwrap().xlog;
            assert_eq!(found.map(|at| (at.received_location, at.replayed_location)), expected);
        };
        check(r#"{"state": "starting"}"#, None).await;
        let some = r#"{"state": "running", "xlog": {"received_location": null,
            "replayed_location": 50331648, "replayed_timestamp": null, "paused": false}}"#;
        check(some, Some((0, 50_331_648))).await;
        check(r#"{"state": "running", "xlog": {"location": 7}}"#, Some((0, 0))).await;
    }

    #[tokio::test]
    async fn the_history_is_where_timelines_ended() {
        let text = r#"[[1, 25623960, "no recovery target specified"],
            [2, 25624344, "why", "2026-11-28T10:00:00+00:00", "pg-1"]]"#;
        let (rest, _) = server("200 OK", text).await;
        let ends = [(1, 25_623_960), (2, 25_624_344)];
        let ends = ends.map(|(timeline, position)| TimelineEnd { timeline, position });
        assert_eq!(rest.history().await.unwrap(), ends);
        let (rest, _) = server("200 OK", "[]").await;
        assert_eq!(rest.history().await.unwrap(), []);
        let (rest, _) = server("200 OK", "[[1]]").await;
        assert!(rest.history().await.is_err());
    }

    #[tokio::test]
    async fn a_change_carries_the_login() {
        let (rest, task) = server("200 OK", "{}").await;
        let rest = rest.with_login("patroni", "secret".to_owned().into());
        rest.patch_config(&json!({"ttl": 20})).await.unwrap();
        let asked = task.await.unwrap();
        assert!(asked.starts_with("PATCH /config HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Basic cGF0cm9uaTpzZWNyZXQ="), "{asked}");
        assert!(asked.ends_with("{\"ttl\":20}"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_tells_patronis_words() {
        let words = "candidate name does not match with sync_standby";
        let (rest, _) = server("412 Precondition Failed", words).await;
        let error = rest.switchover("pg-0", Some("pg-1")).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { status, .. } if status.as_u16() == 412));
        assert!(error.to_string().ends_with(words));
    }

    #[track_caller]
    fn check_not_in_sync(status: u16, body: &str, expected: Option<NotInSync>) {
        let status = StatusCode::from_u16(status).unwrap();
        let error = Error::Refused { what: "switch over", status, body: body.to_owned() };
        assert_eq!(error.not_in_sync(), expected, "{body}");
    }

    #[test]
    fn patronis_words_tell_who_is_not_in_sync() {
        let named = "candidate name does not match with sync_standby";
        check_not_in_sync(412, named, Some(NotInSync::Candidate));
        let any = "switchover is not possible: can not find sync_standby";
        check_not_in_sync(412, any, Some(NotInSync::Anybody));
        check_not_in_sync(503, named, None);
        check_not_in_sync(412, "leader name does not match", None);
    }

    #[tokio::test]
    async fn the_first_member_that_answers_is_believed() {
        let (good, _) = server("200 OK", r#"{"members": []}"#).await;
        let (bad, _) = server("502 Bad Gateway", "").await;
        assert_eq!(any_cluster([bad, good]).await, Some(Cluster::default()));
        assert_eq!(any_cluster([Rest::new("127.0.0.1", 1)]).await, None);
    }
}
