//! The ports of postgresql-k8s into a simulated world.

use std::sync::Arc;

use charm_kit::ports::Ports;
use juju_charm::Error;
use juju_names::UnitName;
use kubernetes_client::InClusterError;
use postgres::{Boxed, ConnectOptions};
use postgresql_k8s::{Resources, Volume};

use crate::World;
use crate::far::kubernetes;
use crate::far::patroni;
use crate::far::postgresql::Servers;
use crate::mutant::{self, Plant};
use crate::world::State;

/// What every unit has.
const MACHINE: Resources = Resources { cores: 2, memory: 4 << 30 };

/// The room on every volume.
const VOLUME: Volume = Volume { used: 1 << 30, free: 9 << 30 };

/// The ports of one hook.
pub(crate) struct Database {
    pub(crate) world: Arc<World>,
    pub(crate) unit: UnitName,
}

impl Ports for Database {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(Servers(self.world.clone())), options))
    }

    fn kubernetes(&self) -> Result<kubernetes_client::Client, InClusterError> {
        Ok(kubernetes::client(self.world.clone(), self.unit.app().clone()))
    }

    fn random(&self) -> Result<[u8; 32], Error> {
        let drawn = self.world.change(|state| state.entropy.bytes());
        Ok(if mutant::is(&Plant::SameRandom) { [0; 32] } else { drawn })
    }

    fn processors(&self) -> Option<usize> {
        usize::try_from(MACHINE.cores).ok()
    }

    fn now(&self) -> u64 {
        self.world.look(State::seconds)
    }

    fn program(&self) -> Result<Vec<u8>, Error> {
        Ok(b"program".to_vec())
    }

    fn program_version(&self) -> Result<String, Error> {
        Ok("program".to_owned())
    }
}

impl postgresql_k8s::Ports for Database {
    fn patroni(&self, host: &str, authorities: Option<&str>) -> ::patroni::Rest {
        let authorities = authorities.filter(|_| !mutant::is(&Plant::InClear));
        let authorities = authorities.map(str::to_owned);
        patroni::client(self.world.clone(), self.unit.clone(), host, authorities)
    }

    fn machine(&self) -> Resources {
        MACHINE
    }

    fn volume(&self, _path: &str) -> Option<Volume> {
        Some(VOLUME)
    }
}
