//! The postgresql-k8s charm: PostgreSQL under Patroni, one unit per pod.
//!
//! [`facts`] are gathered once per event, [`decide`] turns them into [`effect`]s without any
//! I/O, and `apply` makes the effects true one by one. What the charm reaches besides Juju and
//! Pebble, it reaches through its [`Door`].

mod apply;
mod decide;
mod door;
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

pub use door::{Boxed, Door};
pub use effect::Effect;
pub use facts::Facts;
pub use options::is_decided;
pub use resources::{Resources, Volume};

use charm::{Applied, Charm, Decision, Event, Hook};

/// The charm.
pub struct Postgresql {
    door: Box<dyn Door>,
}

impl Default for Postgresql {
    fn default() -> Self {
        Self::new(Box::new(door::Open))
    }
}

impl Postgresql {
    /// The charm behind this door; [`Default`] opens it to the real world.
    pub fn new(door: Box<dyn Door>) -> Self {
        Self { door }
    }
}

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
        gather::gather(self.door.as_ref(), hook, event).await
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Hook, effect: Effect) -> Result<Applied, Error> {
        apply::apply(self.door.as_ref(), hook, effect).await
    }
}
