//! The ports of pgbouncer-k8s into a simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;

use charm_kit::ports::Ports;
use juju_charm::Error;
use juju_names::AppName;
use kubernetes_client::InClusterError;
use postgres::{Boxed, ConnectOptions, Console, Failure};
use secrecy::ExposeSecret;

use crate::World;
use crate::far::kubernetes;
use crate::far::pgbouncer::Process;
use crate::far::postgresql::Servers;
use crate::fault::{Fault, Port};
use crate::mutant::{self, Plant};
use crate::world::State;

/// The processors of every unit.
const PROCESSORS: usize = 2;

/// The ports of one hook.
pub(crate) struct Pooler {
    pub(crate) world: Arc<World>,
    pub(crate) app: AppName,
}

impl Pooler {
    /// Asks the process of the unit whose hook runs that listens on an address of its own.
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
            let unit = &state.session.as_ref()?.run().unit;
            let container = state.pods.get(unit)?.container.as_ref()?;
            let here = |process: &&Process| {
                process.port() == Some(console.port) && process.listens_on(&address)
            };
            let process = container.poolers().map(|(_, process)| process).find(here)?;
            let password = console.password.expose_secret();
            let certificate = console.certificate.as_deref();
            let process = &process.as_believed(container, mutant::is(&Plant::Trusts));
            Some(process.ask(&console.user, password, certificate))
        });
        self.world.effect_done();
        let answer = answer.unwrap_or_else(|| Err("connection refused".to_owned()));
        answer.map_err(|why| Failure::new(None, why))
    }
}

impl Ports for Pooler {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(Servers(self.world.clone())), options))
    }

    fn kubernetes(&self) -> Result<kubernetes_client::Client, InClusterError> {
        Ok(kubernetes::client(self.world.clone(), self.app.clone()))
    }

    fn random(&self) -> Result<[u8; 32], Error> {
        Ok(self.world.change(|state| state.entropy.bytes()))
    }

    fn processors(&self) -> Option<usize> {
        Some(PROCESSORS)
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

impl pgbouncer_k8s::Ports for Pooler {
    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool> {
        let open = self.world.look(|state| crate::check::serves(state, host, port));
        Box::pin(async move { open })
    }

    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, Failure>> {
        Box::pin(self.ask(console))
    }

    fn iterations(&self) -> u32 {
        1
    }
}
