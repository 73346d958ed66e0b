//! The pgbouncer-k8s charm: a connection pooler in front of PostgreSQL.
//!
//! `gather` reads everything once, `decide` derives what is missing without any I/O, `apply` makes
//! it so. Every hook runs the same reconciliation, so an event that was lost, repeated or late does
//! no harm and nothing has to be deferred. Relation events that are irrelevant to a unit are left
//! out by the table in `gather/relevance.rs`. What the charm reaches besides Juju and Pebble, it
//! reaches through its [`Ports`].

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one among all")
)]

mod apply;
mod connections;
mod databases;
mod decide;
mod digest;
mod effect;
mod endpoint;
mod facts;
#[cfg(test)]
mod fixture;
mod gather;
mod names;
mod options;
mod ports;
mod render;
mod settings;
mod state_keys;
mod tls;
mod validate;
mod wording;
#[cfg(test)]
mod world;

pub use effect::{ContainerEffect, Effect};
pub use ports::Ports;

use juju_charm::{Applied, Charm, Context, Decision, Error, Event, Reader};

use connections::Connections;
use facts::Facts;

/// Whether the program was started under the name that it has in the workload container.
pub fn is_agent(program: &str) -> bool {
    program == names::AGENT_PROGRAM
}

/// The charm, with the connections that one hook opens.
pub struct PgBouncer {
    connections: Connections,
}

impl Default for PgBouncer {
    fn default() -> Self {
        Self::new(Box::new(charm_kit::ports::System))
    }
}

impl PgBouncer {
    /// The charm over these ports; [`Default`] gives it the system's.
    pub fn new(ports: Box<dyn Ports>) -> Self {
        Self { connections: Connections { ports, sql: None, kubernetes: None } }
    }
}

impl Charm for PgBouncer {
    type Facts = Facts;
    type Effect = Effect;
    type Error = Error;

    async fn gather(&mut self, hook: &mut Reader, event: &Event) -> Result<Facts, Error> {
        gather::facts(&mut self.connections, hook, event).await
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Context, effect: Effect) -> Result<Applied, Error> {
        apply::effect(&mut self.connections, hook, effect).await
    }
}
