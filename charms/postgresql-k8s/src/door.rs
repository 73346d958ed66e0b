//! What the charm reaches besides Juju and Pebble.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use kubernetes::InClusterError;
use patroni::Rest;
use postgres::ConnectOptions;

use crate::resources::{self, Resources, Volume};
use crate::topology::PATRONI_PORT;

/// A future in a box, so that a door can be chosen at run time.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything that comes from outside, but for Juju and Pebble, which come with the hook.
pub trait Door {
    /// Connects to PostgreSQL.
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>>;

    /// The Kubernetes API, as the pod's service account.
    ///
    /// # Errors
    /// When the process is not in a pod with a service account.
    fn kubernetes(&self) -> Result<kubernetes::Client, InClusterError>;

    /// The REST API of the Patroni at a host, which these authorities vouch for; without any it
    /// is spoken to in clear.
    fn patroni(&self, host: &str, authorities: Option<&str>) -> Rest;

    /// Random bytes, which nobody can guess.
    ///
    /// # Errors
    /// When the operating system gives none.
    fn random(&self) -> Result<[u8; 32], rand::rngs::SysError>;

    /// What the machine has.
    fn machine(&self) -> Resources;

    /// The volume that is mounted at a path; none where it cannot be looked at.
    fn volume(&self, path: &str) -> Option<Volume>;

    /// The time of day, in seconds since 1970.
    fn now(&self) -> u64;
}

/// The world as it is.
pub(crate) struct Open;

impl Door for Open {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::connect(options))
    }

    fn kubernetes(&self) -> Result<kubernetes::Client, InClusterError> {
        kubernetes::Client::in_cluster(Path::new("/"), |name| std::env::var(name).ok())
    }

    fn patroni(&self, host: &str, authorities: Option<&str>) -> Rest {
        match authorities {
            Some(authorities) => Rest::trusting(host, PATRONI_PORT, authorities),
            None => Rest::new(host, PATRONI_PORT),
        }
    }

    fn random(&self) -> Result<[u8; 32], rand::rngs::SysError> {
        use rand::TryRng as _;
        let mut bytes = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes)?;
        Ok(bytes)
    }

    fn machine(&self) -> Resources {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Resources { cores, memory: resources::memory_total(&meminfo).unwrap_or(1 << 30) }
    }

    fn volume(&self, path: &str) -> Option<Volume> {
        let volume = rustix::fs::statvfs(path).ok()?;
        // As df counts: what nobody but root may use, or a quota withholds, belongs to neither.
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let used = bytes(volume.f_blocks.saturating_sub(volume.f_bfree));
        Some(Volume { used, free: bytes(volume.f_bavail) })
    }

    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}
