//! The charm as the framework runs it.

use charm::{Applied, Charm, Decision, Event, Hook, HookError};

use crate::door::{Door, Open};
use crate::effect::Effect;
use crate::facts::Facts;
use crate::{apply, decide, gather};

/// The charm, with the connections that one hook opens.
pub struct PgBouncer {
    /// What it reaches.
    pub(crate) door: Box<dyn Door>,
    /// The backend, as the user we were given.
    pub(crate) sql: Option<postgres::Client>,
    /// The Kubernetes API.
    pub(crate) kubernetes: Option<kubernetes::Client>,
}

/// What one decision knows.
pub struct Known(Facts);

/// What one decision wants done.
#[derive(Debug)]
pub struct Deed(Effect);

impl Default for PgBouncer {
    fn default() -> Self {
        Self::new(Box::new(Open))
    }
}

impl PgBouncer {
    /// The charm behind this door; [`Default`] opens it to the real world.
    pub fn new(door: Box<dyn Door>) -> Self {
        Self { door, sql: None, kubernetes: None }
    }
}

/// What makes a hook fail, so that Juju retries it.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Juju refused a read or a write.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The container's Pebble answered with something unexpected.
    #[error(transparent)]
    Pebble(#[from] pebble::Error),
    /// A name that the charm made is none.
    #[error(transparent)]
    Name(#[from] charm::NameError),
}

impl Charm for PgBouncer {
    type Facts = Known;
    type Effect = Deed;
    type Error = OperatorError;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Known, OperatorError> {
        gather::facts(self, hook, event).await.map(Known)
    }

    fn decide(event: &Event, facts: &Known) -> Decision<Deed> {
        decide::decide(event, &facts.0).map(Deed)
    }

    async fn apply(&mut self, hook: &mut Hook, deed: Deed) -> Result<Applied, OperatorError> {
        apply::effect(self, hook, deed.0).await
    }
}
