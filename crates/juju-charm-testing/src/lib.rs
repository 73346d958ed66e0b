//! Runs a charm in memory, against Juju's rules.
//!
//! A [`World`] is a Juju model seen from one unit: the state machine and the hook tools are the
//! engine's own. [`World::run`] sends one event to a charm and gives back the world as the charm
//! left it. A world that Juju would never produce, such as an event of a relation that is not
//! there, is refused.
//!
//! ```
//! # use juju_charm::{Applied, Charm, Decision, Event, Context, HookError, Reader, Status};
//! use juju_charm_testing::World;
//! # struct Small;
//! # impl Charm for Small {
//! #     type Facts = ();
//! #     type Effect = ();
//! #     type Error = HookError;
//! #     async fn gather(&mut self, _: &mut Reader, _: &Event) -> Result<(), HookError> { Ok(()) }
//! #     fn decide(_: &Event, (): &()) -> Decision<()> { Decision::new().status(Status::active()) }
//! #     async fn apply(&mut self, _: &mut Context, (): ()) -> Result<Applied, HookError> {
//! #         Ok(Applied::Done)
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let world = World::new("name: small", "small/0")?.leader();
//! let ran = world.run(Small, &Event::Start)?;
//! assert_eq!(ran.result, Ok(()));
//! assert_eq!(ran.world.status(), Some(Status::active()));
//! assert_eq!(ran.calls("status-set"), 1);
//! # Ok(())
//! # }
//! ```

mod hook;
mod relate;
mod relation;
mod run;
mod view;
mod world;

pub use relation::Relation;
pub use run::Ran;
pub use world::World;

use juju_names::SecretId;

/// A world or an event that Juju would never produce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot run the charm in an impossible world: {}", .0.join("; "))]
pub struct Impossible(
    /// Every reason, each a sentence.
    pub Vec<String>,
);

/// A secret id for tests, one for each number.
pub fn secret_id(number: u8) -> SecretId {
    SecretId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, number])
}
