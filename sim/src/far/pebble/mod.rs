//! Pebble in a pod: the workload container and the API in front of it.

mod answer;
mod api;
mod container;
mod exec;
pub(crate) mod files;
mod weigh;

pub(crate) use answer::{Answer, response};
pub(crate) use api::{act, look};
pub(crate) use container::{Container, Pod, Running};
pub(crate) use exec::dial;
