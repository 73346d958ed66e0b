//! Overlays and what is mounted below a folder.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::path::Arg;

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
/// Nothing below it is asked for by a path, and no link is followed: where a container can still
/// put a link in a folder's place, nothing outside goes.
///
/// # Errors
/// What the operating system said; also when `folder` itself is a link.
pub fn remove_all(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = parent.unwrap_or(Path::new("."));
    let Some(parent) = there(openat(CWD, parent, flags, Mode::empty()))? else { return Ok(()) };
    let Some(top) = there(open(&parent, name))? else { return Ok(()) };
    let mut number = 0u64;
    loop {
        let mut folders = false;
        for name in names(&top)? {
            let name = name?;
            if unlinked(&top, &name)? {
                continue;
            }
            folders = true;
            let Some(inner) = there(open(&top, &name))? else { continue };
            for deeper in names(&inner)? {
                let deeper = deeper?;
                if !unlinked(&inner, &deeper)? {
                    lift(&inner, &deeper, &top, &mut number)?;
                }
            }
            there(unlinkat(&top, &name, AtFlags::REMOVEDIR))?;
        }
        if !folders {
            return there(unlinkat(&parent, name, AtFlags::REMOVEDIR)).map(drop);
        }
    }
}

/// Opens a folder in a folder; a link is an error.
fn open(folder: &OwnedFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// The names in a folder.
fn names(folder: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<CString>>> {
    let all = Dir::read_from(folder)?.map(|entry| Ok(entry?.file_name().to_owned()));
    Ok(all.filter(|name: &io::Result<CString>| {
        !name.as_ref().is_ok_and(|name| [c".", c".."].contains(&name.as_c_str()))
    }))
}

/// Removes whatever is no folder; whether it is gone.
fn unlinked(folder: &OwnedFd, name: &CStr) -> io::Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves a folder to the top, under a name that nothing has.
fn lift(inner: &OwnedFd, name: &CStr, top: &OwnedFd, number: &mut u64) -> io::Result<()> {
    loop {
        *number += 1;
        match renameat(inner, name, top, format!(".lifted-{number}")) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(Errno::XDEV) => {
                // Opened by its descriptor, and std follows no link from there.
                let folder = PathBuf::from(format!("/proc/self/fd/{}", inner.as_raw_fd()));
                return std::fs::remove_dir_all(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Nothing, where what was to be had or removed is gone.
fn there<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
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

    #[test]
    fn a_link_in_a_folders_place_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, link) = (folder.path().join("outside"), folder.path().join("link"));
        std::fs::create_dir_all(outside.join("deep")).unwrap();
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        remove_all(&link).unwrap_err();
        assert!(outside.join("deep").exists());
    }

    /// As a container that still runs may do it: folders and links change places all the time.
    #[test]
    fn nothing_outside_goes_whoever_swaps_links_in() {
        use rustix::fs::{RenameFlags, renameat_with};
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let (outside, top) = (folder.path().join("outside"), folder.path().join("top"));
        std::fs::create_dir_all(outside.join("deep")).unwrap();
        std::fs::write(outside.join("file"), "").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (a, b) = (top.join("a"), top.join("b"));
                    let _ = renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE);
                }
            });
            for _ in 0..300 {
                std::fs::create_dir_all(top.join("a/deep")).unwrap();
                std::os::unix::fs::symlink(&outside, top.join("b")).unwrap();
                // A swap may be an error, and is tried again.
                while remove_all(&top).is_err() {}
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(outside.join("deep").exists() && outside.join("file").exists());
    }
}
