//! The charms' ports to the outside, as they lead into a simulated world.

pub(crate) mod kubernetes;
pub(crate) mod patroni;
pub(crate) mod pebble;
pub(crate) mod postgresql;

use std::collections::BTreeMap;
use std::sync::Arc;

use charm_kit::ports::Ports;
use juju_charm::Error;
use juju_names::UnitName;
use kubernetes_client::InClusterError;
use postgres::{Boxed, ConnectOptions, Console, Failure, Pause};
use postgresql_k8s::{Resources, Volume};
use secrecy::ExposeSecret;

use crate::World;
use crate::far::pebble::Container;
use crate::far::pgbouncer::Process;
use crate::fault::{Fault, Port};
use crate::mutant::{self, Plant};
use crate::world::State;

/// What every unit has.
const MACHINE: Resources = Resources { cores: 2, memory: 4 << 30 };

/// The room on every volume.
const VOLUME: Volume = Volume { used: 1 << 30, free: 9 << 30 };

/// The ports of one unit's hook.
pub(crate) struct Simulated {
    pub(crate) world: Arc<World>,
    pub(crate) unit: UnitName,
}

impl Ports for Simulated {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(postgresql::Servers(self.world.clone())), options))
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

impl pgbouncer_k8s::Ports for Simulated {
    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool> {
        let open = self.world.look(|state| state.far.accepts(host, port));
        Box::pin(async move { open })
    }

    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, Failure>> {
        Box::pin(self.ask(console))
    }

    /// Who may not read settings may not ask for this either.
    fn pause<'a>(&'a self, console: &'a Console) -> Boxed<'a, Result<Option<Pause>, Failure>> {
        Box::pin(async move {
            self.ask(console).await?;
            let held =
                self.world.look(|state| Some(self.asked(state, console)?.1.traffic.is_paused()));
            let seen = held == Some(true) && !mutant::is(&Plant::SeesNoPause);
            Ok(seen.then_some(Pause::Everything))
        })
    }

    fn iterations(&self) -> u32 {
        1
    }
}

impl Simulated {
    /// The unit's process that listens on an address of its own, with its container.
    fn asked<'a>(
        &self,
        state: &'a State,
        console: &Console,
    ) -> Option<(&'a Container, &'a Process)> {
        let address = console.address.to_string();
        let container = state.far.pods.get(&self.unit)?.container.as_ref()?;
        let here = |process: &&Process| {
            process.port() == Some(console.port) && process.listens_on(&address)
        };
        let process = container.poolers().map(|(_, process)| process).find(here)?;
        Some((container, process))
    }

    /// Asks it for its settings.
    async fn ask(&self, console: &Console) -> Result<BTreeMap<String, String>, Failure> {
        let address = console.address.to_string();
        let fault = self.world.effect(Port::Sql, || format!("SHOW CONFIG at {address}"));
        if fault == Some(Fault::SqlSlow) {
            tokio::time::sleep(console.timeout).await;
        }
        if let Some(Fault::SqlAway | Fault::SqlFails | Fault::SqlCut | Fault::SqlSlow) = fault {
            self.world.effect_done();
            return Err(Failure::new(None, "no answer"));
        }
        let answer = self.world.look(|state| {
            let (container, process) = self.asked(state, console)?;
            let password = console.password.expose_secret();
            let certificate = console.certificate.as_deref();
            let process = &process.as_believed(&container.disk, mutant::is(&Plant::Trusts));
            Some(process.ask(&console.user, password, certificate))
        });
        self.world.effect_done();
        answer.unwrap_or_else(|| Err(Failure::new(None, "connection refused")))
    }
}

impl postgresql_k8s::Ports for Simulated {
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
