//! Control groups of an instance: found in every hierarchy, version 1 or 2, and removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOT: &str = "/sys/fs/cgroup";

/// The folders of the group called `name`, one per hierarchy that has it.
pub(crate) fn folders(name: &str) -> Vec<PathBuf> {
    let hierarchies = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    std::iter::once(PathBuf::from(ROOT))
        .chain(hierarchies.map(|entry| entry.path()))
        .map(|hierarchy| hierarchy.join(name))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Whether this machine has control groups of version 2 alone.
pub(crate) fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").is_file()
}

/// Whether control groups bound how many processes they have.
pub(crate) fn counts_processes() -> bool {
    let controllers = std::fs::read_to_string(Path::new(ROOT).join("cgroup.controllers"));
    let has = |controllers: String| controllers.split_whitespace().any(|name| name == "pids");
    controllers.is_ok_and(has) || Path::new(ROOT).join("pids").is_dir()
}

/// Numbers of the processes in the group called `name` and the groups below it.
pub(crate) fn processes(name: &str) -> Vec<i32> {
    let mut found: Vec<i32> = folders(name)
        .iter()
        .flat_map(|folder| tree(folder))
        .filter_map(|folder| std::fs::read_to_string(folder.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Removes the group called `name` and all groups below it. A group whose processes are just
/// ending is busy for a moment, hence the second looks.
pub(crate) async fn remove(name: &str) -> std::io::Result<()> {
    let mut last = Ok(());
    for _ in 0..200 {
        last = folders(name).iter().flat_map(|folder| tree(folder)).try_for_each(|folder| {
            match std::fs::remove_dir(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        });
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last
}

/// `folder` and the folders below it, deepest first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let children = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = children
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .flat_map(|path| tree(&path))
        .collect();
    found.push(folder.to_path_buf());
    found
}
