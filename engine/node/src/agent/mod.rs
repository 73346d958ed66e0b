//! How programs are started in a running container: by a small program that the OCI runtime put
//! there once, with all the bounds of the container, and that this process then asks.
//!
//! No process with this machine's rights enters a container, and starting a hook does not wait for
//! the runtime. The charm may do to the program what it likes, for it is root in its container:
//! this machine reads no more than four bytes from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) mod ask;
pub(crate) mod serve;

/// Where containers have the program; Juju's own is there, too.
pub const AGENT: &str = "/charm/bin/containeragent";

/// Streams that come with each request: the request's own, standard output, standard error.
const STREAMS: usize = 3;

/// Longest request, in bytes: the system takes no longer arguments and environment.
const LONGEST: usize = 6 << 20;

/// A program to run inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCommand {
    /// Full path of the program in the container, then its arguments.
    pub argv: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Full path of the folder that it starts in. It must exist.
    pub cwd: PathBuf,
}
