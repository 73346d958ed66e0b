//! The pause in progress, in a file in memory: it goes with the container, as the pause does.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::machine::Hold;

/// Where a pause is written down.
#[derive(Debug, Clone)]
pub(crate) struct StateFile(PathBuf);

impl StateFile {
    /// The file of the agent whose configuration is at `config`.
    pub(crate) fn beside(config: &Path) -> Self {
        Self(config.with_extension("hold"))
    }

    /// The pause that an agent before this one began and did not end.
    pub(crate) fn read(&self) -> Option<Hold> {
        serde_json::from_str(&std::fs::read_to_string(&self.0).ok()?).ok()
    }

    /// Writes a pause down before it begins.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, hold: &Hold) -> std::io::Result<()> {
        replace(&self.0, &serde_json::to_vec(hold)?)
    }

    /// Forgets the pause after it has ended.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Replaces a file that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::{Cause, Instance};

    #[test]
    fn a_pause_is_read_back_until_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::beside(&folder.path().join("pgb.agent.json"));
        assert_eq!(file.read(), None);
        let last = Instance("2026-11-29 02:39:34.123456+00".to_owned());
        let hold = Hold { since: Duration::from_millis(12_345), last, cause: Cause::Lost };
        file.write(&hold).unwrap();
        assert_eq!(file.read(), Some(hold));
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read(), None);
    }
}
