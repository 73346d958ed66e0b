//! The postgresql-k8s charm: PostgreSQL under Patroni, one unit per pod.
//!
//! [`facts`] are gathered once per event, [`decide`] turns them into [`effect`]s without any
//! I/O, and `apply` makes the effects true one by one.

mod apply;
mod decide;
mod effect;
mod facts;
mod gather;
mod layer;
mod options;
mod passwords;
mod patroni_yml;
mod resources;
mod sync;
mod tls;
mod topology;

pub use effect::Effect;
pub use facts::Facts;

use charm::{Applied, Charm, Decision, Event, Hook};

/// The charm.
#[derive(Default)]
pub struct Postgresql;

/// What makes a hook fail; Juju then retries it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Juju refused a read or a write.
    #[error(transparent)]
    Hook(#[from] charm::HookError),
    /// Pebble refused what should always be possible.
    #[error(transparent)]
    Pebble(#[from] pebble::Error),
    /// The configuration cannot be rendered.
    #[error(transparent)]
    Render(#[from] patroni::config::RenderError),
    /// The operating system gave no random numbers.
    #[error("cannot draw random numbers")]
    Random(#[source] rand::rngs::SysError),
}

impl Charm for Postgresql {
    type Facts = Facts;
    type Effect = Effect;
    type Error = Error;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Facts, Error> {
        gather::gather(hook, event).await
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Hook, effect: Effect) -> Result<Applied, Error> {
        apply::apply(hook, effect).await
    }
}
