//! Sessions of simulated servers, as the PostgreSQL client sees them.

use std::sync::Arc;
use std::time::Duration;

use juju_names::{AppName, UnitName};
use postgres::sql::{Query, Statement};
use postgres::{Boxed, ConnectOptions, Failure, Row, Server, Session};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::World;
use crate::far::NEVER;
use crate::far::member::Member;
use crate::far::patroni::{self, Login};
use crate::far::postgresql::{Cluster, Database, query, statement};
use crate::fault::{Fault, Gate, Port};
use crate::mutant::{self, Twist};
use crate::world::State;

/// The simulated servers as the PostgreSQL client sees them.
pub(crate) struct Servers(pub(crate) Arc<World>);

/// A session of one of them.
struct Connection {
    world: Arc<World>,
    app: AppName,
    user: String,
    database: String,
    /// Which start of the server it is a session of.
    life: u64,
    /// The standby that it is a session of, where it is none of the primary.
    standby: Option<UnitName>,
    /// What it holds, whatever the database says.
    settings: String,
}

/// What has names looked up in `pg_catalog` alone, whatever a database says.
const PIN: &str = "-c search_path=pg_catalog,pg_temp";

/// The longest that a session may wait for a commit, in seconds.
const COMMIT_SECONDS: u32 = 300;

impl Servers {
    async fn try_connect(
        &self,
        options: &ConnectOptions,
        settings: &str,
    ) -> Result<Box<dyn Session>, Failure> {
        let (user, database) = (options.user.as_str(), options.database.as_str());
        let what = || format!("connect to {database} as {user}");
        match self.0.effect(Port::Sql, what) {
            Some(Fault::SqlSlow) => {
                tokio::time::sleep(NEVER).await;
            }
            Some(Fault::SqlAway | Fault::SqlFails | Fault::SqlCut) => {
                return Err(Failure::new(None, "connection refused"));
            }
            _ => {}
        }
        let password = options.password.expose_secret();
        let (app, life, standby) = self.0.look(|state| {
            let unknown = || Failure::new(None, format!("cannot resolve {}", options.host));
            let login = Login { user, database: Some(database), encrypted: options.ca.is_some() };
            let refused = || Failure::new(Some("28000"), "no pg_hba.conf entry");
            let (host, far) = (state.host_of(&options.host), &state.far);
            let Some(app) = far.server_behind(&host) else {
                let unit = patroni::standby_behind(far, &host).ok_or_else(unknown)?;
                let member = patroni::member(far, &unit).ok_or_else(unknown)?;
                if patroni::method(member, login).is_none() {
                    return Err(refused());
                }
                let copy = patroni::copy_of(far, &unit).ok_or_else(unknown)?;
                copy.login(user, password, database)?;
                return Ok((unit.app().clone(), member.life(), Some(unit)));
            };
            let cluster = far.clusters.get(&app).ok_or_else(unknown)?;
            let primary = patroni::primary(far, &app);
            let member = primary.and_then(|primary| patroni::member(far, &primary));
            if member.is_some_and(|member| patroni::method(member, login).is_none()) {
                return Err(refused());
            }
            cluster.login(user, password, database)?;
            Ok::<_, Failure>((app, cluster.life, None))
        })?;
        self.0.effect_done();
        let unpinned = mutant::twisted(Twist::NamesAnywhere).then(|| settings.replace(PIN, ""));
        let settings = unpinned.unwrap_or_else(|| settings.to_owned());
        let (world, user, database) = (self.0.clone(), user.to_owned(), database.to_owned());
        Ok(Box::new(Connection { world, app, user, database, life, standby, settings }))
    }
}

impl Server for Servers {
    fn connect<'a>(
        &'a self,
        options: &'a ConnectOptions,
        settings: &'a str,
    ) -> Boxed<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(self.try_connect(options, settings))
    }

    fn iterations(&self) -> u32 {
        1
    }
}

impl Connection {
    /// What the session holds a setting to.
    fn setting(&self, name: &str) -> Option<&str> {
        let mut held = self.settings.split("-c ").filter_map(|one| one.trim().split_once('='));
        held.find(|(held, _)| *held == name).map(|(_, value)| value)
    }

    /// The parameters with which its server runs, each as text.
    fn parameters(&self, state: &State) -> Vec<Row> {
        let primary = || patroni::primary(&state.far, &self.app);
        let unit = self.standby.clone().or_else(primary);
        let member = unit.and_then(|unit| patroni::member(&state.far, &unit));
        let row = |(name, value): (&String, &Value)| {
            let kind = if value.is_number() { "integer" } else { "string" };
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            [name, value.as_str(), "", kind, "false"].map(|text| Some(text.to_owned())).to_vec()
        };
        member.into_iter().flat_map(|member| member.running()).map(row).collect()
    }

