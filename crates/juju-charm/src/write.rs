//! The writes that every charm has, ready to be applied.

use std::collections::BTreeMap;
use std::time::Duration;

use juju_names::{ContainerName, RelationId, SecretId};
use pebble_client::{Layer, LogTarget, NewFile, Ownership};
use secrecy::{ExposeSecret, SecretString};

use crate::{Applied, Changes, Context, Error, Level, Own, Port, SecretContent, SecretOwner};
use crate::{Status, error_chain};

/// How long services may take to start.
const START: Duration = Duration::from_secs(60);

/// One write. Each compares with what is there, so that a decision names what shall be and does
/// not ask what is.
///
/// A charm that needs no other effects is a [`crate::SimpleCharm`]; one that does has a variant
/// for these among its own effects, and hands them to [`Write::apply`].
#[derive(Clone, PartialEq)]
pub enum Write {
    /// Changes of an own databag.
    Bag {
        /// The relation.
        relation: RelationId,
        /// Which of the own two databags.
        own: Own,
        /// What it shall say.
        changes: Changes,
    },
    /// An own secret, added or changed.
    Secret {
        /// Its label.
        label: String,
        /// What it shall hold.
        content: SecretContent,
        /// Whose it is.
        owner: SecretOwner,
        /// The relation whose other end may read it, and the key of the application's databag that
        /// holds its id.
        granted: Option<(RelationId, String)>,
    },
    /// The end of an own secret, by its label.
    RemoveSecret(String),
    /// The end of a revision of an own secret, which no consumer tracks.
    RemoveRevision(SecretId, u32),
    /// The ports that are open; all others are closed.
    Ports(Vec<Port>),
    /// The unit's status while the effects behind it are made.
    ShowStatus(Status),
    /// The workload's version.
    Version(String),
    /// A line of the model's log.
    Log(Level, String),
    /// A key of the controller state, or its end.
    State(String, Option<String>),
    /// A result of the action. It may be secret; see [`Context::action_result`].
    ActionResult(String, Hidden),
    /// The end of the action, and why it failed.
    ActionFail(String),
    /// What shall run in a container.
    Layer {
        /// The container.
        container: String,
        /// The layer, which takes the place of the one that was added before.
        layer: Box<Layer>,
    },
    /// Where the output of a container's services is sent; it is no longer sent elsewhere. The
    /// name of a target has to follow from its location.
    LogTargets {
        /// The container.
        container: String,
        /// The targets by name.
        targets: BTreeMap<String, LogTarget>,
    },
    /// A file in a container.
    File {
        /// The container.
        container: String,
        /// Its absolute path.
        path: String,
        /// What it shall hold.
        content: Hidden,
        /// Its permissions.
        mode: u32,
    },
}

/// A text that may be secret: it is compared, and not printed.
#[derive(Clone)]
pub struct Hidden(SecretString);

impl Hidden {
    /// The text, for the place that uses it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The text as most crates take it.
    pub fn secret(&self) -> SecretString {
        self.0.clone()
    }
}

impl From<SecretString> for Hidden {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Hidden {}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Write {
    /// Changes of an own databag.
    pub fn bag(relation: RelationId, own: Own, changes: impl Into<Changes>) -> Self {
        Self::Bag { relation, own, changes: changes.into() }
    }

    /// Changes of the own unit's databag.
    pub fn unit_bag(relation: RelationId, changes: impl Into<Changes>) -> Self {
        Self::bag(relation, Own::Unit, changes)
    }

    /// Changes of the application's databag; only the leader may write it.
    pub fn app_bag(relation: RelationId, changes: impl Into<Changes>) -> Self {
        Self::bag(relation, Own::App, changes)
    }

    /// An own secret that is granted to no relation.
    pub fn secret(label: impl Into<String>, content: SecretContent, owner: SecretOwner) -> Self {
        Self::Secret { label: label.into(), content, owner, granted: None }
    }

    /// A warning in the model's log.
    pub fn warning(line: impl Into<String>) -> Self {
        Self::Log(Level::Warning, line.into())
    }

    /// These TCP ports are open, and all others closed.
    pub fn ports(ports: impl IntoIterator<Item = u16>) -> Self {
        Self::Ports(ports.into_iter().map(Port::tcp).collect())
    }

    /// A result of the action.
    pub fn result(key: impl Into<String>, value: impl Into<Hidden>) -> Self {
        Self::ActionResult(key.into(), value.into())
    }

    /// The end of the action, and why it failed.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::ActionFail(message.into())
    }

    /// What shall run in a container.
    pub fn layer(container: impl Into<String>, layer: Layer) -> Self {
        Self::Layer { container: container.into(), layer: Box::new(layer) }
    }

    /// Where the output of a container's services is sent.
    pub fn log_targets(container: impl Into<String>, targets: BTreeMap<String, LogTarget>) -> Self {
        Self::LogTargets { container: container.into(), targets }
    }

    /// A file in a container that its owner alone may read.
    pub fn file(
        container: impl Into<String>,
        path: impl Into<String>,
        content: impl Into<Hidden>,
    ) -> Self {
        let (container, path) = (container.into(), path.into());
        Self::File { container, path, content: content.into(), mode: 0o600 }
    }

