//! The framework for Juju charms in Rust.
//!
//! Juju starts a charm once for each event. The charm reads the world, decides, writes, and ends:
//!
//! | phase | who | what it may do |
//! | --- | --- | --- |
//! | gather | [`Charm::gather`] | read, through a [`Reader`]; it has no method that writes |
//! | decide | [`Charm::decide`] | nothing but turn the facts into a [`Decision`] |
//! | apply | [`Charm::apply`] | make the effects true, one by one, in the order decided |
//! | report | the framework | show the status, and commit what was collected |
//!
//! A charm that needs no effects of its own is a [`SimpleCharm`]: its options are a type, its
//! effects are [`Write`]s, and it has no *apply*. This one greets every relation:
//!
//! ```
//! use juju_charm::{Decision, Error, Event, Reader, RelationId, SimpleCharm, Status, Write};
//!
//! struct Hello;
//!
//! #[derive(serde::Deserialize)]
//! struct Options {
//!     name: String,
//! }
//!
//! impl SimpleCharm for Hello {
//!     type Options = Options;
//!     type Facts = Vec<RelationId>;
//!
//!     async fn gather(&mut self, juju: &mut Reader, _: &Event) -> Result<Vec<RelationId>, Error> {
//!         Ok(juju.relations("greeting")?)
//!     }
//!
//!     fn decide(_: &Event, options: &Options, relations: &Vec<RelationId>) -> Decision<Write> {
//!         let greeting = format!("Hello, {}", options.name);
//!         let greet = |id: &RelationId| Write::unit_bag(*id, [("greeting", greeting.clone())]);
//!         let greetings: Vec<Write> = relations.iter().map(greet).collect();
//!         Decision::new().effects(greetings).status(Status::active())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//! #   if true { return std::process::ExitCode::SUCCESS }
//!     juju_charm::run(Hello)
//! }
//! ```
//!
//! A charm that also runs SQL, say, implements [`Charm`]: its effects are
//! `enum Effect { Juju(Write), Sql(Sql) }`, and its *apply* hands the first to [`Write::apply`].
//!
//! # What holds for every charm
//!
//! - **The same decision on every event.** *Gather* reads what is, *decide* says what shall be,
//!   and a write of what is there already calls nothing. An event that is lost, late or repeated
//!   does no harm.
//! - **A read costs one call a hook.** Ask the [`Reader`] as often as you like. What a
//!   `cached_…` method has read is remembered for later hooks too, until an event makes it
//!   doubtful.
//! - **Writes leave together.** Bags, controller state, results of an action and log lines are
//!   collected, and leave as one call each at the end of the hook, which is when Juju commits
//!   them. A hook that fails writes none of them.
//! - **Waiting is a value.** [`Decision::defer`] has the event tried again before the next one;
//!   a missing thing that its own event will announce needs only a status.
//! - **Secrets are not printed.** [`SecretString`], [`SecretContent`] and [`Hidden`] have no
//!   `Debug` that shows them.
//! - **Endpoints are an enum**, which [`endpoints!`] makes, and the readers take.
//!
//! [`run`] is the whole `main` of a charm; the `World` of the crate `juju-charm-testing` runs the
//! same charm in memory, against Juju's rules.

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one among all")
)]

mod charm;
mod context;
mod deferral;
mod dispatch;
mod endpoint;
mod environment;
mod error;
mod event;
mod inputs;
mod options;
mod secret;
mod simple;
mod status;
mod tools;
mod write;

pub mod databag;

pub use charm::{Applied, Charm, Decision, Outcome};
pub use context::{
    Cause, Config, Context, HookError, Level, Network, PairsError, Port, Reader, Storage,
};
pub use databag::{Bag, Changes, Own, Party, Peers};
pub use deferral::{DEFERRED_MAX, Deferrals, Deferred};
pub use dispatch::{DispatchError, dispatch, run};
pub use endpoint::EndpointSet;
pub use environment::{Environment, EnvironmentError, Vars};
pub use error::{Error, error_chain};
pub use event::{Event, EventError, RelationEvent, RelationKind};
pub use options::OptionError;
pub use secret::{Revision, SecretContent, SecretInfo, SecretOwner, SecretQuery};
pub use simple::SimpleCharm;
pub use status::Status;
pub use tools::{Processes, ToolError, Tools};
pub use write::{Hidden, Write};

pub use juju_names::{
    AppName, ContainerName, EndpointName, ModelName, NameError, RelationId, SecretId, UnitName,
};
pub use pebble_client::{Layer, Service};
pub use secrecy::{ExposeSecret, SecretString};
