//! The embedded store: one snapshot, replaced in one transaction.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::daemon::faults;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the store {path}: {reason}; if another engine uses it, stop that one first", path = path.display())]
    Open { path: PathBuf, reason: String },
    /// The snapshot cannot be read.
    #[error("cannot read the store {path}: {reason}; it was left as it is", path = path.display())]
    Read { path: PathBuf, reason: String },
    /// A newer program wrote the snapshot.
    #[error("cannot read the store {path}: it has format {found} and this program knows {known}; use the newer program", path = path.display())]
    Newer { path: PathBuf, found: u64, known: u64 },
    /// The snapshot cannot be written.
    #[error("cannot write the store {path}: {reason}; nothing was changed", path = path.display())]
    Write { path: PathBuf, reason: String },
}

/// What the store keeps apart from each other: the model changes with hooks, the Kubernetes
/// objects with every heartbeat of who uses them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The model, and what the engine remembers about it.
    Engine,
    /// The Kubernetes objects.
    Kubernetes,
}

impl Part {
    fn key(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Kubernetes => "cluster",
        }
    }
}

/// The format of the snapshots; a store with a larger one is refused.
const FORMAT: u64 = 1;
const SNAPSHOTS: TableDefinition<&str, &[u8]> = TableDefinition::new("snapshots");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// A file so many times as large as what it holds is shrunk, if it is worth it.
const WASTE: u64 = 4;
/// A smaller file is left as it is.
const WASTE_MIN: u64 = 4 << 20;
/// How often the database may move what it holds until the file is small.
const PASSES_MAX: u32 = 8;

/// The store of one instance.
pub(crate) struct Store {
    /// Absent after a failed write, until it can be opened again.
    database: Mutex<Option<Database>>,
    path: PathBuf,
}

impl Store {
    /// Opens the store, or makes an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(|error| StoreError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { database: Mutex::new(Some(database)), path: path.to_owned() })
    }

    /// Gives back the room of what the store no longer holds, if that is most of the file. A
    /// crash on the way leaves the store as it was, in a file of any size.
    pub(crate) fn shrink(&self) -> Result<(), StoreError> {
        let fail = |reason: String| StoreError::Write { path: self.path.clone(), reason };
        let file = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if file < WASTE_MIN {
            return Ok(());
        }
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut open) = database.take() else { return Ok(()) };
        let shrunk = held(&open).and_then(|held| {
            let mut passes = 0;
            while file / WASTE > held && passes < PASSES_MAX && open.compact()? {
                passes += 1;
                faults::point();
            }
            Ok(())
        });
        // One that has failed is opened anew by the next write.
        *database = shrunk.is_ok().then_some(open);
        shrunk.map_err(|error| fail(error.to_string()))
    }

    /// The snapshot, or `None` in an empty store.
    pub(crate) fn load<T: DeserializeOwned>(&self, part: Part) -> Result<Option<T>, StoreError> {
        let fail = |reason: String| StoreError::Read { path: self.path.clone(), reason };
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| fail("it is closed".to_owned()))?;
        let read = database.begin_read().map_err(|error| fail(error.to_string()))?;
        let Ok(numbers) = read.open_table(NUMBERS) else { return Ok(None) };
        let format = numbers.get("format").map_err(|error| fail(error.to_string()))?;
        let found = format.map_or(FORMAT, |value| value.value());
        if found > FORMAT {
            return Err(StoreError::Newer { path: self.path.clone(), found, known: FORMAT });
        }
        let table = read.open_table(SNAPSHOTS).map_err(|error| fail(error.to_string()))?;
        match table.get(part.key()).map_err(|error| fail(error.to_string()))? {
            Some(bytes) => serde_json::from_slice(bytes.value())
                .map(Some)
                .map_err(|error| fail(error.to_string())),
            None => Ok(None),
        }
    }

    /// Replaces the snapshot; on return it is on disk, and the answer are its bytes.
    pub(crate) fn save<T: Serialize>(
        &self,
        part: Part,
        snapshot: &T,
    ) -> Result<Vec<u8>, StoreError> {
        let fail = |reason: String| StoreError::Write { path: self.path.clone(), reason };
        let bytes = serde_json::to_vec(snapshot).map_err(|error| fail(error.to_string()))?;
        faults::point();
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match database.take() {
            Some(open) => Ok(open),
            None => Database::create(&self.path).map_err(anyhow::Error::from),
        }
        .and_then(|open| write(&open, part, &bytes).map(|()| open));
        // A database that has failed once refuses everything until it is opened anew.
        *database = Some(written.map_err(|error| fail(error.to_string()))?);
        faults::point();
        Ok(bytes)
    }
}

/// The bytes of all snapshots.
fn held(database: &Database) -> anyhow::Result<u64> {
    let read = database.begin_read()?;
    let Ok(table) = read.open_table(SNAPSHOTS) else { return Ok(0) };
    let mut held = 0;
    for part in [Part::Engine, Part::Kubernetes] {
        held += table.get(part.key())?.map_or(0, |bytes| bytes.value().len() as u64);
    }
    Ok(held)
}

fn write(database: &Database, part: Part, bytes: &[u8]) -> anyhow::Result<()> {
    let write = database.begin_write()?;
    write.open_table(SNAPSHOTS)?.insert(part.key(), bytes)?;
    write.open_table(NUMBERS)?.insert("format", FORMAT)?;
    write.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_after_a_reopen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.redb");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load::<Vec<u8>>(Part::Engine).unwrap(), None);
        store.save(Part::Engine, &vec![1u8, 2]).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().load(Part::Engine).unwrap(), Some(vec![1u8, 2]));
    }

    #[test]
    fn room_that_is_no_longer_needed_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.redb");
        let store = Store::open(&path).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        store.save(Part::Kubernetes, &"cluster").unwrap();
        for held in [40 << 20, 5 << 20] {
            for _ in 0..3 {
                store.save(Part::Engine, &"x".repeat(held)).unwrap();
            }
            store.shrink().unwrap();
            assert!(size() > held as u64, "what is held has its room");
            store.save(Part::Engine, &"small").unwrap();
            store.save(Part::Engine, &"smaller").unwrap();
            assert!(size() > held as u64);
            store.shrink().unwrap();
            assert!(size() < 4 << 20, "{held}: {}", size());
        }
        assert_eq!(store.load(Part::Engine).unwrap(), Some("smaller".to_owned()));
        store.save(Part::Engine, &"again").unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load(Part::Engine).unwrap(), Some("again".to_owned()));
        assert_eq!(store.load(Part::Kubernetes).unwrap(), Some("cluster".to_owned()));
    }

    #[test]
    fn a_store_from_the_future_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("model.redb")).unwrap();
        {
            let database = store.database.lock().unwrap();
            let write = database.as_ref().unwrap().begin_write().unwrap();
            write.open_table(NUMBERS).unwrap().insert("format", FORMAT + 1).unwrap();
            write.commit().unwrap();
        }
        let error = store.load::<Vec<u8>>(Part::Engine).unwrap_err().to_string();
        assert!(error.contains("use the newer program"), "{error}");
    }

    #[test]
    fn a_corrupt_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.redb");
        std::fs::write(&path, "not a store").unwrap();
        assert!(Store::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a store");
    }
}
