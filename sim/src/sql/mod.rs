//! PostgreSQL: roles, databases, lookups, and the statements that the charms run.

mod query;
mod statement;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use names::{AppName, UnitName};
use postgres::{Boxed, ConnectOptions, Failure, Row, Server, Session, scram};
use secrecy::ExposeSecret;

use crate::World;
use crate::gate::{Fault, Gate, Side};
use crate::mutants;
use crate::patroni::{self, Login};

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) login: bool,
    pub(crate) superuser: bool,
    pub(crate) create_db: bool,
    pub(crate) create_role: bool,
    pub(crate) verifier: Option<String>,
    pub(crate) member_of: BTreeSet<String>,
    pub(crate) comment: String,
    /// Names in its sessions are looked up in `pg_catalog` alone.
    pub(crate) pinned: bool,
}

/// The database that new ones are copied from.
pub(crate) const TEMPLATE: &str = "template1";

/// The extensions that the image has, of those that charms name.
const AVAILABLE: [&str; 3] = ["citext", "hstore", "pgaudit"];

/// A person's own login.
pub(crate) const PERSON: &str = "alice";

/// The roles that PostgreSQL brings, of those that charms name.
const PREDEFINED: [&str; 4] =
    ["pg_database_owner", "pg_monitor", "pg_read_all_data", "pg_write_all_data"];

impl Role {
    /// One that logs in and is nobody's business.
    fn person() -> Self {
        Self { login: true, ..Self::default() }
    }

    /// A user that Patroni makes.
    pub(crate) fn of_patroni(password: &str, superuser: bool) -> Self {
        let verifier = scram::verifier(password, &[9; 16], 1).expose().to_owned();
        Self { login: true, superuser, verifier: Some(verifier), ..Self::default() }
    }
}

/// A pooler's schema with its lookup function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The superusers whom the function finds, if it is there.
    pub(crate) superusers: Option<BTreeSet<String>>,
    /// Whether the function finds nobody.
    pub(crate) blind: bool,
    pub(crate) usage: BTreeSet<String>,
    pub(crate) execute: BTreeSet<String>,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    /// Who may connect; `public` stands for everybody.
    pub(crate) connect: BTreeSet<String>,
    /// Who owns what clients made; none: a superuser.
    pub(crate) owner: Option<String>,
    /// Who may use what clients made besides the owner.
    pub(crate) users: BTreeSet<String>,
    pub(crate) lookups: BTreeMap<String, Lookup>,
    pub(crate) extensions: BTreeSet<String>,
    /// Who owns something beside what clients made, such as a large object.
    pub(crate) objects: BTreeSet<String>,
    /// Whose sessions do nothing here.
    pub(crate) idle: BTreeSet<String>,
    /// Whether it takes no connections.
    pub(crate) closed: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            connect: BTreeSet::from(["public".to_owned()]),
            owner: None,
            users: BTreeSet::new(),
            lookups: BTreeMap::new(),
            extensions: BTreeSet::from(["plpgsql".to_owned()]),
            objects: BTreeSet::new(),
            idle: BTreeSet::new(),
            closed: false,
        }
    }
}

impl Database {
    /// Whether clients may make anything in it.
    fn is_open(&self) -> bool {
        self.owner.is_some() || !self.users.is_empty()
    }
}

/// One PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) up: bool,
    /// The timeline, which only Patroni changes.
    pub(crate) timeline: u32,
    /// Which start of the primary this is; sessions end with it.
    pub(crate) life: u64,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) databases: BTreeMap<String, Database>,
}

impl Cluster {
    /// A cluster as `initdb` and its own charm leave it.
    pub(crate) fn new() -> Self {
        let operator = Role { login: true, superuser: true, ..Role::default() };
        let groups = ["identity_access", "internal_access", "relation_access", "admin"];
        let groups = groups.map(|name| (name.to_owned(), Role::default()));
        let mut postgres = Database::default();
        postgres.connect.clear();
        Self {
            up: true,
            timeline: 1,
            life: 0,
            roles: groups
                .into_iter()
                .chain([("operator".to_owned(), operator), (PERSON.to_owned(), Role::person())])
                .collect(),
            databases: [("postgres", postgres), (TEMPLATE, Database::default())]
                .map(|(name, database)| (name.to_owned(), database))
                .into(),
        }
    }

    /// A cluster as `initdb` and Patroni leave it, with these users.
    pub(crate) fn of_initdb(mut roles: BTreeMap<String, Role>) -> Self {
        roles.insert(PERSON.to_owned(), Role::person());
        for name in PREDEFINED {
            roles.insert(name.to_owned(), Role::default());
        }
        let databases =
            ["postgres", TEMPLATE].map(|name| (name.to_owned(), Database::default())).into();
        Self { up: false, timeline: 1, life: 0, roles, databases }
    }

