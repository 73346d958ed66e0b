//! Overlays and what is mounted below a folder.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

/// Mounts `image` at `root`, with every change kept below `changes`.
pub(crate) fn overlay(image: &Path, changes: &Path, root: &Path) -> io::Result<()> {
    let (upper, work) = (changes.join("upper"), changes.join("work"));
    for folder in [&upper, &work, &root.to_path_buf()] {
        std::fs::create_dir_all(folder)?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        escaped(image),
        escaped(&upper),
        escaped(&work)
    );
    let options = CString::new(options)?;
    rustix::mount::mount("talisman", root, "overlay", MountFlags::empty(), options.as_c_str())?;
    Ok(())
}

/// A path in the overlay's option text, where a colon and a comma mean something.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

/// Everything mounted at or below `folder`, deepest first.
pub(crate) fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = targets(&std::fs::read_to_string("/proc/self/mountinfo")?, folder);
    found.reverse();
    Ok(found)
}

/// Mount points in the kernel's table that lie at or below `folder`, in the table's order.
fn targets(table: &str, folder: &Path) -> Vec<PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescaped(field)))
        .filter(|target| target.starts_with(folder))
        .collect()
}

/// Whether an overlay on this machine reads from `image`.
pub(crate) fn in_use(image: &Path) -> io::Result<bool> {
    let needle = format!("lowerdir={},", escaped(image));
    Ok(std::fs::read_to_string("/proc/self/mountinfo")?
        .lines()
        .any(|line| unescaped(line).contains(&needle)))
}

/// The kernel writes spaces, tabs, line ends and backslashes as three octal digits.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

/// Unmounts everything at or below `folder`.
pub(crate) fn unmount_below(folder: &Path) -> io::Result<()> {
    for target in below(folder)? {
        rustix::mount::unmount(&target, UnmountFlags::DETACH)?;
    }
    Ok(())
}

/// Removes `folder` and its content, after unmounting whatever is mounted there.
/// Does nothing when it is gone.
pub(crate) fn remove_tree(folder: &Path) -> io::Result<()> {
    unmount_below(folder)?;
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &str, expected: &[&str]) {
        let table = "1 0 0:1 / / rw - ext4 a rw\n\
                     2 1 0:2 / /run/a rw - overlay o rw\n\
                     3 2 0:3 / /run/a/b\\040c rw shared:1 - tmpfs t rw\n\
                     4 1 0:4 / /run/ab rw - tmpfs t rw\n";
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(targets(table, Path::new(folder)), expected);
    }

    #[test]
    fn only_mounts_below_the_folder_count() {
        check("/run/a", &["/run/a", "/run/a/b c"]);
        check("/run/none", &[]);
    }
}
