//! Operations on roles.

use secrecy::ExposeSecret;

use super::{Client, Error};
use crate::scram;
use crate::sql::{self, RoleState, SYSTEM_USERS};
use crate::{DatabaseName, RoleName, User};

const ROLE_STATE: &str = "\
SELECT (a.rolcanlogin AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now()))::text,
  a.rolsuper::text, a.rolcreatedb::text, a.rolcreaterole::text, a.rolpassword,
  pg_catalog.shobj_description(a.oid, 'pg_authid')
FROM pg_catalog.pg_authid a WHERE a.rolname = $1";

const GROUPS: &str = "\
SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = $1 ORDER BY 1";

const TIED: &str = "\
SELECT r.rolname::text FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid
  AND d.classoid = 'pg_catalog.pg_authid'::regclass
WHERE d.description = $1 AND r.rolname <> current_user ORDER BY 1";

/// The schemas of lookups: a client's own function in a schema of its name is none.
const LOOKUPS: &str = "\
SELECT n.nspname::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname = $1 AND p.prosecdef AND pg_catalog.pg_get_userbyid(p.proowner) <> n.nspname";

/// Keeps verifiers out of the server's log for the rest of a session.
const QUIET: &str = "SET log_statement = 'none'; SET log_min_duration_statement = -1; \
SET log_min_error_statement = 'panic'";
const LOUD: &str = "RESET log_statement; RESET log_min_duration_statement; \
RESET log_min_error_statement";

impl Client {
    /// Makes a login role as `user` says; writes nothing when it is so already.
    ///
    /// The group `relation_access` is joined when it exists, but not by a charm's own users. Needs a superuser's connection.
    ///
    /// # Errors
    /// [`Error::NoSuchRole`] when a role to join does not exist, or a failed statement.
    pub async fn ensure_user(&self, user: &User) -> Result<(), Error> {
        let mut wanted = user.roles.clone();
        let missing = self.missing_roles(&wanted.member_of).await?;
        if !missing.is_empty() {
            return Err(Error::NoSuchRole(missing.join(", ")));
        }
        if !SYSTEM_USERS.contains(&user.name.as_str())
            && let Ok(group) = "relation_access".parse::<RoleName>()
            && self.role_exists(&group).await?
        {
            wanted.member_of.push(group);
        }
        let password = user.password.expose_secret();
        let (current, stored) = self.role_state(&user.name).await?.unzip();
        let fits = stored.flatten().is_some_and(|stored| scram::matches(&stored, password));
        let verifier =
            (!fits).then(|| scram::verifier(password, &user.salt, self.server.iterations()));
        let mut changes =
            sql::user_changes(&user.name, current.as_ref(), &wanted, verifier.as_ref());
        // In the same transaction: no role is left behind that nobody knows to be tied.
        let known = current.and_then(|state| state.comment);
        let owner = user.tied_to.as_ref();
        let owner = owner.filter(|owner| known.as_ref() != Some(&sql::tied_to(owner)));
        changes.extend(owner.map(|owner| sql::tie(&user.name, owner)));
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
        let verifier = scram::verifier(password, salt, self.server.iterations());
        let text = crate::quote_literal(verifier.expose());
        let change = vec![format!("ALTER ROLE {} PASSWORD {text}", name.quoted())];
        self.run_quietly(&format!("change the password of {name}"), &change).await
    }

    /// Removes a login role and the roles tied to it; what it owned stays, owned by a role that
    /// may do nothing else.
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
        // Whoever could tie more roles to it is shut out before they are listed.
        self.shut_out(&what, name).await?;
        let tied = self.texts(&what, TIED, &[&sql::tied_to(name)]).await?;
        let tied: Vec<RoleName> = tied.into_iter().filter_map(|n| n.try_into().ok()).collect();
        for role in &tied {
            self.shut_out(&what, role).await?;
        }
        let roles = || tied.iter().chain([name]);
        for database in self.databases().await? {
            let client = self.in_database(&database).await?;
            client.drop_lookups(&what, &database, &tied).await?;
            for role in roles() {
                client.run(&what, &sql::drop_owned(role)).await?;
            }
        }
        // The one that the others are tied to is the last: a retry finds them by it.
        for role in roles() {
            self.run_text(&what, &sql::drop_user(role)).await?;
        }
        Ok(())
    }

    async fn shut_out(&self, what: &str, name: &RoleName) -> Result<(), Error> {
        self.run(what, &sql::forbid_login(name)).await?;
        self.run_text(what, &sql::end_sessions(name)).await
    }

    /// Takes the lookups of these users out of the connected database.
    async fn drop_lookups(
        &self,
        what: &str,
        database: &DatabaseName,
        users: &[RoleName],
    ) -> Result<(), Error> {
        if users.is_empty() {
            return Ok(());
        }
        let found = self.texts(what, LOOKUPS, &[sql::LOOKUP_FUNCTION]).await?;
        for user in users.iter().filter(|user| found.iter().any(|name| name == user.as_str())) {
            self.run(what, &sql::uninstall_lookup(database, user)).await?;
        }
        Ok(())
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
        let present = self.roles().await?;
        let missing = names
            .iter()
            .map(RoleName::as_str)
            .filter(|name| !present.iter().any(|role| role == name));
        Ok(missing.map(str::to_owned).collect())
    }

    /// What the server says about a role, and its stored password.
    async fn role_state(
        &self,
        name: &RoleName,
    ) -> Result<Option<(RoleState, Option<String>)>, Error> {
        let what = format!("read the role {name}");
        let rows = self.rows(&what, ROLE_STATE, &[name.as_str()]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let text = |column: usize| row.get(column).cloned().flatten();
        let is = |column: usize| text(column).as_deref() == Some("true");
        let groups = self.texts(&what, GROUPS, &[name.as_str()]).await?;
        let state = RoleState {
            login: is(0),
            superuser: is(1),
            create_db: is(2),
            create_role: is(3),
            comment: text(5),
            member_of: groups.into_iter().filter_map(|group| group.try_into().ok()).collect(),
        };
        Ok(Some((state, text(4))))
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
