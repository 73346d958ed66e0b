//! Clients of the simulated parts, for the suites that the real parts pass too.

mod session;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use juju_names::UnitName;
use tokio::time::Instant;

use crate::World;
use crate::far::pebble::Container;
use crate::far::pgbouncer::Process;
use crate::far::postgresql::{Cluster, Role};
use crate::far::{SILENT, patroni};
use crate::history::History;
use crate::juju::hook;
use crate::names::{MODEL, POOLER, SERVER};
use crate::play::Run;
use crate::ports;

pub use session::Session;

/// The password of the server's superuser, `operator`.
pub const OPERATOR_PASSWORD: &str = "the operator's";

/// A world of its own, in which the charms run no hook any more.
pub struct Parts {
    world: Arc<World>,
    /// When the first session was opened.
    begun: OnceLock<Instant>,
}

/// A history in which nothing happens.
fn history(units: u32, databases: u32) -> History {
    History {
        seed: 0,
        units,
        databases,
        clients: Vec::new(),
        slow: false,
        old_image: false,
        shuffled: false,
        steps: Vec::new(),
    }
}

impl Parts {
    /// Three members of PostgreSQL under Patroni, as their charm leaves them.
    pub fn members() -> Option<Self> {
        let mut run = Run::begin(&history(0, 3), false)?;
        run.settle().then_some(Self::of(run.world))
    }

    /// A pooler's pod in which nothing has run yet, beside a PostgreSQL without clients.
    pub fn new() -> Option<Self> {
        let world = Run::begin(&history(1, 0), false)?.world;
        let operator = Role::of_patroni(OPERATOR_PASSWORD, true);
        let roles = BTreeMap::from([("operator".to_owned(), operator)]);
        let server = Cluster { up: true, ..Cluster::of_initdb(roles) };
        let app = SERVER.parse().ok()?;
        world.change(|state| state.far.clusters.insert(app, server));
        Some(Self::of(world))
    }

    fn of(world: Arc<World>) -> Self {
        Self { world, begun: OnceLock::new() }
    }

    /// Runs a suite; time passes whenever it waits.
    pub fn run<T>(&self, suite: impl Future<Output = T>) -> Option<T> {
        hook::block_on(hook::alongside(&self.world, suite))
    }

    /// The Pebble of the pooler's pod.
    pub fn pebble(&self) -> Option<pebble_client::Client> {
        self.pebble_of(&format!("{POOLER}-0"))
    }

    /// The Pebble of a pod.
    pub fn pebble_of(&self, pod: &str) -> Option<pebble_client::Client> {
        let unit = UnitName::from_pod(pod).ok()?;
        let socket = ports::pebble::Socket { world: self.world.clone(), unit };
        Some(pebble_client::Client::over(Arc::new(socket)))
    }

    /// The Patroni of a pod.
    pub fn patroni(&self, pod: &str) -> Option<::patroni::Rest> {
        let unit = UnitName::from_pod(pod).ok()?;
        Some(ports::patroni::client(self.world.clone(), unit, pod, None))
    }

    /// The Patroni of a pod, verified with these CAs.
    pub fn patroni_trusting(&self, pod: &str, authorities: &str) -> Option<::patroni::Rest> {
        let unit = UnitName::from_pod(pod).ok()?;
        Some(ports::patroni::client(self.world.clone(), unit, pod, Some(authorities.to_owned())))
    }

    /// The password of one of Patroni's users; `patroni` is that of its own API.
    pub fn password_of(&self, user: &str) -> Option<String> {
        let app = SERVER.parse().ok()?;
        self.world.look(|state| {
            let (_, member) = patroni::members(&state.far, &app).next()?;
            member.known().into_iter().find(|(known, _)| *known == user)?.1
        })
    }

    /// The Kubernetes API as the charm of PostgreSQL reaches it.
    pub fn kubernetes(&self) -> Option<kubernetes_client::Client> {
        Some(ports::kubernetes::client(self.world.clone(), SERVER.parse().ok()?))
    }

    /// Whether a client gets an answer in a database at each PgBouncer that listens on a port.
    pub fn enters(&self, port: u16, user: &str, password: &str, database: &str) -> bool {
        self.world.look(|state| {
            let containers = state.far.pods.values().filter_map(|pod| pod.container.as_ref());
            let all = containers.flat_map(Container::poolers).map(|(_, process)| process);
            let takes = |process: &&Process| !process.traffic.ends();
            let here = all.filter(|process| process.port() == Some(port));
            let mut here = here.filter(takes).peekable();
            let enters =
                |process: &Process| state.far.login(process, user, password, database).is_ok();
            here.peek().is_some() && here.all(enters)
        })
    }

    /// Opens a session with the PgBouncer on a port; `login` is user, password and database.
    ///
    /// # Errors
    /// As the process refuses it.
    pub async fn session(&self, port: u16, login: (&str, &str, &str)) -> Result<Session, String> {
        let begun = *self.begun.get_or_init(Instant::now);
        Session::open(self.world.clone(), begun, port, login).await
    }

    /// The name of the server where it can fall silent.
    pub fn behind_silence(&self) -> String {
        format!("{SERVER}-primary{SILENT}")
    }

    /// From now on the server is silent there, or is not any more.
    pub fn silence(&self, silent: bool) {
        self.world.change(|state| state.far.silent = silent);
    }

    /// The settings that a PgBouncer on a port shows on its console.
    pub fn shown(&self, port: u16, user: &str, password: &str) -> BTreeMap<String, String> {
        self.world.look(|state| {
            let containers = state.far.pods.values().filter_map(|pod| pod.container.as_ref());
            let mut all = containers.flat_map(Container::poolers).map(|(_, process)| process);
            let here = all.find(|process| process.port() == Some(port));
            here.and_then(|process| process.ask(user, password, None).ok()).unwrap_or_default()
        })
    }

    /// The name at which the server answers that takes writes.
    pub fn primary(&self) -> String {
        format!("{SERVER}-primary.{MODEL}.svc.cluster.local")
    }

    /// The name at which those of the members answer that follow it.
    pub fn replicas(&self) -> String {
        format!("{SERVER}-replicas.{MODEL}.svc.cluster.local")
    }

    /// The servers.
    pub fn servers(&self) -> Arc<dyn postgres::Server> {
        Arc::new(ports::postgresql::Servers(self.world.clone()))
    }
}
