//! What the charm reaches besides Juju and Pebble.

use charm_kit::ports::{Ports as _, System};
use patroni::Rest;

use crate::resources::{self, Resources, Volume};
use crate::topology::PATRONI_PORT;

/// What comes from outside, but for Juju and Pebble, which come with the hook.
pub trait Ports: charm_kit::ports::Ports {
    /// The REST API of the Patroni at a host, verified with these CAs; without any it is in clear.
    fn patroni(&self, host: &str, authorities: Option<&str>) -> Rest;

    /// What the machine has.
    fn machine(&self) -> Resources;

    /// The volume that is mounted at a path; none where it cannot be looked at.
    fn volume(&self, path: &str) -> Option<Volume>;
}

impl Ports for System {
    fn patroni(&self, host: &str, authorities: Option<&str>) -> Rest {
        match authorities {
            Some(authorities) => Rest::trusting(host, PATRONI_PORT, authorities),
            None => Rest::new(host, PATRONI_PORT),
        }
    }

    fn machine(&self) -> Resources {
        let cores = self.processors().map_or(1, |n| n as u64);
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Resources { cores, memory: resources::memory_total(&meminfo).unwrap_or(1 << 30) }
    }

    fn volume(&self, path: &str) -> Option<Volume> {
        let volume = rustix::fs::statvfs(path).ok()?;
        // As df counts: what only root may use, or a quota withholds, belongs to neither.
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let used = bytes(volume.f_blocks.saturating_sub(volume.f_bfree));
        Some(Volume { used, free: bytes(volume.f_bavail) })
    }
}
