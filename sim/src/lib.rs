//! The charms' real code and Juju's rules in one process, against simulated far sides.
//!
//! A [`World`] holds the model, the pods, PostgreSQL and the Kubernetes API, and runs one
//! hook after another. A [`history`] is drawn from a seed: operations and faults. After it
//! the faults stop, and what [`check`] finds wrong with the world is a failure.

pub mod exhaust;
pub mod gate;
pub mod history;
pub mod mutants;
pub mod parts;
pub mod rng;
pub mod shrink;

mod apps;
mod check;
mod database_door;
mod door;
mod exec;
mod files;
mod hook;
mod kube;
mod patroni;
mod pebble_api;
mod pgbouncer_process;
mod pod;
mod scripts;
mod sql;
mod tools;
mod world;

pub use world::World;
