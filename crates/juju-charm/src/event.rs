//! Events: what Juju wants the charm to deal with.

use juju_names::{AppName, ContainerName, EndpointName, NameError, RelationId, SecretId, UnitName};

use crate::environment::{EnvironmentError, Vars, named, optional, required, value};

/// One event. Two events with the same name and subject are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The unit was just created.
    Install,
    /// The unit starts; on Kubernetes also after every restart of the pod.
    Start,
    /// The unit is about to go.
    Stop,
    /// The last event of a unit.
    Remove,
    /// Options, trust or addresses may have changed.
    ConfigChanged,
    /// Every few minutes.
    UpdateStatus,
    /// This unit leads its application now.
    LeaderElected,
    /// The charm's files were replaced.
    UpgradeCharm,
    /// A container's Pebble answers.
    PebbleReady {
        /// The container.
        container: ContainerName,
    },
    /// A process in a container recorded a notice.
    PebbleCustomNotice {
        /// The container.
        container: ContainerName,
        /// The notice's id.
        id: String,
        /// The notice's key, for instance `example.com/backup`.
        key: String,
    },
    /// A check of a container's plan failed as often as its threshold.
    PebbleCheckFailed {
        /// The container.
        container: ContainerName,
        /// The check.
        check: String,
    },
    /// A failed check passes again.
    PebbleCheckRecovered {
        /// The container.
        container: ContainerName,
        /// The check.
        check: String,
    },
    /// Something happened in a relation.
    Relation(RelationEvent),
    /// A secret that this unit reads has a new revision.
    SecretChanged {
        /// The secret.
        id: SecretId,
        /// This unit's label of it.
        label: Option<String>,
    },
    /// No consumer tracks this revision of an own secret any more.
    SecretRemove {
        /// The secret.
        id: SecretId,
        /// The owner's label.
        label: Option<String>,
        /// The revision to remove.
        revision: u32,
    },
    /// An own secret is due for a new revision.
    SecretRotate {
        /// The secret.
        id: SecretId,
        /// The owner's label.
        label: Option<String>,
    },
    /// A revision of an own secret has expired.
    SecretExpired {
        /// The secret.
        id: SecretId,
        /// The owner's label.
        label: Option<String>,
        /// The revision to remove.
        revision: u32,
    },
    /// A storage instance is there.
    StorageAttached {
        /// Name and number, for instance `pgdata/0`.
        id: String,
        /// Where it is mounted.
        location: String,
    },
    /// A storage instance is about to go.
    StorageDetaching {
        /// Name and number, for instance `pgdata/0`.
        id: String,
        /// Where it is mounted.
        location: String,
    },
    /// An action is run.
    Action {
        /// The action's name.
        name: String,
        /// The task's id.
        id: String,
    },
    /// Any other hook name, for instance one that a charm dispatches itself.
    Custom(String),
}

/// Something that happened in a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationEvent {
    /// What happened.
    pub kind: RelationKind,
    /// The own endpoint.
    pub endpoint: EndpointName,
    /// The relation.
    pub id: RelationId,
    /// The application at the other end; the own one for peers. Juju leaves it out of the end
    /// of a relation that was there before the unit's agent started: [`crate::Reader::remote_app`]
    /// asks.
    pub remote_app: Option<AppName>,
    /// The unit at the other end; `None` for created, broken and changed application data.
    pub remote_unit: Option<UnitName>,
    /// The unit that leaves: a remote one, or this one. Departed only.
    pub departing_unit: Option<UnitName>,
}

/// What happened in a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    /// The relation exists.
    Created,
    /// A remote unit came.
    Joined,
    /// A remote unit's or application's databag changed.
    Changed,
    /// A remote unit went.
    Departed,
    /// The relation is over.
    Broken,
}

impl RelationKind {
    const ALL: [Self; 5] =
        [Self::Created, Self::Joined, Self::Changed, Self::Departed, Self::Broken];

