//! What is on a volume: files, and PostgreSQL's data.

use std::collections::BTreeMap;
use std::sync::Arc;

use postgres::SEGMENT;
use serde_json::{Value, json};

use crate::far::disk::Disk;
use crate::far::postgresql;

/// Where the volume is mounted.
pub(crate) const STORAGE: &str = "/var/lib/postgresql/data";
/// Where PostgreSQL's data are.
pub(super) const PGDATA: &str = "/var/lib/postgresql/data/pgdata";
/// The file that begins with the identifier of the data.
pub(super) const CONTROL: &str = "/var/lib/postgresql/data/pgdata/global/pg_control";
/// The file with the version of the data.
pub(super) const VERSION: &str = "/var/lib/postgresql/data/pgdata/PG_VERSION";

/// What one commit takes of the log, in bytes.
const COMMIT: u64 = 256;

fn location(position: u64) -> u64 {
    0x0300_0000 + position * COMMIT
}

/// A unit's volume; it outlives the pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    disk: Disk,
    /// PostgreSQL's data, if there are any.
    pub(crate) data: Option<Data>,
}

/// PostgreSQL's data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    /// Which cluster they are of; none while they are not whole.
    pub(super) system: Option<u64>,
    pub(crate) timeline: u32,
    /// Commits so far.
    pub(crate) position: u64,
    /// Where each earlier timeline ended.
    past: BTreeMap<u32, u64>,
    /// Roles, databases and what is in them.
    pub(crate) content: Arc<postgresql::Cluster>,
    /// The dynamic configuration that Patroni keeps beside them.
    pub(super) dynamic: Value,
}

impl Volume {
    /// Keeps what a container leaves on it.
    pub(crate) fn unmount(&mut self, disk: &Disk) {
        let own = |path: &str| path.starts_with(STORAGE);
        let files = disk.files.iter().filter(|(path, _)| own(path));
        self.disk.files = files.map(|(path, file)| (path.clone(), file.clone())).collect();
        let folders = disk.folders.iter().filter(|(path, _)| own(path));
        self.disk.folders = folders.map(|(path, folder)| (path.clone(), *folder)).collect();
    }

    /// PostgreSQL's data get another name, in a container too that has it mounted.
    pub(crate) fn set_aside(&mut self, mounted: Option<&mut Disk>) {
        self.data = None;
        for disk in std::iter::once(&mut self.disk).chain(mounted) {
            disk.files.retain(|path, _| !is_below(path, PGDATA));
            disk.folders.remove(PGDATA);
        }
    }

    /// Shows a container what is on it.
    pub(crate) fn mount(&self, disk: &mut Disk) {
        disk.files.extend(self.disk.files.clone());
        disk.folders.extend(self.disk.folders.clone());
    }
}

/// Whether a path leads into a folder.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl Data {
    /// What `initdb` has not finished yet, or a copy that is not whole.
    pub(super) fn unfinished() -> Self {
        Self {
            system: None,
            timeline: 1,
            position: 0,
            past: BTreeMap::new(),
            content: Arc::new(postgresql::Cluster::of_initdb(BTreeMap::new())),
            dynamic: Value::Null,
        }
    }

    /// Data of a new cluster.
    pub(super) fn new(system: u64, content: postgresql::Cluster, dynamic: Value) -> Self {
        let content = Arc::new(content);
        Self { system: Some(system), content, dynamic, position: 1, ..Self::unfinished() }
    }

    /// Begins a new timeline.
    pub(super) fn branch(&mut self) {
        self.past.insert(self.timeline, self.position);
        self.timeline += 1;
    }

    /// Whether these data can become those by replaying.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        let ended = match other.past.get(&self.timeline) {
            Some(ended) => *ended,
            None if other.timeline == self.timeline => other.position,
            None => return false,
        };
        self.system == other.system && self.position <= ended
    }

    /// Where they are in the log, in bytes.
    pub(super) fn location(&self) -> u64 {
        location(self.position)
    }

    /// A segment of the log is written, with nothing in it that anybody looks at.
    pub(super) fn fill_segment(&mut self) {
        self.position += SEGMENT / COMMIT;
    }

    /// Whether a server whose log begins here still has what comes next.
    pub(super) fn is_kept_from(&self, oldest: u64) -> bool {
        self.location() - self.location() % SEGMENT >= oldest
    }

    /// Where each earlier timeline ended, as Patroni lists it.
    pub(super) fn history(&self) -> Value {
        let ended = |(timeline, position): (&u32, &u64)| {
            json!([timeline, location(*position), "no recovery target specified"])
        };
        self.past.iter().map(ended).collect()
    }
}
