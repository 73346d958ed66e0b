//! One unit: its agent, its hooks, its pod.

mod agent;
pub(crate) mod exec;
mod hooks;
mod monitor;
mod notices;
mod pod;
mod pod_stop;
pub(crate) mod replace;
mod restart_containers;
mod sockets;
mod stale_hooks;

pub(crate) use agent::live;
