//! What charms of databases reach besides Juju and Pebble.

use std::path::Path;
use std::time::UNIX_EPOCH;

use juju_charm::Error;
use kubernetes_client::InClusterError;
use postgres::{Boxed, ConnectOptions};
use rand::TryRng as _;

/// What comes from outside, but for Juju and Pebble, which come with the hook. A charm adds its
/// own to it.
pub trait Ports {
    /// Connects to PostgreSQL.
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>>;

    /// The Kubernetes API, as the pod's service account.
    ///
    /// # Errors
    /// When the process is not in a pod with a service account.
    fn kubernetes(&self) -> Result<kubernetes_client::Client, InClusterError>;

    /// Random bytes from the operating system.
    ///
    /// # Errors
    /// When the operating system gives none.
    fn random(&self) -> Result<[u8; 32], Error>;

    /// How many processors the unit may use; none where the operating system does not say.
    fn processors(&self) -> Option<usize>;

    /// The time of day, in seconds since 1970.
    fn now(&self) -> u64;

    /// The charm's own program. It also runs in the workload container, under another name: there
    /// it needs nothing of the image.
    ///
    /// # Errors
    /// When it cannot be read.
    fn program(&self) -> Result<Vec<u8>, Error>;

    /// What tells this program from that of another revision of the charm.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn program_version(&self) -> Result<String, Error>;
}

/// The program that runs.
const PROGRAM: &str = "/proc/self/exe";

/// The world as it is.
pub struct System;

impl Ports for System {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::connect(options))
    }

    fn kubernetes(&self) -> Result<kubernetes_client::Client, InClusterError> {
        kubernetes_client::Client::in_cluster(Path::new("/"), |name| std::env::var(name).ok())
    }

    fn random(&self) -> Result<[u8; 32], Error> {
        let mut bytes = [0; 32];
        let drawn = rand::rngs::SysRng.try_fill_bytes(&mut bytes);
        drawn.map_err(|error| Error::System("draw random numbers", error.into()))?;
        Ok(bytes)
    }

    fn processors(&self) -> Option<usize> {
        std::thread::available_parallelism().map(usize::from).ok()
    }

    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    fn program(&self) -> Result<Vec<u8>, Error> {
        std::fs::read(PROGRAM).map_err(|error| Error::System("read the charm's own program", error))
    }

    fn program_version(&self) -> Result<String, Error> {
        let file = std::fs::metadata(PROGRAM);
        let look = || {
            let file = file?;
            let age = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(format!("{} {}", file.len(), age.as_nanos()))
        };
        look().map_err(|error: std::io::Error| {
            Error::System("look at the charm's own program", error)
        })
    }
}
