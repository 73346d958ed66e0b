//! Why the model refuses: operator commands, hook flushes, charm files.

/// Why an operator's command is refused. The text is meant for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// `deploy`.
    #[error("cannot deploy {app:?}: {reason}")]
    Deploy {
        /// The application's name as asked for.
        app: String,
        /// What is wrong and what there is instead.
        reason: String,
    },
    /// `refresh`.
    #[error("cannot refresh: {0}")]
    Refresh(String),
    /// `integrate`.
    #[error("cannot integrate: {0}")]
    Integrate(String),
    /// `integrate` of what is related already.
    #[error("cannot integrate: relation {0:?} already exists")]
    Related(String),
    /// `remove-relation`.
    #[error("cannot remove the relation: {0}")]
    RemoveRelation(String),
    /// `remove-application`.
    #[error("cannot remove the application: {0}")]
    RemoveApplication(String),
    /// `scale-application`.
    #[error("cannot scale: {0}")]
    Scale(String),
    /// `config` of an application.
    #[error("cannot set the configuration: {0}")]
    Config(String),
    /// `model-config`.
    #[error("cannot set the model's configuration: {0}")]
    ModelConfig(String),
    /// `deploy --constraints`.
    #[error("cannot set the constraints: {0}")]
    Constraints(String),
    /// `trust`.
    #[error("cannot trust: {0}")]
    Trust(String),
    /// `run`.
    #[error("cannot run the action: {0}")]
    RunAction(String),
    /// `cancel-task`.
    #[error("cannot cancel the task: {0}")]
    CancelTask(String),
    /// `expose` and `unexpose`.
    #[error("cannot expose: {0}")]
    Expose(String),
    /// `juju-exec`.
    #[error("cannot run the command: {0}")]
    Exec(String),
    /// `resolve`.
    #[error("cannot resolve: {0}")]
    Resolve(String),
    /// `add-secret` and `grant-secret`.
    #[error("cannot change the secret: {0}")]
    Secret(String),
}

/// Why a hook that exited 0 did not commit. All of its buffered changes are dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The unit lost leadership before its application bag was written.
    #[error("cannot write relation settings")]
    AppBag,
    /// An application secret was changed by a unit that does not lead.
    #[error("creating secrets: this unit is not the leader")]
    NotLeader,
    /// A secret is unknown, or belongs to another owner.
    #[error("{doing}: {why}")]
    Secret {
        /// What was to be done.
        doing: &'static str,
        /// Why it was not.
        why: String,
    },
    /// A label is taken.
    #[error("creating secrets: secret with label {0:?} already exists")]
    SecretLabel(String),
    /// A value that was given in base64 is none.
    #[error("creating secrets: value of key {0:?} is no base64")]
    SecretContent(String),
    /// A secret is granted to the own application.
    #[error(
        "granting secrets access: granting access to a secret over a peer relation is not supported"
    )]
    PeerGrant,
    /// More storage was asked for than there can be.
    #[error("preparing storage additions: preparing storage add {name:?} for unit {unit:?}: {why}")]
    Storage {
        /// The storage's name.
        name: String,
        /// The unit.
        unit: String,
        /// What is wrong.
        why: String,
    },
    /// The charm keeps too much state.
    #[error(
        "cannot write the unit's state: max allowed size ({0}) exceeded; delete keys that are of no use"
    )]
    StateSize(usize),
    /// A databag would be too large.
    #[error(
        "cannot write the databag of relation {relation}: it would have {size} bytes, and at most {max} are kept; write less",
        max = crate::limits::DOCUMENT_MAX
    )]
    BagSize {
        /// The relation's id.
        relation: String,
        /// How large it would be.
        size: usize,
    },
    /// An application would keep too much.
    #[error(
        "cannot keep what the hook wrote: databags, state and secrets of {app} would have {size} bytes, and at most {max} are kept; remove what is of no use",
        max = crate::limits::KEPT_MAX
    )]
    Kept {
        /// The application.
        app: String,
        /// How large all of it would be.
        size: usize,
    },
    /// A port is opened or closed for an endpoint that the charm lacks.
    #[error("{verb} port range: endpoint {endpoint:?} for application {app:?} not found")]
    PortEndpoint {
        /// `open` or `close`.
        verb: &'static str,
        /// The endpoint.
        endpoint: String,
        /// The application.
        app: String,
    },
    /// The unit has been removed meanwhile.
    #[error("cannot commit the hook: unit {0:?} is gone")]
    Gone(String),
}

/// Why a charm's files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// `metadata.yaml` has no name.
    #[error("cannot use the charm: metadata.yaml has no name")]
    Name,
    /// A container, endpoint or application name outside Juju's grammar.
    #[error("cannot use the charm's {section}: {source}")]
    Section {
        /// The section of the file.
        section: &'static str,
        /// What the grammar says.
        source: juju_names::NameError,
    },
    /// A name that could lead elsewhere as a part of a path.
    #[error(
        "cannot use the charm's {section}: {name:?} is no name; use letters, digits, '-', '_' and '.'"
    )]
    Part {
        /// The section of the file.
        section: &'static str,
        /// The name as written.
        name: String,
    },
    /// A resource that Juju would not take.
    #[error("cannot use the charm's resource {resource:?}: {fault}")]
    Resource {
        /// Its name.
        resource: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Two endpoints of one name.
    #[error("cannot use the charm: endpoint {0:?} is declared twice")]
    Endpoint(String),
    /// A default of the wrong type.
    #[error("cannot use the charm's option {option:?}: its default {value} is not of type {kind}")]
    Default {
        /// The option.
        option: String,
        /// The default as written.
        value: String,
        /// The declared type.
        kind: String,
    },
    /// An option type Juju does not have.
    #[error(
        "cannot use the charm's option {option:?}: type {kind:?} is none of string, int, float, boolean, secret"
    )]
    Kind {
        /// The option.
        option: String,
        /// The type as written.
        kind: String,
    },
    /// An interface is missing.
    #[error("cannot use the charm's endpoint {0:?}: it has no interface")]
    Interface(String),
}

/// `a, b, c`, or `none`.
pub(crate) fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
