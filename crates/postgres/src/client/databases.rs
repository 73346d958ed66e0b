//! Operations on databases.

use super::{Client, Error, Owner};
use crate::sql::{self, Place, SYSTEM_USERS};
use crate::{DatabaseName, RoleName};

/// PostgreSQL's code for an object that somebody uses.
const IN_USE: &str = "55006";

/// The databases that are no client's and into which everybody is let.
const OPEN: &str = "\
SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d
WHERE d.datname IN ('postgres', 'template1') AND EXISTS (
  SELECT FROM pg_catalog.aclexplode(
    coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
  WHERE a.grantee = '0'::pg_catalog.oid) ORDER BY 1";

/// How many objects change hands in one transaction, which holds a lock on each: the server has
/// room for a few thousand.
const AT_ONCE: usize = 500;

/// PostgreSQL's codes for a schema, a table, a routine and a type that are not there.
const GONE: [&str; 4] = ["3F000", "42P01", "42883", "42704"];
/// How often objects are listed, of which some may go meanwhile.
const TRIES: u32 = 5;

impl Client {
    /// The databases that clients can have: no templates, connections allowed, none whose `DROP
    /// DATABASE` was interrupted, into which nobody gets any more.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn databases(&self) -> Result<Vec<DatabaseName>, Error> {
        let query = "SELECT datname::pg_catalog.text FROM pg_catalog.pg_database \
                     WHERE NOT datistemplate AND datallowconn AND datconnlimit <> -2 ORDER BY 1";
        let names = self.texts("list the databases", query, &[]).await?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    /// The databases that can be entered as above, the one that new ones are copied from with them.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn all_databases(&self) -> Result<Vec<DatabaseName>, Error> {
        let query = "SELECT datname::pg_catalog.text FROM pg_catalog.pg_database \
                     WHERE datallowconn AND datconnlimit <> -2 ORDER BY 1";
        let names = self.texts("list all databases", query, &[]).await?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    /// Whether the database exists.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn database_exists(&self, name: &DatabaseName) -> Result<bool, Error> {
        let query =
            "SELECT datname::pg_catalog.text FROM pg_catalog.pg_database WHERE datname = $1";
        Ok(!self.texts("look for a database", query, &[name.as_str()]).await?.is_empty())
    }

    /// Makes a database that `user` can use and that is closed to everybody else, apart
    /// from the role `admin`, but in the poolers' one, and the system users where they exist.
    ///
    /// # Errors
    /// When the database cannot be entered or a statement fails.
    pub async fn ensure_database(
        &self,
        name: &DatabaseName,
        user: &RoleName,
        owner: Owner,
    ) -> Result<(), Error> {
        let what = format!("create the database {name}");
        if !self.database_exists(name).await? {
            self.create_database(&what, name).await?;
        }
        let present = self.roles().await?;
        let mut users = vec![user.clone()];
        let admin = (name.as_str() != sql::POOLERS).then_some("admin");
        let more = admin.into_iter().chain(SYSTEM_USERS);
        let existing = more.filter(|role| present.iter().any(|name| name == role));
        users.extend(existing.filter_map(|role| role.parse().ok()));
        self.run(&what, &sql::grant_database(name, &users)).await?;

        let inside = self.in_database(name).await?;
        let what = format!("let {user} use the database {name}");
        // What clients of somebody else made stays theirs, and may be used.
        let own = match owner {
            Owner::Sole => {
                let taken = inside.texts(&what, sql::TAKE_OWNERSHIP, &[user.as_str()]).await?;
                inside.run_some(&what, &taken).await?;
                user.as_str()
            }
            Owner::Shared => "",
        };
        inside.take_back(&what, user.as_str()).await?;
        inside.grant_on_objects(&what, user, own).await
    }

    /// Lets a user use what is in the connected database, but for schemas of `own`. What other
    /// clients drop meanwhile is looked for again.
    async fn grant_on_objects(&self, what: &str, user: &RoleName, own: &str) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let granted = self.texts(what, sql::GRANT_ON_OBJECTS, &[user.as_str(), own]).await?;
            tries += 1;
            match self.run_some(what, &granted).await {
                Err(error) if tries < TRIES && GONE.contains(&error.code().unwrap_or_default()) => {
                }
                done => return done,
            }
        }
    }

    /// Takes from clients' users what they were given on members of extensions of the connected
    /// database; writes nothing when there is none.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn guard_extensions(&self) -> Result<(), Error> {
        let what = format!("guard the extensions of {}", self.options.database);
        self.take_back(&what, "").await
    }

    async fn take_back(&self, what: &str, user: &str) -> Result<(), Error> {
        let held = self.texts(what, sql::HELD_ON_EXTENSIONS, &[user]).await?;
        self.run_some(what, &held).await
    }

    /// Runs statements, of which there may be any number, some in each transaction.
    async fn run_some(&self, what: &str, statements: &[String]) -> Result<(), Error> {
        for some in statements.chunks(AT_ONCE) {
            self.run(what, some).await?;
        }
        Ok(())
    }

    /// Takes the database in which poolers look passwords up from whoever had it before: it is a
    /// superuser's, begins with nothing, and lets in superusers, the charms' own users and those
    /// who look up. Writes nothing where that is so, or where it is not there.
    ///
    /// # Errors
    /// When the database cannot be entered or a statement fails.
    pub async fn hold_poolers_database(&self) -> Result<(), Error> {
        let what = format!("hold the database {}", sql::POOLERS);
        let Some(name) = sql::POOLERS.parse().ok() else { return Ok(()) };
        if !self.database_exists(&name).await? {
            return Ok(());
        }
        self.run(&what, &self.texts(&what, sql::OWNED, &[name.as_str()]).await?).await?;
        let inside = self.in_database(&name).await?;
        inside.run(&what, &inside.texts(&what, sql::LET_IN, &[]).await?).await
    }

    /// Makes a database as a copy of `template1`, with the extensions and whatever else a person
    /// has put there. A session in it must not keep clients from getting theirs.
    async fn create_database(&self, what: &str, name: &DatabaseName) -> Result<(), Error> {
        let text = sql::create_database(name);
        match self.run_text(what, &text).await {
            Err(error) if error.code() == Some(IN_USE) => {
                self.run_text(what, sql::TEMPLATE_SESSIONS).await?;
                self.run_text(what, &text).await
            }
            made => made,
        }
    }

    /// Closes `postgres` and `template1`, which are no client's; writes nothing when they are
    /// closed already.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn close_shared_databases(&self) -> Result<(), Error> {
        let open = self.texts("look who may enter the databases", OPEN, &[]).await?;
        let open = open.into_iter().filter_map(|name| name.try_into().ok());
        let statements: Vec<String> = open.map(|name| sql::close_database(&name)).collect();
        self.run("close the databases that are no client's", &statements).await
    }

    /// Closes the database `postgres` to clients and creates the role `admin`, once.
    ///
    /// The client must be connected to `postgres`.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn set_up_postgres_database(&self) -> Result<(), Error> {
        let present = self.roles().await?;
        let has = |role: &str| present.iter().any(|name| name == role);
        if has("admin") {
            return Ok(());
        }
        let system: Vec<String> =
            SYSTEM_USERS.into_iter().filter(|user| has(user)).map(str::to_owned).collect();
        let mut statements = sql::set_up_postgres_database(&system);
        statements.extend(sql::create_admin_role());
        self.run("set up the database postgres", &statements).await
    }

    /// The extensions of the connected database.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn extensions(&self) -> Result<Vec<String>, Error> {
        let query = "SELECT extname::pg_catalog.text FROM pg_catalog.pg_extension ORDER BY 1";
        self.texts("list the extensions", query, &[]).await
    }

    /// The extensions that the server could make.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn available_extensions(&self) -> Result<Vec<String>, Error> {
        let query =
            "SELECT name::pg_catalog.text FROM pg_catalog.pg_available_extensions ORDER BY 1";
        self.texts("list the available extensions", query, &[]).await
    }

    /// Makes an extension in the connected database, where it is not there yet.
    ///
    /// # Errors
    /// When the server does not have it or lacks another that it needs, or when its script could
    /// run what a client made.
    pub async fn create_extension(&self, name: &str) -> Result<(), Error> {
        let what = format!("create the extension {name} in {}", self.options.database);
        let rows = self.rows(&what, sql::EXTENSION, &[name]).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let text = |column: usize| row.get(column).and_then(Option::as_deref);
        let place = match (text(0), text(1), text(2)) {
            (Some("true"), ..) => return Ok(()),
            (None, ..) | (_, Some(_), _) => Place::Fixed,
            (_, None, Some("true")) => {
                Place::Staged(format!("extension_{}", text(3).unwrap_or_default()))
            }
            _ => Place::Public,
        };
        if place == Place::Public {
            let found = self.texts(&what, sql::MADE_BY_CLIENTS, &[]).await?;
            if let Some(object) = found.into_iter().next() {
                return Err(Error::Trapped { what, object });
            }
        }
        self.run(&what, &sql::create_extension(name, &place)).await?;
        self.guard_extensions().await
    }

    /// Drops an extension from the connected database, where it is there.
    ///
    /// # Errors
    /// When something depends on it.
    pub async fn drop_extension(&self, name: &str) -> Result<(), Error> {
        let what = format!("drop the extension {name} from {}", self.options.database);
        self.run_text(&what, &sql::drop_extension(name)).await
    }
}
