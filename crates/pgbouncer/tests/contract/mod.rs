//! What any PgBouncer, real or simulated, does with the files that a charm writes.

// The exemption for tests does not reach functions outside #[test].
#![allow(clippy::unwrap_used)]

mod configurations;
mod consoles;
mod logins;
mod pauses;
mod reloads;

use std::collections::BTreeMap;
use std::time::Duration;

use pebble_client::{Layer, Ownership, Service};
use postgres::{Boxed, ExtraRoles, User};
use tokio::time::{Instant, sleep};

pub(crate) use configurations::{
    configurations_are_taken_or_not, processes_share_a_port, tls_needs_its_files,
};
pub(crate) use consoles::{a_refused_reload_takes_a_part, the_console_shows_what_is_in_force};
pub(crate) use logins::{
    a_wildcard_leads_to_every_database, clients_prove_who_they_are, the_console_has_its_own_users,
    what_the_server_refuses_is_refused,
};
pub(crate) use pauses::{
    a_login_in_flight_poisons_the_pool, a_pause_holds_clients, a_pause_waits_for_transactions,
    a_process_that_ends_does_not_resume, a_shutdown_waits_for_clients,
};
pub(crate) use reloads::{
    reloads_take_what_they_can, restarts_take_the_rest, users_stay_until_there_is_another_list,
};

/// How any step of the contract may fail.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A row of an answer, by column.
pub(crate) type Row = BTreeMap<String, String>;
/// What a session is answered: rows, or an error's text.
pub(crate) type Answer = Result<Vec<Row>, String>;

/// A container in which PgBouncer can run, and a server.
pub(crate) struct Far<'a> {
    pub(crate) pebble: pebble_client::Client,
    pub(crate) pooler: &'a dyn Pooler,
    /// The server's superuser.
    pub(crate) operator: postgres::Client,
    /// The server's name.
    pub(crate) server: String,
}

/// The owner of the process and of its files.
const OWNER: &str = "postgres";
/// The folder of the configuration, the socket and the pid file.
const FOLDER: &str = "/var/lib/pgbouncer/suite";
/// The folder of the log.
const LOGS: &str = "/var/log/pgbouncer/suite";
/// The user list.
const LIST: &str = "/dev/shm/suite";
/// The port.
const PORT: u16 = 7432;
/// How long something may take on a machine that has other things to do.
const BOUND: Duration = Duration::from_secs(60);
/// Who looks passwords up, and its password; the schema has its name.
const LOOKUP: &str = "suite_lookup";

/// A login: user, password, database, and whether it is accepted.
type Knock<'a> = (&'a str, &'a str, &'a str, bool);

fn ini() -> String {
    format!("{FOLDER}/pgbouncer.ini")
}

/// The settings of a process.
fn settings(port: u16) -> String {
    format!(
        "[pgbouncer]\nlisten_addr = *\nlisten_port = {port}\nunix_socket_dir = {FOLDER}\n\
         logfile = {LOGS}/pgbouncer.log\npidfile = {FOLDER}/{port}.pid\nuser = {OWNER}\n\
         auth_type = scram-sha-256\nauth_file = {LIST}\nso_reuseport = 1\n\
         admin_users = console\nstats_users = looker\nserver_login_retry = 0.2\n\
         query_wait_timeout = 5\nauth_query = SELECT username, password FROM \
         {LOOKUP}.get_auth($1)\n"
    )
}

/// The user list that most configurations have.
fn list() -> String {
    format!(
        "\"console\" \"co\"\"nsole\"\n\"looker\" \"{}\"\n\"{LOOKUP}\" \"{LOOKUP}\"",
        postgres::scram::verifier("looker", &[8; 16], 4096).expose()
    )
}

/// A connection of a client, until it is dropped.
pub(crate) trait Session: Send + Sync {
    /// Asks for one thing and waits for the answer.
    fn asks<'a>(&'a self, text: &'a str) -> Boxed<'a, Answer>;
}

/// Where clients knock.
pub(crate) trait Pooler: Send + Sync {
    /// Whether a login gets an answer in a database.
    fn enters<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, bool>;

