//! One unit: its agent, its hooks, its pod.

mod agent;
mod containers;
pub(crate) mod exec;
mod health;
mod hooks;
mod monitor;
mod notices;
mod pod;
mod pod_stop;
pub(crate) mod probe;
pub(crate) mod replace;
mod sockets;
mod stale_hooks;

pub(crate) use agent::live;
