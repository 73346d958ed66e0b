//! Linux: images, pods, addresses, names, services, volumes.
//!
//! A [`Node`] is one instance of the engine on this machine. Everything it makes carries the
//! instance's name and lies in the instance's own network namespace, so that the machine's
//! own network stays untouched and [`sweep`] finds all of it again after a crash.

mod address;
mod agent;
mod back_off;
mod cgroups;
mod command;
mod container;
mod dns;
mod etc;
mod exec;
mod forward;
mod image;
mod image_definition;
mod image_store;
mod mounts;
mod netns;
mod network;
mod node;
mod oci;
mod options;
mod packages;
mod pod;
mod preflight;
mod probe;
mod process;
mod rotate;
mod seccomp;
mod services;
mod sidecar;
mod sockets;
mod spec;
mod sweep;

pub use address::{ENGINE, PodAddress, SERVICES, ServiceAddress};
pub use agent::serve::serve;
pub use agent::{AGENT, HookCommand};
pub use back_off::BackOff;
pub use command::CommandError;
pub use container::ContainerError;
pub use dns::Zone;
pub use exec::{Line, Running};
pub use forward::{Forward, ForwardError};
pub use image::{Image, ImageError, Refreshed, build_image, refresh_image};
pub use image_definition::{DirectoryDefinition, FileDefinition, ImageDefinition};
pub use image_store::{
    Build, Prune, Uses, builds, newest_build, private_folder, prune, set_uses, uses,
};
pub use mounts::remove_all;
pub use netns::{Network, SocketError};
pub use node::{Node, NodeError};
pub use options::NodeOptions;
pub use packages::{PackageChange, Packages};
pub use pod::{Pod, PodError};
pub use preflight::preflight;
pub use probe::{AgentCheck, PROBE_PORT, PROBE_TIMEOUT, Probe, Probes};
pub use rotate::rotate;
pub use services::ServiceRoute;
pub use sidecar::{Storage, UnitPod, Workload, link_tools};
pub use sockets::SocketFile;
pub use spec::{ContainerSpec, Limits, Mount, PodSpec, Source};
pub use sweep::{SweepError, leftovers, sweep};
