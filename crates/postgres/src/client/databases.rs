//! Operations on databases.

use super::{Client, Error, Owner};
use crate::roles::SYSTEM_USERS;
use crate::sql::{self, Query, Statement};
use crate::{DatabaseName, RoleName};

/// PostgreSQL's code for an object in use.
const IN_USE: &str = "55006";

/// How many objects change hands in one transaction at most, which holds a lock on each.
const AT_ONCE: usize = 500;
/// PostgreSQL's code for want of memory, that for locks among it.
const NO_ROOM: &str = "53200";

/// PostgreSQL's codes for a schema, a table, a routine and a type that are not there.
const GONE: [&str; 4] = ["3F000", "42P01", "42883", "42704"];
/// How often objects are listed, of which some may go meanwhile.
const TRIES: u32 = 5;

impl Client {
    /// The databases that clients can have: no templates, connections allowed, none whose `DROP
    /// DATABASE` was interrupted, which refuse connections.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn databases(&self) -> Result<Vec<DatabaseName>, Error> {
        let names = self.texts("list the databases", Query::Databases).await?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    /// The databases that can be entered as above, the one that new ones are copied from with them.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn all_databases(&self) -> Result<Vec<DatabaseName>, Error> {
        let names = self.texts("list all databases", Query::AllDatabases).await?;
        Ok(names.into_iter().filter_map(|name| name.try_into().ok()).collect())
    }

    /// Whether the database exists.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn database_exists(&self, name: &DatabaseName) -> Result<bool, Error> {
        let query = Query::Database(name.as_str());
        Ok(!self.texts("look for a database", query).await?.is_empty())
    }

    /// Makes a database that `user` can use and that is closed to other roles, apart from the role
    /// `admin`, but in the poolers' one, and the system users where they exist.
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
        inside.take_back(&what, user.as_str()).await?;
        // What clients of another charm made stays theirs, and may be used.
        let but_of = match owner {
            Owner::Sole => {
                inside.run_found(&what, Query::TakeOwnership(user.as_str())).await?;
                user.as_str()
            }
            Owner::Shared => "",
        };
        let query = Query::GrantOnObjects { user: user.as_str(), but_of };
        inside.run_found(&what, query).await
    }

    /// Runs the statements that are the rows of a query, of which there may be any number. What
    /// others drop meanwhile is looked for again.
    pub(super) async fn run_found(&self, what: &str, query: Query<'_>) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let found = self.found(what, query).await?;
            tries += 1;
            match self.run_some(what, &found).await {
                Err(error) if tries < TRIES && GONE.contains(&error.code().unwrap_or_default()) => {
                }
                done => return done,
            }
        }
    }

    /// Runs statements, some in each transaction: as many as the server has room for.
    async fn run_some(&self, what: &str, statements: &[Statement]) -> Result<(), Error> {
        let (mut at_once, mut left) = (AT_ONCE, statements);
        while !left.is_empty() {
            let (some, rest) = left.split_at(at_once.min(left.len()));
            match self.run(what, some).await {
                Err(error) if some.len() > 1 && error.code() == Some(NO_ROOM) => {
                    at_once = some.len() / 2;
                }
                done => {
                    done?;
                    left = rest;
                }
            }
        }
        Ok(())
    }

    /// Takes the database in which poolers look passwords up from its owner before: it is a
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
        self.run(&what, &self.found(&what, Query::Owned(name.as_str())).await?).await?;
        let inside = self.in_database(&name).await?;
        inside.run(&what, &inside.found(&what, Query::LetIn).await?).await
    }

    /// Makes a database as a copy of `template1`, with the extensions and whatever else a person
    /// has put there. A session in it must not keep clients from getting theirs.
    async fn create_database(&self, what: &str, name: &DatabaseName) -> Result<(), Error> {
        let create = [Statement::CreateDatabase(name.clone())];
        match self.run(what, &create).await {
            Err(error) if error.code() == Some(IN_USE) => {
                self.run(what, &[Statement::EndTemplateSessions]).await?;
                self.run(what, &create).await
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
        let open = self.texts("look who may enter the databases", Query::Open).await?;
        let open = open.into_iter().filter_map(|name| name.try_into().ok());
        let statements: Vec<Statement> = open.map(Statement::CloseDatabase).collect();
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
        let system: Vec<RoleName> =
            SYSTEM_USERS.into_iter().filter(|user| has(user)).map(RoleName::constant).collect();
        let mut statements = sql::set_up_postgres_database(&system);
        statements.extend(sql::create_admin_role());
        self.run("set up the database postgres", &statements).await
    }
}
