//! The real Pebble.
//!
//! `TALISMAN_PEBBLE` names the binary; otherwise it is looked for on `PATH` and in
//! `/usr/local/lib/talisman`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pebble_client::Client;
use tempfile::TempDir;

/// How a test may fail.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// A Pebble that ends with the test.
pub(crate) struct Daemon {
    /// Its folder.
    pub(crate) folder: TempDir,
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("TALISMAN_PEBBLE") {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/local/lib/talisman")])
        .map(|folder| folder.join("pebble"))
        .find(|path| path.is_file())
        .ok_or_else(|| "cannot find pebble: install it or set TALISMAN_PEBBLE to its path".into())
}

/// Starts one that has no plan.
pub(crate) async fn daemon() -> Result<(Daemon, Client), Failure> {
    let folder = tempfile::tempdir()?;
    let binary = binary()?;
    let child = Command::new(&binary)
        .args(["run", "--create-dirs", "--hold"])
        .env("PEBBLE", folder.path())
        .env("PEBBLE_SOCKET", folder.path().join("socket"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))?;
    let client = Client::new(folder.path().join("socket"));
    let daemon = Daemon { folder, child };
    let began = Instant::now();
    while let Err(error) = client.system_info().await {
        assert!(error.is_unreachable(), "{error}");
        if began.elapsed() > Duration::from_secs(10) {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((daemon, client))
}
