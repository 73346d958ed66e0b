//! Looks whether this machine can run an instance, before anything is made on it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use crate::command::find;
use crate::mounts;
use crate::options::NodeOptions;

/// Bytes of disk that the images and a little data need.
const ROOM: u64 = 3 << 30;

/// Why root is needed: images hold files of many users, and a pod's network is made of links and
/// rules of the kernel.
const ROOT: &str = "cannot make namespaces, mounts and network links as this user: run it as root";

/// One sentence for each thing that is missing, with what to do. Empty: all is well.
pub fn preflight(options: &NodeOptions) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return vec![ROOT.to_owned()];
    }
    let programs = [
        ("runc", "runc"),
        ("mmdebstrap", "mmdebstrap"),
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("chroot", "coreutils"),
    ];
    let missing = programs.into_iter().filter(|(program, _)| find(program).is_err());
    let mut problems: Vec<String> = missing
        .map(|(program, package)| {
            format!("cannot find the program {program}: install the package {package}")
        })
        .collect();
    problems.extend(room(&options.images_dir));
    problems.extend(no_programs(&options.state_dir));
    if let Err(error) = overlay(options) {
        problems.push(format!(
            "cannot mount an overlay below {}: {error}; put it on a local disk (ext4, xfs) and \
             see that the kernel has overlayfs",
            options.state_dir.display()
        ));
    }
    problems
}

fn room(folder: &Path) -> Option<String> {
    let existing = folder.ancestors().find(|parent| parent.exists())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    (free < ROOM).then(|| {
        format!(
            "cannot keep images in {}: {} MiB are free, make room for {} MiB",
            folder.display(),
            free >> 20,
            ROOM >> 20
        )
    })
}

/// Charms are run from there.
fn no_programs(folder: &Path) -> Option<String> {
    let existing = folder.ancestors().find(|parent| parent.exists())?;
    let disk = rustix::fs::statvfs(existing).ok()?;
    disk.f_flag.contains(StatVfsMountFlags::NOEXEC).then(|| {
        format!(
            "cannot run charms from {}: it is mounted noexec; mount it without, or put a disk \
             there that allows programs",
            folder.display()
        )
    })
}

/// Mounts a small overlay where pods will have theirs, and removes it.
fn overlay(options: &NodeOptions) -> io::Result<()> {
    let folder = options.state_dir.join(format!(".try-{}", std::process::id()));
    let image: PathBuf = folder.join("image");
    let tried = std::fs::create_dir_all(&image)
        .and_then(|()| mounts::overlay(&image, &folder, &folder.join("root")));
    let removed = mounts::remove_tree(&folder);
    tried.and(removed)
}
