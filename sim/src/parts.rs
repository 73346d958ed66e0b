//! Clients of the simulated parts, for the suites that the real parts pass too.

use std::future::Future;
use std::sync::Arc;

use names::UnitName;

use crate::World;
use crate::history::{History, POOLER, Run};
use crate::hook;
use crate::pebble_api::Socket;
use crate::sql::Servers;

/// A world of its own, in which the charms run no hook any more.
pub struct Parts {
    world: Arc<World>,
}

impl Parts {
    /// A pooler's pod in which nothing has run yet, beside a PostgreSQL that nobody uses.
    pub fn new() -> Option<Self> {
        let history = History {
            seed: 0,
            units: 1,
            databases: 0,
            clients: Vec::new(),
            slow: false,
            old_image: false,
            shuffled: false,
            steps: Vec::new(),
        };
        Some(Self { world: Run::begin(&history, false)?.world })
    }

    /// Runs a suite; time passes whenever it waits.
    pub fn run<T>(&self, suite: impl Future<Output = T>) -> Option<T> {
        hook::block_on(hook::alongside(&self.world, suite))
    }

    /// The Pebble of the pooler's pod.
    pub fn pebble(&self) -> Option<pebble::Client> {
        let unit = UnitName::new(POOLER.parse().ok()?, 0);
        let socket = Socket { world: self.world.clone(), unit };
        Some(pebble::Client::over(Arc::new(socket)))
    }

    /// The servers.
    pub fn servers(&self) -> Arc<dyn postgres::Server> {
        Arc::new(Servers(self.world.clone()))
    }
}