    /// Whether the relation exists and the event's unit stays in it.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Created | Self::Joined | Self::Changed)
    }

    /// Juju's word, for instance `joined`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Changed => "changed",
            Self::Departed => "departed",
            Self::Broken => "broken",
        }
    }
}

/// A dispatch environment that makes no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A variable the event needs is missing or malformed.
    #[error("cannot read the event {event:?} from the environment")]
    Variable {
        /// The path Juju dispatches.
        event: String,
        /// The variable.
        source: EnvironmentError,
    },
    /// The container in the hook's name is none.
    #[error("cannot read the container of the event {event:?}")]
    Container {
        /// The path Juju dispatches.
        event: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A number is none.
    #[error("cannot read the event {event:?}: JUJU_SECRET_REVISION is no number")]
    Revision {
        /// The path Juju dispatches.
        event: String,
    },
}

impl Event {
    /// Reads the event from the dispatch environment.
    ///
    /// An unknown hook is `Custom`, never an error: a charm that was rolled back may
    /// be sent events it does not know.
    ///
    /// # Errors
    /// When a known event lacks what belongs to it.
    pub fn parse(vars: &Vars) -> Result<Self, EventError> {
        let path = vars.get("JUJU_DISPATCH_PATH").map_or("", String::as_str);
        if let Some(name) = path.strip_prefix("actions/") {
            let id = value(vars, "JUJU_ACTION_UUID").unwrap_or_default().to_owned();
            return Ok(Self::Action { name: name.to_owned(), id });
        }
        let name = path.strip_prefix("hooks/").unwrap_or(path);
        if let Some(event) = plain(name) {
            return Ok(event);
        }
        let event = || path.to_owned();
        if let Some(found) = relation(name, vars) {
            return found.map_err(|source| EventError::Variable { event: event(), source });
        }
        if let Some(found) = pebble(name, vars) {
            return found.map_err(|source| EventError::Container { event: event(), source });
        }
        if name.starts_with("secret-") {
            return secret(name, vars, path);
        }
        Ok(storage(name, vars).unwrap_or_else(|| Self::Custom(name.to_owned())))
    }

    /// Juju's name of the event, for instance `database-relation-joined`; for an action
    /// the action's name.
    pub fn name(&self) -> String {
        match self {
            Self::Install => "install".to_owned(),
            Self::Start => "start".to_owned(),
            Self::Stop => "stop".to_owned(),
            Self::Remove => "remove".to_owned(),
            Self::ConfigChanged => "config-changed".to_owned(),
            Self::UpdateStatus => "update-status".to_owned(),
            Self::LeaderElected => "leader-elected".to_owned(),
            Self::UpgradeCharm => "upgrade-charm".to_owned(),
            Self::PebbleReady { container } => format!("{container}-pebble-ready"),
            Self::PebbleCustomNotice { container, .. } => {
                format!("{container}-pebble-custom-notice")
            }
            Self::PebbleCheckFailed { container, .. } => format!("{container}-pebble-check-failed"),
            Self::PebbleCheckRecovered { container, .. } => {
                format!("{container}-pebble-check-recovered")
            }
            Self::Relation(relation) => {
                format!("{}-relation-{}", relation.endpoint, relation.kind.word())
            }
            Self::SecretChanged { .. } => "secret-changed".to_owned(),
            Self::SecretRemove { .. } => "secret-remove".to_owned(),
            Self::SecretRotate { .. } => "secret-rotate".to_owned(),
            Self::SecretExpired { .. } => "secret-expired".to_owned(),
            Self::StorageAttached { id, .. } => format!("{}-storage-attached", storage_name(id)),
            Self::StorageDetaching { id, .. } => format!("{}-storage-detaching", storage_name(id)),
            Self::Action { name, .. } | Self::Custom(name) => name.clone(),
        }
    }

    /// The relation event, if it is one of `endpoint`.
    pub fn relation(&self, endpoint: impl AsRef<str>) -> Option<&RelationEvent> {
        self.any_relation().filter(|relation| relation.endpoint.as_str() == endpoint.as_ref())
    }

