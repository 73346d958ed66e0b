//! Pebble in a pod: the workload container and the API in front of it.

mod answer;
mod api;
mod container;
mod exec;
mod files;

pub(crate) use api::Socket;
pub(crate) use container::{Container, File, Folder, Owner, Pod, Running};