    /// Makes it true.
    ///
    /// Where a container's Pebble does not answer yet, the unit's status says that it is waited
    /// for, and the other effects go on; where services do not start it says so.
    ///
    /// # Errors
    /// When Juju refuses the write, or Pebble refuses what should always be possible.
    pub async fn apply(self, juju: &mut Context) -> Result<Applied, Error> {
        match self {
            Self::Bag { relation, own, changes } => {
                juju.set_bag(relation, own, changes)?;
            }
            Self::Secret { label, content, owner, granted } => {
                let id = juju.put_secret(&label, &content, owner)?;
                if let Some((relation, key)) = granted
                    && juju.set_bag(relation, Own::App, [(key, id.to_string())])?
                {
                    juju.grant_secret(&id, relation)?;
                }
            }
            Self::RemoveSecret(label) => {
                if let Some(info) = juju.secret_info(&label)? {
                    juju.remove_secret(&info.id, None)?;
                }
            }
            Self::RemoveRevision(id, revision) => juju.remove_secret(&id, Some(revision))?,
            Self::Ports(ports) => juju.set_ports(&ports)?,
            Self::ShowStatus(status) => juju.set_status(&status)?,
            Self::Version(version) => juju.set_workload_version(&version)?,
            Self::Log(level, line) => juju.log(level, line),
            Self::State(key, value) => {
                juju.set_state(&key, value)?;
            }
            Self::ActionResult(key, value) => juju.action_result(key, value.expose()),
            Self::ActionFail(message) => juju.action_fail(&message)?,
            Self::Layer { container, layer } => {
                return answered(&container, run(juju, &container, &layer).await);
            }
            Self::LogTargets { container, targets } => {
                return send_logs(juju, &container, &targets).await;
            }
            Self::File { container, path, content, mode } => {
                let pushed = push(juju, &container, &path, content.expose(), mode).await;
                return answered(&container, pushed);
            }
        }
        Ok(Applied::Done)
    }
}

impl std::fmt::Debug for Write {
    /// What it does in a few words, and nothing secret: for tests and traces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bag { relation, own, changes } => {
                let own = if *own == Own::App { "app" } else { "unit" };
                write!(f, "set {own} {relation}:")?;
                changes.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            Self::Secret { label, .. } => write!(f, "put secret {label}"),
            Self::RemoveSecret(label) => write!(f, "remove secret {label}"),
            Self::RemoveRevision(_, revision) => write!(f, "remove revision {revision}"),
            Self::Ports(ports) => write!(f, "open {ports:?}"),
            Self::ShowStatus(status) => {
                write!(f, "show {}: {}", status.word(), status.message())
            }
            Self::Version(version) => write!(f, "version {version}"),
            Self::Log(_, line) => write!(f, "log: {line}"),
            Self::State(key, Some(value)) => write!(f, "keep {key}: {value}"),
            Self::State(key, None) => write!(f, "forget {key}"),
            Self::ActionResult(key, _) => write!(f, "result {key}"),
            Self::ActionFail(message) => write!(f, "fail: {message}"),
            Self::Layer { container, .. } => write!(f, "layer {container}"),
            Self::LogTargets { container, targets } => {
                write!(f, "send logs of {container} to {:?}", targets.keys())
            }
            Self::File { container, path, .. } => write!(f, "file {container} {path}"),
        }
    }
}

fn pebble(juju: &Context, container: &str) -> Result<pebble_client::Client, Error> {
    let name: ContainerName = container.parse()?;
    Ok(juju.pebble(&name))
}

/// A container that is not there yet is waited for, and no reason to fail.
fn answered(container: &str, done: Result<Applied, Error>) -> Result<Applied, Error> {
    match done {
        Err(Error::Pebble(error)) if error.is_unreachable() => {
            Ok(Applied::Status(Status::waiting(format!("for the container {container}"))))
        }
        done => done,
    }
}

/// Starts what is new, starts again what differs, and nothing else.
async fn run(juju: &mut Context, container: &str, layer: &Layer) -> Result<Applied, Error> {
    let pebble = pebble(juju, container)?;
    let label = juju.app().to_string();
    if layer.differs_from(&pebble.plan().await?) {
        pebble.add_layer(&label, layer, true).await?;
    }
    let change = pebble.replan().await?;
    match pebble.wait_change(&change, START).await {
        Err(error @ pebble_client::Error::Change { .. }) => {
            juju.log(Level::Error, error_chain(&error));
            let text = format!("a service of {container} does not start, the log says why");
            Ok(Applied::Status(Status::blocked(text)))
        }
        ended => {
            ended?;
            Ok(Applied::Done)
        }
    }
}

/// The label of the layer with the targets of logs.
const LOGS: &str = "log-targets";

/// A container that does not answer yet has no such targets when it does, and an event then.
async fn send_logs(
    juju: &Context,
    container: &str,
    targets: &BTreeMap<String, LogTarget>,
) -> Result<Applied, Error> {
    let pebble = pebble(juju, container)?;
    let plan = match pebble.plan().await {
        Err(error) if error.is_unreachable() => return Ok(Applied::Done),
        plan => plan?,
    };
    let layer = Layer::sending_logs_to(targets, &plan);
    if layer != Layer::default() {
        pebble.add_layer(LOGS, &layer, true).await?;
    }
    Ok(Applied::Done)
}

async fn push(
    juju: &Context,
    container: &str,
    path: &str,
    content: &str,
    mode: u32,
) -> Result<Applied, Error> {
    assert!(path.starts_with('/'), "the path {path} is not absolute");
    let pebble = pebble(juju, container)?;
    if pebble.pull_texts(&[path]).await?.first().is_some_and(|now| now.as_deref() == Some(content))
    {
        return Ok(Applied::Done);
    }
    let ownership = Ownership::make_dirs().mode(mode);
    pebble.push_all(&[NewFile { path, content: content.as_bytes(), ownership }]).await?;
    Ok(Applied::Done)
}
