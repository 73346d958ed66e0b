//! The agent's configuration, in a file that only its user may read.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use postgres::{DatabaseName, RoleName};
use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::machine::Bounds;

/// A file that is none.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not there, or may not be read.
    #[error("cannot read the agent's configuration {path}: {cause}")]
    Read {
        /// Where.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// It is not in the form of [`Config`].
    #[error("cannot understand the agent's configuration {path}: {cause}")]
    Parse {
        /// Where.
        path: String,
        /// Why.
        cause: serde_json::Error,
    },
}

/// The server that is followed and the processes that are paused.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The host of the primary's Service.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database in which the lookup is.
    #[serde(deserialize_with = "parsed")]
    pub database: DatabaseName,
    /// The lookup's user.
    #[serde(deserialize_with = "parsed")]
    pub user: RoleName,
    /// The password.
    #[serde(deserialize_with = "hidden")]
    pub password: SecretString,
    /// The CA certificates of PostgreSQL, in PEM.
    pub ca: Option<String>,
    /// The folders of PgBouncer's processes: socket and `pgbouncer.pid`.
    pub processes: Vec<PathBuf>,
    /// The port in their sockets' names.
    pub listen_port: u16,
    /// The sizes of pools, which are narrowed before a pause.
    pub pools: Pools,
    /// Server connections belong to sessions: they do not end when transactions do.
    pub session_pooling: bool,
    /// The longest pause, in seconds.
    pub longest_pause: u64,
    /// The longest pause while the primary serves on, in seconds.
    pub longest_unstopped_pause: u64,
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Sizes of pools as in `pgbouncer.ini`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pools {
    /// `default_pool_size`.
    pub default: u32,
    /// `min_pool_size`.
    pub min: u32,
    /// `reserve_pool_size`.
    pub reserve: u32,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|cause| ConfigError::Read { path: name(), cause })?;
        serde_json::from_str(&text).map_err(|cause| ConfigError::Parse { path: name(), cause })
    }

    /// How long clients may be held.
    pub fn bounds(&self) -> Bounds {
        let seconds = Duration::from_secs;
        Bounds::new(seconds(self.longest_pause), seconds(self.longest_unstopped_pause))
    }
}