    /// Whether a user proves who it is by this password.
    pub(crate) fn proves(&self, user: &str, password: &str) -> bool {
        let role = self.roles.get(user).filter(|role| role.login);
        let stored = role.and_then(|role| role.verifier.as_deref());
        stored.is_some_and(|stored| scram::matches(stored, password))
    }

    /// Whether the role may connect to the database at all.
    pub(crate) fn may_connect(&self, role: &str, database: &str) -> bool {
        let (Some(role_state), Some(database)) =
            (self.roles.get(role), self.databases.get(database))
        else {
            return false;
        };
        role_state.superuser
            || database.connect.contains("public")
            || database.connect.contains(role)
            || role_state.member_of.iter().any(|group| database.connect.contains(group))
    }

    /// Lets a user in who proves who it is.
    pub(crate) fn login(&self, user: &str, password: &str, database: &str) -> Result<(), Failure> {
        if !self.up {
            return Err(Failure::new(None, "connection refused"));
        }
        let wrong = || {
            let text = format!("password authentication failed for user \"{user}\"");
            Failure::new(Some("28P01"), text)
        };
        let role = self.roles.get(user).ok_or_else(wrong)?;
        let stored = role.verifier.as_deref().ok_or_else(wrong)?;
        if !scram::matches(stored, password) {
            return Err(wrong());
        }
        self.admit(user, role, database)
    }

    fn admit(&self, user: &str, role: &Role, database: &str) -> Result<(), Failure> {
        if !role.login {
            let text = format!("role \"{user}\" is not permitted to log in");
            return Err(Failure::new(Some("28000"), text));
        }
        if !self.databases.contains_key(database) {
            let text = format!("database \"{database}\" does not exist");
            return Err(Failure::new(Some("3D000"), text));
        }
        if self.databases.get(database).is_some_and(|database| database.closed) {
            let text = format!("database \"{database}\" is not currently accepting connections");
            return Err(Failure::new(Some("55000"), text));
        }
        if !self.may_connect(user, database) {
            let text = format!("permission denied for database \"{database}\"");
            return Err(Failure::new(Some("42501"), text));
        }
        Ok(())
    }

    /// What the lookup in the schema of `owner` says to `caller` about `wanted`; none where it
    /// may not ask.
    pub(crate) fn look_up(
        &self,
        (caller, owner): (&str, &str),
        database: &str,
        wanted: &str,
    ) -> Option<Option<&str>> {
        let lookup = self.databases.get(database)?.lookups.get(owner)?;
        let superusers = lookup.superusers.as_ref()?;
        let granted = lookup.usage.contains(caller) && lookup.execute.contains(caller);
        if !granted && !self.roles.get(caller)?.superuser {
            return None;
        }
        let shown = |role: &&Role| {
            let hidden = lookup.blind || (role.superuser && !superusers.contains(wanted));
            role.login && wanted != owner && !hidden
        };
        let role = self.roles.get(wanted).filter(shown);
        Some(role.and_then(|role| role.verifier.as_deref()))
    }

    /// What clients try where they have no business: each owns something in the database that new
    /// ones are copied from, if it gets in, and stays there doing nothing.
    pub(crate) fn trespass(&mut self) {
        let of_client = |name: &str| name.starts_with("relation_id_") || name.contains("_user_");
        let clients = self.roles.iter().filter(|(name, role)| of_client(name) && role.login);
        let names = clients.map(|(name, _)| name.clone());
        let inside: Vec<String> = names.filter(|name| self.may_connect(name, TEMPLATE)).collect();
        if let Some(template) = self.databases.get_mut(TEMPLATE) {
            template.objects.extend(inside.iter().cloned());
            template.idle.extend(inside);
        }
    }

    /// Whether `role` stands anywhere, so that it cannot be dropped.
    pub(crate) fn is_used(&self, role: &str) -> bool {
        self.databases.values().any(|database| {
            database.connect.contains(role)
                || database.objects.contains(role)
                || database.users.contains(role)
                || database.owner.as_deref() == Some(role)
                || database
                    .lookups
                    .values()
                    .any(|lookup| lookup.usage.contains(role) || lookup.execute.contains(role))
        })
    }
}

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

/// The longest that anybody may wait for a commit, in seconds.
const COMMIT_SECONDS: u32 = 300;

/// An answer that never comes.
pub(crate) const NEVER: Duration = Duration::from_secs(100_000);

