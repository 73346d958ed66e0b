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
    offthread::run(|| remove_all(folder))
}

/// Removes a folder without ever being deep in it: what runs in a container may have made a
/// chain of folders that is longer than any stack, and millions of files. Does nothing when it
/// is gone.
///
/// # Errors
/// What the operating system said.
pub fn remove_all(folder: &Path) -> io::Result<()> {
    let mut number = 0u64;
    loop {
        let Some(entries) = there(std::fs::read_dir(folder))? else { return Ok(()) };
        let mut folders = false;
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                there(std::fs::remove_file(entry.path()))?;
                continue;
            }
            folders = true;
            for inner in std::fs::read_dir(entry.path())? {
                let inner = inner?;
                if inner.file_type()?.is_dir() {
                    lift(&inner.path(), folder, &mut number)?;
                } else {
                    there(std::fs::remove_file(inner.path()))?;
                }
            }
            there(std::fs::remove_dir(entry.path()))?;
        }
        if !folders {
            return there(std::fs::remove_dir(folder)).map(drop);
        }
    }
}

/// Moves a folder to the top, under a name that nothing has.
fn lift(inner: &Path, top: &Path, number: &mut u64) -> io::Result<()> {
    loop {
        *number += 1;
        let place = top.join(format!(".lifted-{number}"));
        if place.symlink_metadata().is_err() {
            return match std::fs::rename(inner, place) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    std::fs::remove_dir_all(inner)
                }
                renamed => renamed,
            };
        }
    }
}

/// Nothing, where what was to be had or removed is gone.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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

    /// On a thread with little stack, as a daemon's are.
    #[test]
    fn a_tree_goes_however_deep_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        for name in ["a/b/c", ".lifted-1/x", "a/.lifted-2"] {
            std::fs::create_dir_all(top.join(name)).unwrap();
        }
        std::fs::write(top.join(".lifted-3"), "").unwrap();
        std::os::unix::fs::symlink("/", top.join("a/b/link")).unwrap();
        // A chain longer than a path may be, as a container makes it from inside.
        for _ in 0..5 {
            let mut end = top.join("new");
            (0..200).for_each(|_| end.push("d"));
            std::fs::create_dir_all(&end).unwrap();
            if top.join("d").exists() {
                std::fs::rename(top.join("d"), end.join("d")).unwrap();
            }
            std::fs::rename(top.join("new"), top.join("d")).unwrap();
        }
        let removed = std::thread::Builder::new().stack_size(128 << 10).spawn({
            let top = top.clone();
            move || remove_all(&top)
        });
        removed.unwrap().join().unwrap().unwrap();
        assert!(!top.exists());
        remove_all(&top).unwrap();
    }
}
