//! `forward`, and ports that lead to services.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use crate::api::Task;

/// Makes a service reachable on a loopback port of this host.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman forward 6432 pgbouncer-k8s-service:6432")]
pub(crate) struct Forward {
    port: u16,
    target: ForwardTarget,
}

impl Forward {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let ForwardTarget { service, port: target } = self.target;
        at.client()?.ask(Task::Forward { port: self.port, service, target }).await.map(drop)
    }
}

/// `<service>:<port>`
#[derive(Debug, Clone)]
pub(crate) struct ForwardTarget {
    pub(crate) service: String,
    pub(crate) port: u16,
}

impl std::str::FromStr for ForwardTarget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("cannot read {text:?} as a target: write <service>:<port>");
        let (service, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self { service: service.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}

/// `<port>:<service>:<service port>`
pub(super) fn forward(text: &str) -> Result<(u16, ForwardTarget), String> {
    let wrong = || format!("cannot read {text:?}: write <port>:<service>:<service port>");
    let (port, target) = text.split_once(':').ok_or_else(wrong)?;
    Ok((port.parse().map_err(|_| wrong())?, target.parse().map_err(|_| wrong())?))
}
