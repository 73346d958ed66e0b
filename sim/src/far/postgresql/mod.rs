//! PostgreSQL: roles, databases, lookups, and the statements that the charms run.

mod hostile;
mod lookup;
pub(crate) mod query;
pub(crate) mod statement;

use std::collections::{BTreeMap, BTreeSet};

use postgres::{Failure, scram};

pub(crate) use lookup::Lookup;

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

/// The version of the server, and its major one: that of the image.
pub(crate) const SERVER_VERSION: &str = "17.5";
pub(crate) const MAJOR: &str = "17";

/// The database that new ones are copied from.
pub(crate) const TEMPLATE: &str = "template1";

/// The extensions that the image has, of those that charms name.
const AVAILABLE: [&str; 3] = ["citext", "hstore", "pgaudit"];

/// A person's own login.
pub(crate) const PERSON: &str = "alice";

/// The roles that PostgreSQL brings, of those that charms name.
const PREDEFINED: [&str; 5] =
    ["pg_database_owner", "pg_monitor", "pg_read_all_data", READS_FILES, "pg_write_all_data"];

/// One of the roles whose members do to the machine what the server can.
pub(crate) const READS_FILES: &str = "pg_read_server_files";

impl Role {
    /// One that logs in and has no client.
    fn person() -> Self {
        Self { login: true, ..Self::default() }
    }

    /// Whether the server's own charm made it for a client.
    pub(crate) fn is_of_operator(&self) -> bool {
        self.comment == "goes with the role operator"
    }

    /// A user that Patroni makes.
    pub(crate) fn of_patroni(password: &str, superuser: bool) -> Self {
        let verifier = scram::verifier(password, &[9; 16], 1).expose().to_owned();
        Self { login: true, superuser, verifier: Some(verifier), ..Self::default() }
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    /// Who may connect; `public` stands for all roles.
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
    /// Who was given something on a member of an extension.
    pub(crate) extended: BTreeSet<String>,
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
            extended: BTreeSet::new(),
            closed: false,
        }
    }
}

impl Database {
    /// Whether a role has anything in it.
    fn holds(&self, role: &str) -> bool {
        let may = |lookup: &Lookup| lookup.usage.contains(role) || lookup.execute.contains(role);
        self.objects.contains(role)
            || self.users.contains(role)
            || self.extended.contains(role)
            || self.owner.as_deref() == Some(role)
            || self.lookups.values().any(may)
    }

    /// Whether clients may make anything in it.
    pub(crate) fn is_open(&self) -> bool {
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
    /// Where the log begins that the primary still has, in bytes.
    pub(crate) oldest: u64,
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
            oldest: 0,
            roles: groups
                .into_iter()
                .chain([("operator".to_owned(), operator), (PERSON.to_owned(), Role::person())])
                .chain(PREDEFINED.map(|name| (name.to_owned(), Role::default())))
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
        Self { up: false, timeline: 1, life: 0, oldest: 0, roles, databases }
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
            || self.reached(role).iter().any(|group| database.connect.contains(group))
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

    /// Whether `role` stands anywhere, so that it cannot be dropped.
    pub(crate) fn is_used(&self, role: &str) -> bool {
        let mut all = self.databases.values();
        all.any(|database| database.connect.contains(role) || database.holds(role))
    }
}
