//! The postgresql-k8s charm: PostgreSQL under Patroni, one unit per pod.
//!
//! `facts` are gathered once per event, `decide` turns them into `effect`s without any
//! I/O, and `apply` makes the effects true one by one. What the charm reaches besides Juju and
//! Pebble, it reaches through its [`Ports`].

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one among all")
)]

mod apply;
mod decide;
mod effect;
mod endpoint;
mod facts;
mod gather;
mod layer;
mod options;
mod passwords;
mod patroni_yml;
mod ports;
mod resources;
mod slots;
mod status;
mod sync;
mod tls;
mod topology;
mod upgrade;
mod validate;
mod wording;

pub use effect::{Effect, PatroniCommand, Roll};
pub use facts::Facts;
pub use options::is_decided;
pub use ports::Ports;
pub use resources::{Resources, Volume};

use std::time::Duration;

use juju_charm::{Applied, Charm, Context, Decision, Error, Event, Reader};

/// Whether the program was started under the name that it has in the workload container.
pub fn is_before_stop(program: &str) -> bool {
    program == layer::BEFORE_STOP
}

/// The charm.
pub struct Postgresql {
    ports: Box<dyn Ports>,
    /// How long this hook may still wait for its member.
    patience: Duration,
}

impl Default for Postgresql {
    fn default() -> Self {
        Self::new(Box::new(charm_kit::ports::System))
    }
}

impl Postgresql {
    /// The charm over these ports; [`Default`] gives it the system's.
    pub fn new(ports: Box<dyn Ports>) -> Self {
        Self { ports, patience: apply::MEMBER_BOUND }
    }
}

impl Charm for Postgresql {
    type Facts = Facts;
    type Effect = Effect;
    type Error = Error;

    async fn gather(&mut self, hook: &mut Reader, event: &Event) -> Result<Facts, Error> {
        gather::gather(self.ports.as_ref(), hook, event).await
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Context, effect: Effect) -> Result<Applied, Error> {
        apply::apply(self.ports.as_ref(), hook, effect, &mut self.patience).await
    }
}
