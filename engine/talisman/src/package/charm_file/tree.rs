//! Folders copied with what they hold, within bounds, and put on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::files;

/// The most files, folders and links of a charm.
pub(crate) const FILES_MAX: u64 = 50_000;
/// The most bytes of a charm's files.
pub(crate) const BYTES_MAX: u64 = 1 << 30;

/// How deep a file of a charm may lie.
const DEPTH_MAX: usize = 100;

/// So many bytes may wait in memory for the disk: a disk that has to take more at once delays every
/// other request.
const UNWRITTEN_MAX: u64 = 16 << 20;

/// Folders of version control and of builds, which Juju leaves behind.
const LEFT_BEHIND: [&str; 6] = [".git", ".svn", ".hg", ".bzr", ".tox", ".jujuignore"];

/// What is wrong with something that a charm holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Neither a file nor a folder nor a symbolic link.
    #[error("{member:?} is {oddity}; a charm holds files, folders and symbolic links")]
    Odd { member: PathBuf, oddity: &'static str },
    /// A symbolic link with a full path.
    #[error(
        "the symbolic link {member:?} is absolute: {target:?}; make it relative, or let dispatch make it"
    )]
    Absolute { member: PathBuf, target: PathBuf },
    /// A symbolic link that leads out.
    #[error("the symbolic link {member:?} leads out of the charm: {target:?}")]
    LeadsOut { member: PathBuf, target: PathBuf },
    /// Too deep.
    #[error("{member:?} lies more than {DEPTH_MAX} folders deep")]
    TooDeep { member: PathBuf },
    /// Too much of it.
    #[error("it has more than {FILES_MAX} files")]
    TooMany,
    /// Too large.
    #[error("its files have more than {BYTES_MAX} bytes")]
    TooLarge,
    /// A file cannot be read or written.
    #[error("{member:?}: {source}")]
    File { member: PathBuf, source: io::Error },
}

/// What may still come.
#[derive(Debug)]
pub(crate) struct Budget {
    files: u64,
    bytes: u64,
}

impl Budget {
    /// That of a charm.
    pub(crate) fn of_a_charm() -> Self {
        Self { files: FILES_MAX, bytes: BYTES_MAX }
    }

    /// Counts one more file, folder or link.
    pub(crate) fn one_more(&mut self, member: &Path) -> Result<(), Fault> {
        if member.components().count() > DEPTH_MAX {
            return Err(Fault::TooDeep { member: member.to_owned() });
        }
        self.files = self.files.checked_sub(1).ok_or(Fault::TooMany)?;
        Ok(())
    }

    /// Refuses what says that it is too large before anything of it is written.
    pub(crate) fn announced(&self, bytes: u64) -> Result<(), Fault> {
        if bytes > self.bytes { Err(Fault::TooLarge) } else { Ok(()) }
    }

    /// Writes a new file with what `from` gives, and hands it to the disk as it comes.
    pub(crate) fn write(
        &mut self,
        from: impl Read,
        to: &Path,
        mode: u32,
        member: &Path,
    ) -> Result<(), Fault> {
        let fail = |source| Fault::File { member: member.to_owned(), source };
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let mut file = new.map_err(fail)?;
        let mut from = from.take(self.bytes.saturating_add(1));
        loop {
            let piece = io::copy(&mut (&mut from).take(UNWRITTEN_MAX), &mut file).map_err(fail)?;
            self.bytes = self.bytes.checked_sub(piece).ok_or(Fault::TooLarge)?;
            if piece < UNWRITTEN_MAX {
                break;
            }
            file.sync_data().map_err(fail)?;
        }
        file.flush().map_err(fail)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777)).map_err(fail)
    }
}

/// Refuses a link that Juju refuses: with a full path, or out of the charm.
pub(crate) fn check_link(member: &Path, target: &Path) -> Result<(), Fault> {
    let (owned, target) = (member.to_owned(), target.to_owned());
    if target.is_absolute() {
        return Err(Fault::Absolute { member: owned, target });
    }
    let mut depth = member.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::ParentDir if depth == 0 => {
                return Err(Fault::LeadsOut { member: owned, target });
            }
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    Ok(())
}

/// Copies the folder of a charm by Juju's rules: what a charm cannot hold is refused by name,
/// modes become 0755 or 0644, version control stays behind.
pub(crate) fn copy_charm(from: &Path, to: &Path) -> Result<(), Fault> {
    Copy { budget: Budget::of_a_charm(), charm: true }.folder(from, to, Path::new(""))
}

/// Copies a tree of the engine's own with its modes and symbolic links.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    let budget = Budget { files: u64::MAX, bytes: u64::MAX };
    Copy { budget, charm: false }.folder(from, to, Path::new(""))
}

/// Copies one plain file, of whatever size, to a new one.
pub(crate) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut budget = Budget { files: 1, bytes: u64::MAX };
    budget.write(files::open(from, false)?, to, 0o644, from).map_err(|fault| match fault {
        Fault::File { source, .. } => source,
        other => io::Error::other(other),
    })
}

