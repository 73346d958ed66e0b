//! The framework for Juju charms in Rust.
//!
//! A charm is a value that implements [`Charm`]: [`Charm::gather`] reads the world
//! once, [`Charm::decide`] turns the facts into a [`Decision`] without any I/O, and
//! [`Charm::apply`] makes the effects true, one by one, in the order decided.
//! [`run`] is the whole `main` of a charm; [`testing::World`] runs the same charm in
//! memory, against Juju's rules.
//!
//! [`Hook`] is the charm's view of Juju for one dispatch: every read is made at most
//! once, every write compares with what was read, and bag, state, action and log
//! writes leave as one tool call each at the end of the hook.

mod charm;
mod deferral;
mod dispatch;
mod environment;
mod event;
mod hook;
mod inputs;
mod secret;
mod status;
mod tools;

pub mod databag;
pub mod testing;

pub use charm::{Applied, Charm, Decision, Outcome};
pub use databag::{Bag, Changes, Own, Party, Peers};
pub use deferral::{DEFERRED_MAX, Deferrals, Deferred};
pub use dispatch::{DispatchError, dispatch, run};
pub use environment::{Environment, EnvironmentError, Vars};
pub use event::{Event, EventError, RelationEvent, RelationKind};
pub use hook::{Config, Hook, HookError, Level, Network, PairsError, Port, Storage};
pub use secret::{Revision, SecretContent, SecretInfo, SecretOwner, SecretQuery};
pub use status::Status;
pub use tools::{Processes, ToolError, Tools};

pub use names::{
    AppName, ContainerName, EndpointName, ModelName, NameError, RelationId, SecretId, UnitName,
};
pub use secrecy::{ExposeSecret, SecretString};
