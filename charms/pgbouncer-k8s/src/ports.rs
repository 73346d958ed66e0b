//! What the charm reaches besides Juju and Pebble.

use std::collections::BTreeMap;

use charm_kit::ports::System;
use postgres::{Boxed, Console, Failure, Pause};

/// What comes from outside, but for Juju and Pebble, which come with the hook.
pub trait Ports: charm_kit::ports::Ports {
    /// Whether a host and port accept a connection. The caller bounds the time.
    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool>;

    /// The settings that are in force in a PgBouncer process, by name.
    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, Failure>>;

    /// What a PgBouncer process holds clients back from; none where it serves.
    fn pause<'a>(&'a self, console: &'a Console) -> Boxed<'a, Result<Option<Pause>, Failure>>;

    /// How many rounds a verifier takes.
    fn iterations(&self) -> u32 {
        postgres::scram::ITERATIONS
    }
}

impl Ports for System {
    fn accepts<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, bool> {
        Box::pin(async move { tokio::net::TcpStream::connect((host, port)).await.is_ok() })
    }

    fn settings<'a>(
        &'a self,
        console: &'a Console,
    ) -> Boxed<'a, Result<BTreeMap<String, String>, Failure>> {
        Box::pin(console.settings())
    }

    fn pause<'a>(&'a self, console: &'a Console) -> Boxed<'a, Result<Option<Pause>, Failure>> {
        Box::pin(console.pause())
    }
}
