//! Control groups of a node's pods: the one thing that no namespace takes with it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The variable with the name of a node's group.
pub(super) const NAME: &str = "TALISMAN_KUBERNETES_GROUP";
/// What all their names begin with.
pub(super) const PREFIX: &str = "talisman-kubernetes-";
const ROOT: &str = "/sys/fs/cgroup";

/// The roots of all hierarchies: one for each controller, or one for all.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.procs").exists() {
        return vec![root];
    }
    let all = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    all.map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect()
}

/// Makes the group of this node in every hierarchy, and gives its name.
pub(super) fn make() -> Result<String> {
    let name = std::env::var(NAME).context("cannot find the name of the node's control group")?;
    for hierarchy in hierarchies() {
        let group = hierarchy.join(&name);
        std::fs::create_dir_all(&group)
            .with_context(|| format!("cannot make the control group {}", group.display()))?;
        // A new group of the old kind has no processors and no memory until they are set.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let (Ok(value), true) =
                (std::fs::read(hierarchy.join(file)), group.join(file).exists())
            {
                std::fs::write(group.join(file), value)?;
            }
        }
    }
    Ok(name)
}

/// Removes the groups of nodes that are gone, and of this program's own.
pub(super) fn sweep() {
    for hierarchy in hierarchies() {
        for entry in std::fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if process.is_some_and(is_over) {
                remove(&entry.path());
            }
        }
    }
}

/// Whether the program with this number has ended, or is this one.
fn is_over(process: u32) -> bool {
    process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
}

/// Removes a group and those below; the kernel refuses one that is in use.
fn remove(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    std::fs::remove_dir(group).ok();
}