impl Servers {
    async fn try_connect(
        &self,
        options: &ConnectOptions,
        settings: &str,
    ) -> Result<Box<dyn Session>, Failure> {
        let (user, database) = (options.user.as_str(), options.database.as_str());
        let what = || format!("connect to {database} as {user}");
        match self.0.effect(Side::Sql, what) {
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
            let Some(app) = state.server_behind(&options.host) else {
                let unit = patroni::standby_behind(state, &options.host).ok_or_else(unknown)?;
                let member = patroni::member(state, &unit).ok_or_else(unknown)?;
                if patroni::method(member, login).is_none() {
                    return Err(refused());
                }
                let copy = patroni::copy_of(state, &unit).ok_or_else(unknown)?;
                copy.login(user, password, database)?;
                return Ok((unit.app().clone(), member.life(), Some(unit)));
            };
            let cluster = state.clusters.get(&app).ok_or_else(unknown)?;
            let primary = patroni::primary(state, &app);
            let member = primary.and_then(|primary| patroni::member(state, &primary));
            if member.is_some_and(|member| patroni::method(member, login).is_none()) {
                return Err(refused());
            }
            cluster.login(user, password, database)?;
            Ok::<_, Failure>((app, cluster.life, None))
        })?;
        self.0.effect_done();
        let settings = mutants::statement(settings).unwrap_or_else(|| settings.to_owned());
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
        text: &str,
        position: &mut Option<u64>,
        run: impl FnOnce(&mut Cluster, &mut Gate) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let what = || statement::shown(text);
        let fault = self.world.effect(Side::Sql, what);
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
                let member = patroni::member(state, unit);
                let same = |member: &&patroni::Member| {
                    member.serves() && !member.leads && member.life() == self.life
                };
                member.filter(same).ok_or_else(gone)?;
                let mut copy = patroni::copy_of(state, unit).ok_or_else(gone)?;
                return run(&mut copy, &mut Gate::default());
            }
            let cluster = state.clusters.get_mut(&self.app);
            let cluster = cluster.filter(|cluster| cluster.up && cluster.life == self.life);
            let cluster = cluster.ok_or_else(gone)?;
            cluster.roles.get(&self.user).filter(|role| role.login).ok_or_else(gone)?;
            if self.is_hijacked(cluster) {
                state.hijacked.insert(self.database.clone());
            }
            let before = state.gate.written;
            let answer = run(cluster, &mut state.gate);
            if state.gate.written > before {
                *position = patroni::commit(state, &self.app);
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
    fn query<'a>(
        &'a self,
        text: &'a str,
        parameters: &'a [&'a str],
    ) -> Boxed<'a, Result<Vec<Row>, Failure>> {
        Box::pin(async move {
            let changed = mutants::statement(text);
            let text = changed.as_deref().unwrap_or(text);
            let run = |cluster: &mut Cluster, _: &mut Gate| {
                let asked = text.strip_prefix("SHOW ");
                if let Some(value) = asked.and_then(|name| self.setting(name)) {
                    return Ok(vec![vec![Some(value.to_owned())]]);
                }
                query::answer(cluster, (&self.user, &self.database), text, parameters)
            };
            self.pass(text, &mut None, run)
        })
    }

    fn execute<'a>(&'a self, text: &'a str) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut position = None;
            self.pass(text, &mut position, |cluster, gate| {
                let changed = mutants::statement(text);
                let text = changed.as_deref().unwrap_or(text);
                if self.standby.is_some() && statement::writes(text) {
                    let text = "cannot execute this in a read-only transaction";
                    return Err(Failure::new(Some("25006"), text));
                }
                if !cluster.roles.get(&self.user).is_some_and(|role| role.superuser) {
                    return Err(Failure::new(Some("42501"), "permission denied"));
                }
                let before = cluster.clone();
                match statement::run_all(cluster, &self.database, text) {
                    Ok(()) if *cluster == before => Ok(()),
                    Ok(()) => {
                        gate.write(|| statement::shown(text));
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
                let lives = state
                    .clusters
                    .get(&self.app)
                    .is_some_and(|cluster| cluster.up && cluster.life == self.life);
                (patroni::is_safe(state, &self.app, position), lives)
            });
            match (lives, safe) {
                (false, _) => return Err(gone()),
                (true, true) => return Ok(()),
                (true, false) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        self.world.change(|state| {
            if let Some(cluster) = state.patroni.get_mut(&self.app) {
                cluster.wrong.push("a hook waits for ever for a standby".to_owned());
            }
        });
        Err(gone())
    }
}
