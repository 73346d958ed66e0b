//! Removes all that an instance made on this machine, from whatever is found there.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};

use crate::command::CommandError;
use crate::container::Runtime;
use crate::options::NodeOptions;
use crate::{cgroups, mounts, network};

/// Something of an instance that could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The engine of this instance runs.
    #[error("cannot use the instance {0}: its engine runs already, stop that first")]
    Busy(String),
    /// A folder could not be removed or locked.
    #[error("cannot clear {path}: {source}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A container or a network stayed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Takes the instance for this process until the file is closed.
pub(crate) fn lock(options: &NodeOptions) -> Result<File, SweepError> {
    let path = options.run_dir.join("lock");
    let open = || {
        std::fs::create_dir_all(&options.run_dir)?;
        File::create(&path)
    };
    let file = open().map_err(|source| SweepError::Folder { path: path.clone(), source })?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SweepError::Busy(options.instance.clone()))?;
    Ok(file)
}

/// Ends every process of the instance and removes its mounts, networks, groups and pods.
/// Volumes and images stay. May be repeated, and works after a crash of the engine.
///
/// # Errors
/// The first thing that could not be removed; the rest is tried all the same.
pub async fn sweep(options: &NodeOptions) -> Result<(), SweepError> {
    let _lock = lock(options)?;
    sweep_locked(options).await
}

/// The same, for who holds the lock.
pub(crate) async fn sweep_locked(options: &NodeOptions) -> Result<(), SweepError> {
    let mut first = Ok(());
    let mut keep = |result: Result<(), SweepError>| {
        if first.is_ok() {
            first = result;
        }
    };
    for pid in cgroups::processes(&options.cgroup()).into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
    match Runtime::new(options) {
        Ok(runtime) => {
            for id in runtime.list().await.unwrap_or_default() {
                keep(runtime.delete(&id).await.map_err(SweepError::from));
            }
        }
        Err(error) => keep(Err(error.into())),
    }
    for namespace in network::namespaces(&options.instance) {
        keep(network::remove(&namespace).await.map_err(SweepError::from));
    }
    for path in [options.disks(), options.pods(), options.runtime()] {
        let removed = mounts::remove_tree(&path);
        keep(removed.map_err(|source| SweepError::Folder { path, source }));
    }
    let removed = cgroups::remove(&options.cgroup()).await;
    let path = PathBuf::from(options.cgroup());
    keep(removed.map_err(|source| SweepError::Folder { path, source }));
    first
}

/// One sentence for each thing of the instance that is still on this machine.
pub fn leftovers(options: &NodeOptions) -> Vec<String> {
    let mut found = Vec::new();
    for pid in cgroups::processes(&options.cgroup()) {
        found.push(format!("process {pid} runs"));
    }
    for folder in cgroups::folders(&options.cgroup()) {
        found.push(format!("control group {} is there", folder.display()));
    }
    for namespace in network::namespaces(&options.instance) {
        found.push(format!("network namespace {namespace} is there"));
    }
    for folder in [&options.run_dir, &options.state_dir] {
        for target in mounts::below(folder).unwrap_or_default() {
            found.push(format!("{} is mounted", target.display()));
        }
    }
    for folder in [options.pods(), options.disks(), options.runtime()] {
        if folder.exists() {
            found.push(format!("folder {} is there", folder.display()));
        }
    }
    found
}
