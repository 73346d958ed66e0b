//! The door of pgbouncer-k8s into a simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubernetes::InClusterError;
use names::AppName;
use pgbouncer_k8s::{Boxed, Door};
use postgres::{ConnectOptions, Console, Failure};
use secrecy::ExposeSecret;

use crate::World;
use crate::gate::{Fault, Side};
use crate::kube;
use crate::mutants::{self, Plant};
use crate::pgbouncer_process::Process;
use crate::sql::Servers;
use crate::world::State;

/// The processors of every unit.
const PROCESSORS: usize = 2;

/// The door of one hook.
pub(crate) struct Simulated {
    pub(crate) world: Arc<World>,
    pub(crate) app: AppName,
}

impl Simulated {
    /// Asks the process of the unit whose hook runs that listens on an address of its own.
    async fn ask(&self, console: &Console) -> Result<BTreeMap<String, String>, Failure> {
        let address = console.address.to_string();
        let fault = self.world.effect(Side::Sql, || format!("SHOW CONFIG at {address}"));
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
            let process = &process.as_believed(container, mutants::is(&Plant::Trusts));
            Some(process.ask(&console.user, password, certificate))
        });
        self.world.effect_done();
        let answer = answer.unwrap_or_else(|| Err("connection refused".to_owned()));
        answer.map_err(|why| Failure::new(None, why))
    }
}

impl Door for Simulated {
    fn postgres<'a>(
        &'a self,
        options: &'a ConnectOptions,
    ) -> Boxed<'a, Result<postgres::Client, postgres::Error>> {
        Box::pin(postgres::Client::over(Arc::new(Servers(self.world.clone())), options))
    }

    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, Failure>> {
        Box::pin(self.ask(console))
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
