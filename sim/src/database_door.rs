//! The door of postgresql-k8s into a simulated world.

use std::sync::Arc;

use kubernetes::InClusterError;
use names::UnitName;
use postgres::ConnectOptions;
use postgresql_k8s::{Boxed, Door, Resources, Volume};

use crate::World;
use crate::kube;
use crate::mutants::{self, Plant};
use crate::patroni;
use crate::sql::Servers;
use crate::world::State;

/// What every unit has.
const MACHINE: Resources = Resources { cores: 2, memory: 4 << 30 };

/// The room on every volume.
const VOLUME: Volume = Volume { used: 1 << 30, free: 9 << 30 };

/// The door of one hook.
pub(crate) struct Simulated {
    pub(crate) world: Arc<World>,
    pub(crate) unit: UnitName,
}

impl Door for Simulated {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(Servers(self.world.clone())), options))
    }

    fn kubernetes(&self) -> Result<kubernetes::Client, InClusterError> {
        Ok(kube::client(self.world.clone(), self.unit.app().clone()))
    }

    fn patroni(&self, host: &str, authorities: Option<&str>) -> ::patroni::Rest {
        let authorities = authorities.map(str::to_owned);
        patroni::client(self.world.clone(), self.unit.clone(), host, authorities)
    }

    fn random(&self) -> Result<[u8; 32], rand::rngs::SysError> {
        let drawn = self.world.change(|state| state.entropy.bytes());
        Ok(if mutants::is(&Plant::Dull) { [0; 32] } else { drawn })
    }

    fn machine(&self) -> Resources {
        MACHINE
    }

    fn volume(&self, _path: &str) -> Option<Volume> {
        Some(VOLUME)
    }

    fn now(&self) -> u64 {
        self.world.look(State::seconds)
    }
}