    /// Whether clients' functions run in this session with more rights than theirs: wherever they
    /// may make any, they have made one of each name, and had the database look there first.
    fn is_hijacked(&self, cluster: &Cluster) -> bool {
        let privileged = cluster.roles.get(&self.user).is_some_and(|role| role.superuser);
        let open = cluster.databases.get(&self.database).is_some_and(Database::is_open);
        privileged && open && self.setting("search_path") != Some("pg_catalog,pg_temp")
    }

    /// Passes the gate, then runs; the answer may be lost although it ran.
    fn pass<T>(
        &self,
        what: impl FnOnce() -> String,
        position: &mut Option<u64>,
        run: impl FnOnce(&mut Cluster, &mut Gate) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let fault = self.world.effect(Port::Sql, what);
        match fault {
            Some(Fault::SqlAway | Fault::SqlSlow) => {
                return Err(Failure::new(None, "connection closed"));
            }
            Some(Fault::SqlFails) => {
                let text = "terminating connection due to administrator command";
                return Err(Failure::new(Some("57P01"), text));
            }
            _ => {}
        }
        let answer = self.world.change(|state| {
            let gone = || Failure::new(None, "connection closed");
            if let Some(unit) = &self.standby {
                let member = patroni::member(&state.far, unit);
                let same = |member: &&Member| {
                    member.serves() && !member.leads && member.life() == self.life
                };
                member.filter(same).ok_or_else(gone)?;
                let mut copy = patroni::copy_of(&state.far, unit).ok_or_else(gone)?;
                return run(&mut copy, &mut Gate::default());
            }
            let cluster = state.far.clusters.get_mut(&self.app);
            let cluster = cluster.filter(|cluster| cluster.up && cluster.life == self.life);
            let cluster = cluster.ok_or_else(gone)?;
            cluster.roles.get(&self.user).filter(|role| role.login).ok_or_else(gone)?;
            if self.is_hijacked(cluster) {
                state.far.hijacked.insert(self.database.clone());
            }
            let before = state.gate.written;
            let answer = run(cluster, &mut state.gate);
            if state.gate.written > before {
                *position = patroni::commit(&mut state.far, &self.app);
            }
            answer
        });
        self.world.effect_done();
        match fault {
            Some(Fault::SqlCut) => Err(Failure::new(None, "connection closed")),
            _ => answer,
        }
    }
}

impl Session for Connection {
    fn query<'a>(&'a self, query: Query<'a>) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(async move {
            let parameters = match query {
                Query::Parameters => self.world.look(|state| self.parameters(state)),
                _ => Vec::new(),
            };
            let run = |cluster: &mut Cluster, _: &mut Gate| {
                if mutant::overlooks(&query) {
                    return Ok(Vec::new());
                }
                if query == Query::Parameters {
                    return Ok(parameters.clone());
                }
                if let Query::Setting(name) = query
                    && let Some(value) = self.setting(name)
                {
                    return Ok(vec![vec![Some(value.to_owned())]]);
                }
                query::answer(cluster, (&self.user, &self.database), query)
            };
            self.pass(|| format!("{query:?}"), &mut None, run)
        })
    }

    fn execute<'a>(&'a self, statements: &'a [Statement]) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (mut position, shown) = (None, || statement::shown(statements));
            self.pass(shown, &mut position, |cluster, gate| {
                if self.standby.is_some() && !statements.iter().all(Statement::is_read_only) {
                    let text = "cannot execute this in a read-only transaction";
                    return Err(Failure::new(Some("25006"), text));
                }
                if !cluster.roles.get(&self.user).is_some_and(|role| role.superuser) {
                    return Err(Failure::new(Some("42501"), "permission denied"));
                }
                let before = cluster.clone();
                match statement::run_all(cluster, &self.database, statements) {
                    Ok(()) if *cluster == before => Ok(()),
                    Ok(()) => {
                        gate.write(shown);
                        Ok(())
                    }
                    Err(error) => {
                        *cluster = before;
                        Err(error)
                    }
                }
            })?;
            match position {
                Some(position) => self.committed(position).await,
                None => Ok(()),
            }
        })
    }
}

impl Connection {
    /// Waits until those who must have a commit have it.
    async fn committed(&self, position: u64) -> Result<(), Failure> {
        let gone = || Failure::new(None, "connection closed");
        for _ in 0..COMMIT_SECONDS {
            let (safe, lives) = self.world.change(|state| {
                let cluster = state.far.clusters.get(&self.app);
                let lives = cluster.is_some_and(|cluster| cluster.up && cluster.life == self.life);
                (patroni::is_safe(&mut state.far, &self.app, position), lives)
            });
            match (lives, safe) {
                (false, _) => return Err(gone()),
                (true, true) => return Ok(()),
                (true, false) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        self.world.change(|state| {
            if let Some(cluster) = state.far.patroni.get_mut(&self.app) {
                cluster.wrong.push("a hook waits for ever for a standby".to_owned());
            }
        });
        Err(gone())
    }
}
