//! What lies on the disk of a container.

use std::collections::BTreeMap;

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
}

/// A folder in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
}

/// Whose a file is; the group has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Root,
    Postgres,
}

impl Owner {
    /// The user of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Root, Self::Postgres].into_iter().find(|owner| owner.name() == name)
    }

    /// The user's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Postgres => "postgres",
        }
    }
}

impl File {
    /// The text, if the owner of PostgreSQL's and PgBouncer's processes may read it.
    pub(crate) fn text(&self) -> Option<&str> {
        let bit = if self.owner == Owner::Postgres { 0o400 } else { 0o004 };
        if self.mode & bit == 0 { None } else { std::str::from_utf8(&self.content).ok() }
    }
}

/// The files and folders of a container, or of a volume that is mounted into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, File>,
    /// Folders that were made, or changed, since the image.
    pub(crate) folders: BTreeMap<String, Folder>,
}

/// Folders that every image has, and their modes.
const IMAGE: [(&str, u32); 8] = [
    ("/", 0o755),
    ("/dev/shm", 0o1777),
    ("/etc/logrotate.d", 0o755),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var/lib/pgbouncer", 0o755),
    ("/var/lib/postgresql/data", 0o755),
    ("/var/log/pgbouncer", 0o755),
];

impl Disk {
    /// The folder at a path, of the image's or made since.
    pub(crate) fn folder(&self, path: &str) -> Option<Folder> {
        let of_image = || {
            let (_, mode) = IMAGE.iter().find(|(known, _)| *known == path)?;
            Some(Folder { mode: *mode, owner: Owner::Root })
        };
        self.folders.get(path).copied().or_else(of_image)
    }
}