    /// The relation event, if it is one.
    pub(crate) fn any_relation(&self) -> Option<&RelationEvent> {
        if let Self::Relation(relation) = self { Some(relation) } else { None }
    }

    /// Whether a charm may defer it: actions, stop, remove, secret-rotate and
    /// secret-expired happen once, or are repeated by Juju itself.
    pub fn deferrable(&self) -> bool {
        !matches!(
            self,
            Self::Action { .. }
                | Self::Stop
                | Self::Remove
                | Self::SecretRotate { .. }
                | Self::SecretExpired { .. }
        )
    }

    /// The variables from which [`Event::parse`] reads the event again.
    pub fn to_vars(&self) -> Vars {
        let mut vars = Vars::new();
        let mut set = |name: &'static str, value: String| drop(vars.insert(name.into(), value));
        let folder = if matches!(self, Self::Action { .. }) { "actions" } else { "hooks" };
        set("JUJU_DISPATCH_PATH", format!("{folder}/{}", self.name()));
        match self {
            Self::PebbleReady { container } => set("JUJU_WORKLOAD_NAME", container.to_string()),
            Self::PebbleCustomNotice { container, id, key } => {
                set("JUJU_WORKLOAD_NAME", container.to_string());
                set("JUJU_NOTICE_ID", id.clone());
                set("JUJU_NOTICE_TYPE", "custom".to_owned());
                set("JUJU_NOTICE_KEY", key.clone());
            }
            Self::PebbleCheckFailed { container, check }
            | Self::PebbleCheckRecovered { container, check } => {
                set("JUJU_WORKLOAD_NAME", container.to_string());
                set("JUJU_PEBBLE_CHECK_NAME", check.clone());
            }
            Self::Relation(relation) => {
                let optional = |unit: &Option<UnitName>| {
                    unit.as_ref().map(UnitName::to_string).unwrap_or_default()
                };
                set("JUJU_RELATION", relation.endpoint.to_string());
                set("JUJU_RELATION_ID", format!("{}:{}", relation.endpoint, relation.id));
                let app = relation.remote_app.as_ref().map(AppName::to_string);
                set("JUJU_REMOTE_APP", app.unwrap_or_default());
                set("JUJU_REMOTE_UNIT", optional(&relation.remote_unit));
                if relation.departing_unit.is_some() {
                    set("JUJU_DEPARTING_UNIT", optional(&relation.departing_unit));
                }
            }
            Self::SecretChanged { id, label } | Self::SecretRotate { id, label } => {
                set("JUJU_SECRET_ID", id.to_string());
                set("JUJU_SECRET_LABEL", label.clone().unwrap_or_default());
            }
            Self::SecretRemove { id, label, revision }
            | Self::SecretExpired { id, label, revision } => {
                set("JUJU_SECRET_ID", id.to_string());
                set("JUJU_SECRET_LABEL", label.clone().unwrap_or_default());
                set("JUJU_SECRET_REVISION", revision.to_string());
            }
            Self::StorageAttached { id, location } | Self::StorageDetaching { id, location } => {
                set("JUJU_STORAGE_ID", id.clone());
                set("JUJU_STORAGE_LOCATION", location.clone());
                set("JUJU_STORAGE_KIND", "filesystem".to_owned());
            }
            Self::Action { name, id } => {
                set("JUJU_ACTION_NAME", name.clone());
                set("JUJU_ACTION_UUID", id.clone());
                set("JUJU_ACTION_TAG", format!("action-{id}"));
            }
            Self::Install
            | Self::Start
            | Self::Stop
            | Self::Remove
            | Self::ConfigChanged
            | Self::UpdateStatus
            | Self::LeaderElected
            | Self::UpgradeCharm
            | Self::Custom(_) => {}
        }
        vars
    }
}

fn storage_name(id: &str) -> &str {
    id.split_once('/').map_or(id, |(name, _)| name)
}

