//! Why the daemon refuses a request.

use juju_model::{Model, ModelError};
use juju_names::{AppName, UnitName};

use crate::api::{Refusal, RefusalKind};
use crate::daemon::store::StoreError;
use crate::images::ImagesError;
use crate::package::charm_file::CharmFileError;

/// Why a verb was refused. The text is meant for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The model's rules refuse it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The charm cannot be used.
    #[error(transparent)]
    Charm(#[from] CharmFileError),
    /// An image cannot be had.
    #[error(transparent)]
    Image(#[from] ImagesError),
    /// The store refuses the change.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A loopback port cannot be used.
    #[error(transparent)]
    Forward(#[from] node::NodeError),
    /// A name is not known.
    #[error("cannot find {what} {name:?}; the model has {known}")]
    Unknown { what: &'static str, name: String, known: String },
    /// A unit left while a command waited for its turn.
    #[error("cannot run the command on {0}: the unit went first")]
    ExecLost(UnitName),
    /// A resource of the charm has no image.
    #[error(
        "cannot deploy {app}: its container {container:?} needs the resource {resource:?}; add --resource {resource}=<image definition>"
    )]
    NoImage { app: AppName, container: String, resource: String },
    /// A resource's file cannot be taken.
    #[error("cannot take the resource {file}: {source}", file = file.display())]
    Resource { file: std::path::PathBuf, source: std::io::Error },
    /// A resource that the charm does not have.
    #[error("cannot deploy {app}: the charm has no resource {resource:?}; it has {known}")]
    NoResource { app: AppName, resource: String, known: String },
    /// The page's port cannot be had.
    #[error(
        "cannot serve the page on port {port} of 127.0.0.1: {source}; name another with --port"
    )]
    Page { port: u16, source: std::io::Error },
    /// A task that goes on by itself did not come to its end.
    #[error("cannot end the request: {0}; see the engine's log")]
    Task(#[from] tokio::task::JoinError),
    /// A charm name that no application can have.
    #[error("cannot deploy: {0}")]
    Name(#[from] juju_names::NameError),
}

impl RequestError {
    /// What the command line gets of it.
    pub(crate) fn refusal(&self) -> Refusal {
        let kind = match self {
            Self::Model(ModelError::Related(_)) => RefusalKind::Exists,
            Self::Model(_)
            | Self::Charm(_)
            | Self::Image(_)
            | Self::Store(_)
            | Self::Forward(_)
            | Self::Unknown { .. }
            | Self::ExecLost(_)
            | Self::NoImage { .. }
            | Self::Resource { .. }
            | Self::NoResource { .. }
            | Self::Page { .. }
            | Self::Task(_)
            | Self::Name(_) => RefusalKind::Other,
        };
        Refusal { kind, words: self.to_string() }
    }
}

/// Says that there is no such application, and which there are.
pub(crate) fn unknown_app(model: &Model, app: &AppName) -> RequestError {
    RequestError::Unknown {
        what: "application",
        name: app.to_string(),
        known: list(model.applications().map(|app| &app.name)),
    }
}

/// Names for a message; `nothing` when there are none.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
