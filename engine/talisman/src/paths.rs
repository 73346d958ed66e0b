//! Where the engine keeps its things.

use std::path::{Path, PathBuf};

/// The folders of one instance of the engine.
///
/// Two instances share nothing but the cache of images, so tests run beside a running model.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The instance's name, `default` unless another is given.
    pub(crate) instance: String,
    /// What is large or is run: the model, volumes, charms, containers. A stop removes the last.
    pub(crate) state: PathBuf,
    /// What is small and gone with the machine's power: sockets, who runs, tokens. No program is
    /// run from there, and no container writes there.
    pub(crate) run: PathBuf,
    /// Image trees, shared by all instances.
    pub(crate) cache: PathBuf,
    /// Pebble, the hook tools and what starts hooks.
    pub(crate) lib: PathBuf,
}

impl Paths {
    /// The folders of `instance`, below the roots that the environment may move.
    pub(crate) fn new(instance: &str, cache: Option<PathBuf>, lib: Option<PathBuf>) -> Self {
        Self {
            instance: instance.to_owned(),
            state: Path::new("/var/lib/talisman").join(instance),
            run: Path::new("/run/talisman").join(instance),
            cache: cache.unwrap_or_else(|| PathBuf::from("/var/cache/talisman")),
            lib: lib.unwrap_or_else(beside_the_program),
        }
    }

    /// The folders of another instance that shares the cache and the programs.
    pub(crate) fn other(&self, instance: &str) -> Self {
        Self::new(instance, Some(self.cache.clone()), Some(self.lib.clone()))
    }

    /// The socket on which the daemon answers the command line.
    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("api.sock")
    }

    /// Held by who starts the engine; it outlives the folders of the instance.
    pub(crate) fn turn(&self) -> PathBuf {
        self.run.with_extension("up")
    }

    /// Where the daemon's own messages go.
    pub(crate) fn daemon_log(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// The same for the node.
    pub(crate) fn node(&self) -> node::NodeOptions {
        node::NodeOptions {
            instance: self.instance.clone(),
            state_dir: self.state.clone(),
            run_dir: self.run.clone(),
            images_dir: self.cache.clone(),
            agent: self.lib.join("containeragent"),
        }
    }

    /// Folder of each unit's charm as its pod has it.
    pub(crate) fn units(&self) -> PathBuf {
        self.state.join("units")
    }

    /// The embedded store.
    pub(crate) fn store(&self) -> PathBuf {
        self.state.join("model.redb")
    }
}

/// `lib` beside the program, where the build puts it, else the system's folder.
fn beside_the_program() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| program.parent().map(|folder| folder.join("lib")));
    match beside {
        Some(lib) if lib.is_dir() => lib,
        _ => PathBuf::from("/usr/local/lib/talisman"),
    }
}