    /// The settings as the console shows them to `looker`; nothing where it does not open.
    fn shows<'a>(&'a self, port: u16) -> Boxed<'a, BTreeMap<String, String>>;

    /// Opens a session, and waits as long as that takes.
    fn opens<'a>(
        &'a self,
        port: u16,
        user: &'a str,
        password: &'a str,
        database: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, String>>;

    /// The host and the port at which the server can fall silent.
    fn behind_silence(&self) -> Boxed<'_, (String, u16)>;

    /// From now on the server accepts connections there and answers none, or answers again.
    fn silence(&self, silent: bool) -> Boxed<'_, ()>;
}

impl Far<'_> {
    /// An entry of `[databases]` that leads to the server.
    fn entry(&self, name: &str, more: &str) -> String {
        format!("{name} = host={} port=5432 auth_user={LOOKUP}{more}\n", self.server)
    }

    /// Entries for these, and the lookup's.
    fn entries(&self, names: &[&str]) -> String {
        let all = names.iter().map(|name| self.entry(name, ""));
        format!("[databases]\n{}", all.collect::<String>())
    }

    async fn push(&self, path: &str, text: &str) -> Result<(), Failure> {
        let owner = Ownership::make_dirs().mode(0o400).owner(OWNER, OWNER);
        Ok(self.pebble.push(path, text, &owner).await?)
    }

    /// Puts files where a process finds them.
    async fn write(&self, ini_text: &str, list: &str) -> Result<(), Failure> {
        let owner = Ownership::make_dirs().mode(0o700).owner(OWNER, OWNER);
        self.pebble.make_dir(FOLDER, &owner).await?;
        self.pebble.make_dir(LOGS, &owner).await?;
        self.push(LIST, list).await?;
        self.push(&ini(), ini_text).await
    }

    /// Starts a process with a configuration; whether it stays up.
    async fn starts(&self, service: &str, path: &str) -> Result<bool, Failure> {
        let process = Service {
            command: Some(format!("/usr/sbin/pgbouncer {path}")),
            user: Some(OWNER.to_owned()),
            group: Some(OWNER.to_owned()),
            on_failure: Some("ignore".to_owned()),
            ..Service::default()
        };
        let layer = Layer::default().service(service, process);
        self.pebble.add_layer("suite", &layer, true).await?;
        let change = self.pebble.restart(&[service]).await?;
        Ok(self.pebble.wait_change(&change, BOUND).await.is_ok())
    }

    async fn stop(&self, service: &str) -> Result<(), Failure> {
        let change = self.pebble.stop(&[service]).await?;
        self.pebble.wait_change(&change, BOUND).await?;
        Ok(())
    }

    /// Starts with this configuration and waits until the console opens.
    async fn begin(&self, databases: &str, more: &str) -> Result<(), Failure> {
        self.write(&format!("{databases}{}{more}", settings(PORT)), &list()).await?;
        assert!(self.starts("suite", &ini()).await?, "PgBouncer did not start");
        self.await_knocks(PORT, &[("console", "co\"nsole", "pgbouncer", true)]).await
    }

    /// Writes other files and has them read.
    async fn reload(&self, databases: &str, more: &str) -> Result<(), Failure> {
        self.write(&format!("{databases}{}{more}", settings(PORT)), &list()).await?;
        Ok(self.pebble.signal("SIGHUP", &["suite"]).await?)
    }

    /// Waits until all who knock get in or do not, as expected.
    async fn await_knocks(&self, port: u16, knocks: &[Knock<'_>]) -> Result<(), Failure> {
        let end = Instant::now() + BOUND;
        for (user, password, database, expected) in knocks {
            while self.pooler.enters(port, user, password, database).await != *expected {
                if Instant::now() > end {
                    let word = if *expected { "does not get in" } else { "gets in" };
                    return Err(format!("{user} with {password} {word} to {database}").into());
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Makes users with their names for passwords, and a database that is for the first one.
    async fn populate(&self, base: &str, users: &[&str]) -> Result<(), Failure> {
        for name in users.iter().chain([&LOOKUP]) {
            let user = User {
                name: name.parse()?,
                password: (*name).to_owned().into(),
                salt: [5; 16],
                roles: ExtraRoles::default(),
                holder: None,
                takes_over: false,
                former: Vec::new(),
            };
            self.operator.ensure_user(&user).await?;
        }
        let owner = users.first().copied().unwrap_or(LOOKUP).parse()?;
        let base = base.parse()?;
        self.operator.ensure_database(&base, &owner, postgres::Owner::Sole).await?;
        self.operator.install_auth_function(&base, &LOOKUP.parse()?, &[]).await?;
        Ok(())
    }
}