struct Copy {
    budget: Budget,
    /// By Juju's rules for charms.
    charm: bool,
}

impl Copy {
    fn folder(&mut self, from: &Path, to: &Path, inside: &Path) -> Result<(), Fault> {
        let fail = |source| Fault::File { member: inside.to_owned(), source };
        fs::create_dir_all(to).map_err(fail)?;
        for entry in fs::read_dir(from).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let top = inside.as_os_str().is_empty();
            let build = top && self.charm && name == "build";
            if build || (self.charm && LEFT_BEHIND.iter().any(|left| name == *left)) {
                continue;
            }
            self.one(&entry.path(), &to.join(&name), &inside.join(&name))?;
        }
        Ok(())
    }

    fn one(&mut self, from: &Path, to: &Path, inside: &Path) -> Result<(), Fault> {
        let fail = |source| Fault::File { member: inside.to_owned(), source };
        let found = from.symlink_metadata().map_err(fail)?;
        let kind = found.file_type();
        if let Some(oddity) = files::oddity(kind) {
            return Err(Fault::Odd { member: inside.to_owned(), oddity });
        }
        self.budget.one_more(inside)?;
        if kind.is_dir() {
            return self.folder(from, to, inside);
        }
        if kind.is_symlink() {
            let target = fs::read_link(from).map_err(fail)?;
            if self.charm {
                check_link(inside, &target)?;
            }
            return std::os::unix::fs::symlink(target, to).map_err(fail);
        }
        self.budget.announced(found.len())?;
        let mode = found.permissions().mode();
        let mode = match (self.charm, mode & 0o100) {
            (false, _) => mode,
            (true, 0) => 0o644,
            (true, _) => 0o755,
        };
        let file = files::open(from, true).map_err(fail)?;
        self.budget.write(file, to, mode, inside)
    }
}

/// Puts a folder with all that it holds on the disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Puts the names in a folder on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let check = |member: &str, target: &str| {
            check_link(Path::new(member), Path::new(target)).err().map(|error| error.to_string())
        };
        for good in ["src", "./src", "a/../b", "../c"] {
            assert_eq!(check("lib/x", good), None, "{good}");
        }
        let absolute = "the symbolic link \"bin/python\" is absolute: \"/usr/bin/python3\"; \
                        make it relative, or let dispatch make it";
        assert_eq!(check("bin/python", "/usr/bin/python3").as_deref(), Some(absolute));
        let out = "the symbolic link \"lib/x\" leads out of the charm: \"a/../../../b\"";
        assert_eq!(check("lib/x", "a/../../../b").as_deref(), Some(out));
        assert!(check("x", "..").is_some());
    }

    #[test]
    fn a_charms_folder_is_copied_by_jujus_rules() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for name in [".git/x", "src/.git/x", "build/x", "src/build/x", "src/deep/file"] {
            fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            fs::write(from.join(name), "x").unwrap();
        }
        let mode = |name: &str, mode| {
            fs::write(from.join(name), "x").unwrap();
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("tool", 0o6711);
        mode("text", 0o600);
        std::os::unix::fs::symlink("src/deep", from.join("link")).unwrap();
        copy_charm(&from, &to).unwrap();
        sync(&to).unwrap();
        for gone in [".git", "src/.git", "build"] {
            assert!(!to.join(gone).exists(), "{gone}");
        }
        for there in ["src/build/x", "src/deep/file", "link/file"] {
            assert!(to.join(there).exists(), "{there}");
        }
        let mode = |name: &str| to.join(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("tool"), mode("text")), (0o755, 0o644));
    }

    #[test]
    fn what_no_charm_can_hold_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        let pipe = from.join("src/pipe");
        std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        let said = copy_charm(&from, &to).unwrap_err().to_string();
        let want = "\"src/pipe\" is a named pipe; a charm holds files, folders and symbolic links";
        assert_eq!(said, want);
        fs::remove_file(&pipe).unwrap();
        let huge = File::create(from.join("src/zeros")).unwrap();
        huge.set_len(BYTES_MAX + 1).unwrap();
        let said = copy_charm(&from, &to.join("again")).unwrap_err().to_string();
        assert_eq!(said, "its files have more than 1073741824 bytes");
    }

    #[test]
    fn a_budget_is_kept_whatever_was_announced() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = Budget { files: 1, bytes: 5 };
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        budget.write(&b"12345"[..], &a, 0o644, Path::new("a")).unwrap();
        let error = budget.write(&b"1"[..], &b, 0o644, Path::new("b")).unwrap_err();
        assert!(matches!(error, Fault::TooLarge), "{error}");
        let deep = "d/".repeat(DEPTH_MAX + 1);
        assert!(matches!(budget.one_more(Path::new(&deep)), Err(Fault::TooDeep { .. })));
        budget.one_more(Path::new("a")).unwrap();
        assert!(matches!(budget.one_more(Path::new("b")), Err(Fault::TooMany)));
    }
}
