//! The charm as the framework runs it.

use charm::{Applied, Charm, Decision, Event, Hook, HookError};

use crate::effect::Effect;
use crate::facts::Facts;
use crate::{apply, decide, gather};

/// The charm, with the connections that one hook opens.
#[derive(Default)]
pub(crate) struct PgBouncer {
    /// The backend, as the user we were given.
    pub(crate) sql: Option<postgres::Client>,
    /// The Kubernetes API.
    pub(crate) kubernetes: Option<kubernetes::Client>,
}

/// What makes a hook fail, so that Juju retries it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
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
    type Facts = Facts;
    type Effect = Effect;
    type Error = OperatorError;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Facts, OperatorError> {
        gather::facts(self, hook, event).await
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Hook, effect: Effect) -> Result<Applied, OperatorError> {
        apply::effect(self, hook, effect).await
    }
}
