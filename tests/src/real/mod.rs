//! A real Kubernetes on this machine, for what the engine is held to.
//!
//! Everything of it lives in namespaces of its own and ends with their first process: no other
//! process sees its network, its processes or its files, and nothing of it is left behind.

mod access;
mod apart;
mod control_plane;
mod groups;
mod image;
mod node;
mod program;
mod up;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

pub use access::{Access, Administrator};
pub use apart::{Extent, apart};
pub use control_plane::ControlPlane;
pub use image::import;
pub use node::Node;
pub use up::{down, enter, up};

/// The node's name.
const NODE: &str = "node";
/// The node's address; no packet leaves for it.
const ADDRESS: &str = "192.0.2.1";
/// A folder that every machine has, in which only these namespaces see what is there.
const FOLDER: &str = "/mnt";
/// Where `tools/setup` puts what it builds.
const BUILT: &str = "/usr/local/lib/talisman/kubernetes";

/// The folder of everything that runs, which goes with the namespaces.
pub fn folder() -> &'static Path {
    Path::new(FOLDER)
}

/// Runs a command beside what was started, and gives its exit code.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &[OsString], access: &Access) -> Result<i32> {
    let (name, arguments) = command.split_first().context("cannot run nothing")?;
    let failed = || format!("cannot run {}", name.display());
    let mut command = Command::new(name);
    command.args(arguments).envs(access.variables()).env("PATH", with_tools());
    let status = command.status().with_context(failed)?;
    // A command that a signal ended has no code.
    Ok(status.code().unwrap_or(1))
}

/// The path of a command, with kubectl and the others in it.
fn with_tools() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:{BUILT}:{BUILT}/debian/usr/bin")
}

/// Runs a program that must succeed, and gives what it printed.
fn tool(name: &str, arguments: &[&str]) -> Result<String> {
    let failed = || format!("cannot run {name}; `tools/setup kubernetes` installs it");
    let output = Command::new(name).args(arguments).output().with_context(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} {}: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
