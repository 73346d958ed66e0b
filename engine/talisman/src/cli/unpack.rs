//! An archive from a container, unpacked on this machine.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

/// Makes the plain files and folders of `archive` in `folder`, and returns the names of what is
/// neither. Links are neither made nor followed, devices not made, special bits not set: the
/// archive's writer may be hostile.
pub(super) fn unpack(archive: impl Read, folder: &Path) -> Result<Vec<String>> {
    let mut skipped = Vec::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().context("cannot read the archive")? {
        let mut entry = entry.context("cannot read the archive")?;
        let path = entry.path().context("cannot read the archive")?.into_owned();
        let made = match entry.header().entry_type() {
            tar::EntryType::Directory => open_folder(folder, &path).map(drop),
            tar::EntryType::Regular => {
                let programs = entry.header().mode().unwrap_or(0) & 0o111;
                file(folder, &path, 0o644 | programs).and_then(|made| {
                    std::io::copy(&mut entry, &mut std::fs::File::from(made))?;
                    Ok(())
                })
            }
            _ => {
                skipped.push(path.display().to_string());
                Ok(())
            }
        };
        made.with_context(|| format!("cannot write {}", folder.join(path).display()))?;
    }
    Ok(skipped)
}

/// Opens a folder below `root`, made where it is missing.
fn open_folder(root: &Path, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = openat(CWD, root, flags, Mode::empty())?;
    for part in path.components() {
        let name = match part {
            Component::CurDir => continue,
            Component::Normal(name) => name,
            _ => bail!("the archive names a place outside of the folder"),
        };
        match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            _ => {}
        }
        folder = openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(folder)
}

fn file(root: &Path, path: &Path, mode: u32) -> Result<OwnedFd> {
    let name = path.file_name().context("the archive has a file without a name")?;
    let folder = open_folder(root, path.parent().unwrap_or(Path::new("")))?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW;
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(folder.as_fd(), name, flags, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn archive(entries: &[(&str, tar::EntryType, u32)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, mode) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(if *kind == tar::EntryType::Regular { 4 } else { 0 });
            // Not by `set_path`, which takes no path that leads elsewhere.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if kind.is_symlink() {
                header.set_link_name("/etc").unwrap();
            }
            header.set_cksum();
            let body: &[u8] = if *kind == tar::EntryType::Regular { b"text" } else { b"" };
            builder.append(&header, body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn only_files_and_folders_are_made() {
        use tar::EntryType as E;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let bytes = archive(&[
            ("own", E::Directory, 0o777),
            ("own/program", E::Regular, 0o4755),
            ("own/link", E::Symlink, 0o777),
            ("own/disk", E::Block, 0o666),
            ("own/pipe", E::Fifo, 0o666),
        ]);
        let skipped = unpack(bytes.as_slice(), folder.path()).unwrap();
        assert_eq!(skipped, ["own/link", "own/disk", "own/pipe"]);
        let mode = at("own/program").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !0o022, 0o755 & !0o022, "no special bits");
        assert_eq!(std::fs::read_dir(at("own")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        use tar::EntryType as E;
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        for one in [&own, &other] {
            std::fs::create_dir(one).unwrap();
        }
        std::os::unix::fs::symlink(&other, own.join("link")).unwrap();
        std::os::unix::fs::symlink(other.join("x"), own.join("file")).unwrap();
        for path in ["../other/x", "link/x", "file", "a/../../other/x"] {
            let bytes = archive(&[(path, E::Regular, 0o644)]);
            unpack(bytes.as_slice(), &own).unwrap_err();
        }
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
    }
}
