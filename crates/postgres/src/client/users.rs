//! Operations on roles.

use secrecy::ExposeSecret;

use super::{Client, Error};
use crate::scram::{self, ITERATIONS};
use crate::sql::{self, RoleState};
use crate::{RoleName, User};

const ROLE_STATE: &str = "\
SELECT a.rolcanlogin AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now()),
  a.rolsuper, a.rolcreatedb, a.rolcreaterole, a.rolpassword,
  ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid ORDER BY 1)
FROM pg_catalog.pg_authid a WHERE a.rolname = $1";

/// Keeps verifiers out of the server's log for the rest of a session.
const QUIET: &str = "SET log_statement = 'none'; SET log_min_duration_statement = -1; \
SET log_min_error_statement = 'panic'";
const LOUD: &str = "RESET log_statement; RESET log_min_duration_statement; \
RESET log_min_error_statement";

impl Client {
    /// Makes a login role as `user` says; writes nothing when it is so already.
    ///
    /// The group `relation_access` is joined when it exists. Needs a superuser's connection.
    ///
    /// # Errors
    /// [`Error::NoSuchRole`] when a role to join does not exist, or a failed statement.
    pub async fn ensure_user(&self, user: &User) -> Result<(), Error> {
        let mut wanted = user.roles.clone();
        let missing = self.missing_roles(&wanted.member_of).await?;
        if !missing.is_empty() {
            return Err(Error::NoSuchRole(missing.join(", ")));
        }
        if let Ok(group) = "relation_access".parse::<RoleName>()
            && self.role_exists(&group).await?
        {
            wanted.member_of.push(group);
        }
        let password = user.password.expose_secret();
        let (current, stored) = self.role_state(&user.name).await?.unzip();
        let fits = stored.flatten().is_some_and(|stored| scram::matches(&stored, password));
        let verifier = (!fits).then(|| scram::verifier(password, &user.salt, ITERATIONS));
        let changes = sql::user_changes(&user.name, current.as_ref(), &wanted, verifier.as_ref());
        self.run_quietly(&format!("create the user {}", user.name), &changes).await
    }

    /// Gives an existing role a new password; writes nothing when it has it already.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn set_password(
        &self,
        name: &RoleName,
        password: &secrecy::SecretString,
        salt: &crate::Salt,
    ) -> Result<(), Error> {
        let password = password.expose_secret();
        let stored = self.role_state(name).await?.and_then(|(_, stored)| stored);
        if stored.is_some_and(|stored| scram::matches(&stored, password)) {
            return Ok(());
        }
        let verifier = scram::verifier(password, salt, ITERATIONS);
        let text = crate::quote_literal(verifier.expose());
        let change = vec![format!("ALTER ROLE {} PASSWORD {text}", name.quoted())];
        self.run_quietly(&format!("change the password of {name}"), &change).await
    }

    /// Removes a login role; what it owned stays, owned by the connected user.
    ///
    /// Its sessions are ended. Nothing happens when it does not exist.
    ///
    /// # Errors
    /// When a database cannot be entered or a statement fails.
    pub async fn delete_user(&self, name: &RoleName) -> Result<(), Error> {
        if !self.role_exists(name).await? {
            return Ok(());
        }
        let what = format!("remove the user {name}");
        self.run(&what, &sql::forbid_login(name)).await?;
        for database in self.databases().await? {
            let client = self.in_database(&database).await?;
            client.run(&what, &sql::drop_owned(name)).await?;
        }
        self.run_text(&what, &sql::drop_user(name)).await
    }

    /// Whether the role exists.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn role_exists(&self, name: &RoleName) -> Result<bool, Error> {
        Ok(self.missing_roles(std::slice::from_ref(name)).await?.is_empty())
    }

    /// Creates the access groups and puts the system users in, once.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn ensure_access_groups(&self) -> Result<(), Error> {
        let present = self.roles().await?;
        self.run("create the access groups", &sql::create_access_groups(&present)).await
    }

    /// The names of all roles.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        let query = "SELECT rolname::text FROM pg_catalog.pg_roles ORDER BY 1";
        self.texts("list the roles", query, &[]).await
    }

    async fn missing_roles(&self, names: &[RoleName]) -> Result<Vec<String>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = names.iter().map(RoleName::as_str).collect();
        let query = "SELECT n FROM pg_catalog.unnest($1::text[]) n \
                     WHERE n NOT IN (SELECT rolname::text FROM pg_catalog.pg_roles)";
        self.texts("look for roles", query, &[&names]).await
    }

    /// What the server says about a role, and its stored password.
    async fn role_state(
        &self,
        name: &RoleName,
    ) -> Result<Option<(RoleState, Option<String>)>, Error> {
        let failed = |source| Error::Statement { what: format!("read the role {name}"), source };
        let row = self.inner.query_opt(ROLE_STATE, &[&name.as_str()]).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let groups: Vec<String> = row.try_get(5).map_err(failed)?;
        let state = RoleState {
            login: row.try_get(0).map_err(failed)?,
            superuser: row.try_get(1).map_err(failed)?,
            create_db: row.try_get(2).map_err(failed)?,
            create_role: row.try_get(3).map_err(failed)?,
            member_of: groups.into_iter().filter_map(|group| group.try_into().ok()).collect(),
        };
        Ok(Some((state, row.try_get(4).map_err(failed)?)))
    }

    async fn run_quietly(&self, what: &str, statements: &[String]) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        // The server decides about logging before it runs a message, so this is its own.
        self.run_text(what, QUIET).await?;
        let done = self.run(what, statements).await;
        self.run_text(what, LOUD).await?;
        done
    }
}
