//! The door of pgbouncer-k8s into a simulated world.

use std::sync::Arc;

use kubernetes::InClusterError;
use names::AppName;
use pgbouncer_k8s::{Boxed, Door};
use postgres::ConnectOptions;

use crate::World;
use crate::kube;
use crate::sql::Servers;
use crate::world::State;

/// The processors of every unit.
const PROCESSORS: usize = 2;

/// The door of one hook.
pub(crate) struct Simulated {
    pub(crate) world: Arc<World>,
    pub(crate) app: AppName,
}

impl Door for Simulated {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(Servers(self.world.clone())), options))
    }

    fn kubernetes(&self) -> Result<kubernetes::Client, InClusterError> {
        Ok(kube::client(self.world.clone(), self.app.clone()))
    }

    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool> {
        let open = self.world.look(|state| crate::check::serves(state, host, port));
        Box::pin(async move { open })
    }

    fn random(&self) -> [u8; 32] {
        self.world.change(|state| state.entropy.bytes())
    }

    fn iterations(&self) -> u32 {
        1
    }

    fn processors(&self) -> usize {
        PROCESSORS
    }

    fn now(&self) -> u64 {
        self.world.look(State::seconds)
    }
}
