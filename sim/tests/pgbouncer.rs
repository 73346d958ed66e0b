//! The contract of PgBouncer, kept by the simulated one.

#[path = "../../crates/pgbouncer/tests/contract/mod.rs"]
mod contract;

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Answer, Failure, Far, Pooler, Session};
use postgres::{Boxed, Client, ConnectOptions};
use sim::parts::{OPERATOR_PASSWORD, Parts};

struct Simulated<'a>(&'a Parts);

struct Open(sim::parts::Session);

impl Session for Open {
    fn asks<'a>(&'a self, text: &'a str) -> Boxed<'a, Answer> {
        Box::pin(self.0.asks(text))
    }
}

impl Pooler for Simulated<'_> {
    fn enters<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, bool> {
        let enters = self.0.enters(port, user, password, database);
        Box::pin(async move { enters })
    }

    fn shows<'a>(&'a self, port: u16) -> Boxed<'a, BTreeMap<String, String>> {
        let shown = self.0.shown(port, "looker", "looker");
        Box::pin(async move { shown })
    }

    fn opens<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, String>> {
        Box::pin(async move {
            let open = self.0.session(port, (user, password, database)).await?;
            Ok(Box::new(Open(open)) as Box<dyn Session>)
        })
    }

    fn behind_silence(&self) -> Boxed<'_, (String, u16)> {
        let host = self.0.behind_silence();
        Box::pin(async move { (host, 5432) })
    }

    fn silence(&self, silent: bool) -> Boxed<'_, ()> {
        self.0.silence(silent);
        Box::pin(async {})
    }
}

async fn operator(parts: &Parts) -> Result<Client, Failure> {
    let options = ConnectOptions {
        host: parts.primary(),
        port: 5432,
        user: "operator".parse()?,
        password: OPERATOR_PASSWORD.to_owned().into(),
        database: "postgres".parse()?,
        timeout: Duration::from_secs(5),
        ca: None,
    };
    Ok(Client::over(parts.servers(), &options).await?)
}

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[test]
        fn $promise() -> Result<(), Failure> {
            let parts = Parts::new().ok_or("cannot make a world")?;
            let pebble = parts.pebble().ok_or("cannot find the pod")?;
            let suite = async {
                let operator = operator(&parts).await?;
                let (server, pooler) = (parts.primary(), &Simulated(&parts));
                contract::$promise(&Far { pebble, pooler, operator, server }).await
            };
            parts.run(suite).ok_or("cannot start the runtime")?
        }
    )*};
}

keeps!(
    configurations_are_taken_or_not,
    processes_share_a_port,
    tls_needs_its_files,
    clients_prove_who_they_are,
    a_wildcard_leads_to_every_database,
    the_console_has_its_own_users,
    what_the_server_refuses_is_refused,
    reloads_take_what_they_can,
    restarts_take_the_rest,
    the_console_shows_what_is_in_force,
    a_refused_reload_takes_a_part,
    users_stay_until_there_is_another_list,
    a_pause_holds_clients,
    a_pause_waits_for_transactions,
    a_login_in_flight_poisons_the_pool,
    a_process_that_ends_does_not_resume,
    a_shutdown_waits_for_clients,
);
