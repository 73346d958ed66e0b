//! The charms' real code and Juju's rules in one process, against simulated far sides.
//!
//! A [`World`] holds the model, the pods, PostgreSQL and the Kubernetes API, and runs one
//! hook after another. A [`history`] is drawn from a seed: operations and faults. After it
//! the faults stop, and what `check` finds wrong with the world is a failure.
//!
//! Each of these imports only what stands before it: `names`, [`rng`], [`fault`] and [`mutant`];
//! `far`, the far sides; `world`; `ports` and `juju`, a hook in it; [`history`]; `check`;
//! [`play`]; `script`, [`exhaust`], [`shrink`] and [`parts`]; [`catch`]. [`planned`] is a world of its
//! own, in milliseconds, over the same PgBouncer.

pub mod catch;
pub mod exhaust;
pub mod fault;
pub mod history;
pub mod mutant;
pub mod parts;
pub mod planned;
pub mod play;
pub mod rng;
pub mod shrink;

mod check;
mod far;
mod juju;
mod names;
mod ports;
mod script;
mod world;

pub use world::World;
