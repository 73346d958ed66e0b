//! What the charm reaches besides Juju and Pebble.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use kubernetes::InClusterError;
use postgres::{ConnectOptions, Console};

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

    /// Whether a host and port accept a connection. The caller bounds the time.
    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool>;

    /// The settings that are in force in a PgBouncer process, by name.
    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, postgres::Failure>>;

    /// Random bytes, which nobody can guess.
    fn random(&self) -> [u8; 32];

    /// How many rounds a verifier takes.
    fn iterations(&self) -> u32 {
        postgres::scram::ITERATIONS
    }

    /// How many processors the unit may use.
    fn processors(&self) -> usize;

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

    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, postgres::Failure>> {
        Box::pin(console.settings())
    }

    fn kubernetes(&self) -> Result<kubernetes::Client, InClusterError> {
        kubernetes::Client::in_cluster(Path::new("/"), |name| std::env::var(name).ok())
    }

    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool> {
        Box::pin(async move { tokio::net::TcpStream::connect((host, port)).await.is_ok() })
    }

    fn random(&self) -> [u8; 32] {
        rand::random()
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(2, usize::from)
    }

    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}
