//! The command line's side of the daemon's socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::{Answer, Read, Request};

/// A daemon that is there.
#[derive(Clone)]
pub(crate) struct Client {
    socket: std::path::PathBuf,
    /// What answers in the daemon's place.
    #[cfg(test)]
    stand_in: Option<StandIn>,
}

/// Answers requests in a test.
#[cfg(test)]
type StandIn = std::rc::Rc<dyn Fn(Request) -> Answer>;

/// How long one request may take.
const ANSWER_SECONDS_MAX: u64 = 120;

impl Client {
    /// The daemon behind `socket`, whether it runs or not.
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            #[cfg(test)]
            stand_in: None,
        }
    }

    /// A daemon of which there is nothing but its answers.
    #[cfg(test)]
    pub(crate) fn answered_by(answers: impl Fn(Request) -> Answer + 'static) -> Self {
        Self { socket: std::path::PathBuf::new(), stand_in: Some(std::rc::Rc::new(answers)) }
    }

    /// Whether a daemon answers. One that is being killed may still be reached, but does not.
    pub(crate) async fn is_running(&self) -> bool {
        tokio::net::UnixStream::connect(&self.socket).await.is_ok()
            && self.ask(Read::GetModelConfig).await.is_ok()
    }

    /// The process that answers, to be waited for; none when nothing answers.
    pub(crate) async fn process(&self) -> Option<std::os::fd::OwnedFd> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let stream = tokio::net::UnixStream::connect(&self.socket).await.ok()?;
        let pid = Pid::from_raw(stream.peer_cred().ok()?.pid()?)?;
        pidfd_open(pid, PidfdFlags::NONBLOCK).ok()
    }

    /// Asks, and gives the answer or the daemon's refusal as an error.
    pub(crate) async fn ask(&self, request: impl Into<Request>) -> Result<Value> {
        let bound = Duration::from_secs(ANSWER_SECONDS_MAX);
        self.ask_within(request, bound).await
    }

    /// The same, with another bound on the time.
    pub(crate) async fn ask_within(
        &self,
        request: impl Into<Request>,
        bound: Duration,
    ) -> Result<Value> {
        let body = serde_json::to_vec(&request.into())?;
        #[cfg(test)]
        if let Some(answers) = &self.stand_in {
            return match answers(serde_json::from_slice(&body)?) {
                Answer::Done(value) => Ok(value),
                Answer::Refused(refusal) => Err(refusal.into()),
            };
        }
        let stream = tokio::net::UnixStream::connect(&self.socket)
            .await
            .context("cannot reach the engine: it is not running; start it with `talisman up`")?;
        let http = http1_client::Request::post("/v1/call")
            .header(http1_client::header::HOST, "talisman")
            .header(http1_client::header::CONTENT_TYPE, "application/json")
            .body(http1_client::Body::from(body))?;
        let answer = tokio::time::timeout(bound, http1_client::send(stream, http))
            .await
            .with_context(|| {
                format!(
                    "timed out: the engine did not answer in {bound:?}; see `talisman debug-log`"
                )
            })?
            .context("cannot go on: the engine went away while it answered")?;
        match serde_json::from_slice(&answer.body) {
            Ok(Answer::Done(value)) => Ok(value),
            Ok(Answer::Refused(refusal)) => Err(refusal.into()),
            Err(error) => bail!("cannot read the engine's answer ({}): {error}", answer.status),
        }
    }
}