fn plain(name: &str) -> Option<Event> {
    match name {
        "install" => Some(Event::Install),
        "start" => Some(Event::Start),
        "stop" => Some(Event::Stop),
        "remove" => Some(Event::Remove),
        "config-changed" => Some(Event::ConfigChanged),
        "update-status" => Some(Event::UpdateStatus),
        "leader-elected" => Some(Event::LeaderElected),
        "upgrade-charm" => Some(Event::UpgradeCharm),
        _ => None,
    }
}

fn relation(name: &str, vars: &Vars) -> Option<Result<Event, EnvironmentError>> {
    let (endpoint, word) = name.rsplit_once("-relation-")?;
    let kind = RelationKind::ALL.into_iter().find(|kind| kind.word() == word)?;
    let read = || {
        Ok(Event::Relation(RelationEvent {
            kind,
            endpoint: match optional(vars, "JUJU_RELATION")? {
                Some(endpoint) => endpoint,
                None => named("JUJU_RELATION", endpoint)?,
            },
            id: required(vars, "JUJU_RELATION_ID")?,
            remote_app: optional(vars, "JUJU_REMOTE_APP")?,
            remote_unit: optional(vars, "JUJU_REMOTE_UNIT")?,
            departing_unit: optional(vars, "JUJU_DEPARTING_UNIT")?,
        }))
    };
    Some(read())
}

fn pebble(name: &str, vars: &Vars) -> Option<Result<Event, NameError>> {
    let text = |name: &str| value(vars, name).unwrap_or_default().to_owned();
    let check = text("JUJU_PEBBLE_CHECK_NAME");
    let with = |suffix: &str| {
        let container = name.strip_suffix(suffix)?;
        Some(value(vars, "JUJU_WORKLOAD_NAME").unwrap_or(container).parse::<ContainerName>())
    };
    if let Some(container) = with("-pebble-ready") {
        return Some(container.map(|container| Event::PebbleReady { container }));
    }
    if let Some(container) = with("-pebble-custom-notice") {
        let (id, key) = (text("JUJU_NOTICE_ID"), text("JUJU_NOTICE_KEY"));
        return Some(container.map(|container| Event::PebbleCustomNotice { container, id, key }));
    }
    if let Some(container) = with("-pebble-check-failed") {
        return Some(container.map(|container| Event::PebbleCheckFailed { container, check }));
    }
    let container = with("-pebble-check-recovered")?;
    Some(container.map(|container| Event::PebbleCheckRecovered { container, check }))
}

fn secret(name: &str, vars: &Vars, path: &str) -> Result<Event, EventError> {
    if !["secret-changed", "secret-remove", "secret-rotate", "secret-expired"].contains(&name) {
        return Ok(Event::Custom(name.to_owned()));
    }
    let id = required(vars, "JUJU_SECRET_ID")
        .map_err(|source| EventError::Variable { event: path.to_owned(), source })?;
    let label = value(vars, "JUJU_SECRET_LABEL").map(str::to_owned);
    let revision = || {
        // Juju 3.6 has it behind the id as well.
        let behind = value(vars, "JUJU_SECRET_ID").and_then(|id| id.rsplit('/').next());
        let text = value(vars, "JUJU_SECRET_REVISION").or(behind).unwrap_or_default();
        text.parse().map_err(|_| EventError::Revision { event: path.to_owned() })
    };
    Ok(match name {
        "secret-changed" => Event::SecretChanged { id, label },
        "secret-rotate" => Event::SecretRotate { id, label },
        "secret-remove" => Event::SecretRemove { id, label, revision: revision()? },
        _ => Event::SecretExpired { id, label, revision: revision()? },
    })
}

fn storage(name: &str, vars: &Vars) -> Option<Event> {
    let location = value(vars, "JUJU_STORAGE_LOCATION").unwrap_or_default().to_owned();
    let id = |storage: &str| value(vars, "JUJU_STORAGE_ID").unwrap_or(storage).to_owned();
    if let Some(storage) = name.strip_suffix("-storage-attached") {
        return Some(Event::StorageAttached { id: id(storage), location });
    }
    let storage = name.strip_suffix("-storage-detaching")?;
    Some(Event::StorageDetaching { id: id(storage), location })
}

#[cfg(test)]
mod tests;
