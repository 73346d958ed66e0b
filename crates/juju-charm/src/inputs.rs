//! Files through which a secret's content goes to Juju's agent.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder below the charm's own, there only while a tool runs.
const FOLDER: &str = ".hook-tool-input";

/// Where the files lie. A unit runs one hook at a time, so there is one file at most.
#[derive(Debug)]
pub(crate) struct Inputs {
    folder: PathBuf,
}

/// One file, open to its owner alone; dropping it removes it and its folder.
#[derive(Debug)]
pub(crate) struct InputFile {
    path: PathBuf,
}

impl Inputs {
    /// Files below `folder`. What a hook that was killed has left there goes at once.
    pub(crate) fn new(folder: &Path) -> Self {
        // The agent has another working folder.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| std::env::temp_dir());
        let inputs = Self { folder: folder.join(FOLDER) };
        // What cannot be removed is met again, and named, when a file is written.
        let _ = inputs.clear();
        inputs
    }

    fn clear(&self) -> Result<(), Error> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a file.
    ///
    /// # Errors
    /// The folder, and what the operating system said.
    pub(crate) fn write(&self, content: &str) -> Result<InputFile, (PathBuf, Error)> {
        self.try_write(content).map_err(|source| (self.folder.clone(), source))
    }

    fn try_write(&self, content: &str) -> Result<InputFile, Error> {
        self.clear()?;
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        let file = InputFile { path: self.folder.join("content") };
        let mut open =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.path)?;
        open.write_all(content.as_bytes())?;
        Ok(file)
    }
}

impl InputFile {
    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for InputFile {
    fn drop(&mut self) {
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_hook_left_goes_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        std::mem::forget(Inputs::new(folder.path()).write("hidden").unwrap());
        assert!(folder.path().join(FOLDER).join("content").exists());
        let inputs = Inputs::new(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = inputs.write("again").unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "again");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let inputs = Inputs::new(Path::new("/proc/no-such-folder"));
        let (folder, _) = inputs.write("hidden").unwrap_err();
        assert_eq!(folder, Path::new("/proc/no-such-folder").join(FOLDER));
    }
}
