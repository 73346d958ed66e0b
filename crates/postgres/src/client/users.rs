//! Operations on roles.

use secrecy::ExposeSecret;

use super::{Client, Error};
use crate::scram;
use crate::sql::{self, RoleState, SYSTEM_USERS};
use crate::{DatabaseName, RoleName, User};

const ROLE_STATE: &str = "\
SELECT (a.rolcanlogin
    AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now()))::pg_catalog.text,
  a.rolsuper::pg_catalog.text, a.rolcreatedb::pg_catalog.text,
  a.rolcreaterole::pg_catalog.text, a.rolpassword,
  pg_catalog.shobj_description(a.oid, 'pg_authid')
FROM pg_catalog.pg_authid a WHERE a.rolname = $1";

const GROUPS: &str = "\
SELECT g.rolname::pg_catalog.text FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = $1 ORDER BY 1";

/// The roles that a member of role `$1` is by it, if any of them logs in or is a superuser: the
/// member could become it with `SET ROLE`, and has its rights without.
const SOMEBODY: &str = "\
WITH RECURSIVE reached (oid) AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1
  UNION
  SELECT m.roleid FROM reached JOIN pg_catalog.pg_auth_members m ON m.member = reached.oid)
SELECT r.rolname::pg_catalog.text FROM reached JOIN pg_catalog.pg_roles r ON r.oid = reached.oid
WHERE r.rolcanlogin OR r.rolsuper ORDER BY 1";

const TIED: &str = "\
SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid
  AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid
WHERE d.description = $1 AND r.rolname <> current_user ORDER BY 1";

/// The databases in which a role has subscriptions: they are the whole server's, and can be changed
/// in theirs only.
const SUBSCRIBED: &str = "\
SELECT DISTINCT d.datname::pg_catalog.text FROM pg_catalog.pg_subscription s
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
WHERE pg_catalog.pg_get_userbyid(s.subowner) = $1 ORDER BY 1";

/// Transactions that a role has prepared in the connected database: their locks outlive it.
const PREPARED: &str = "\
SELECT gid FROM pg_catalog.pg_prepared_xacts
WHERE owner = $1 AND database = pg_catalog.current_database() ORDER BY 1";

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
    /// [`Error::NoSuchRole`] when a role to join does not exist, [`Error::SomebodyElse`] when one
    /// can log in, or a failed statement.
    pub async fn ensure_user(&self, user: &User) -> Result<(), Error> {
        let mut wanted = user.roles.clone();
        self.check_groups(&wanted.member_of).await?;
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
        // Nobody is to be it already when it becomes more than it was.
        let members = match &current {
            Some(_) => self.texts("look at members", sql::MEMBERS, &[user.name.as_str()]).await?,
            None => Vec::new(),
        };
        let mut changes = members;
        changes.extend(sql::user_changes(&user.name, current.as_ref(), &wanted, verifier.as_ref()));
        if let Some(current) = &current {
            changes.extend(sql::left(&user.name, current, &wanted, &user.former));
        }
        // In the same transaction: no role is left behind that nobody knows to be tied.
        let existed = current.is_some();
        let known = current.and_then(|state| state.comment);
        let owner = user.tied_to.as_ref();
        let owner = owner.filter(|owner| known.as_ref() != Some(&sql::tied_to(owner)));
        changes.extend(owner.map(|owner| sql::tie(&user.name, owner)));
        let what = format!("create the user {}", user.name);
        self.run_quietly(&what, &changes).await?;
        if !existed || changes.is_empty() {
            return Ok(());
        }
        // Whoever became a member meanwhile could do so for the last time.
        let members = self.texts(&what, sql::MEMBERS, &[user.name.as_str()]).await?;
        self.run(&what, &members).await
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
        for role in roles() {
            for name in self.texts(&what, SUBSCRIBED, &[role.as_str()]).await? {
                let Ok(database) = name.try_into() else { continue };
                let inside = self.in_database(&database).await?;
                inside.run_text(&what, &sql::rest_subscriptions(role)).await?;
            }
        }
        // One database where that fails keeps no other from being left.
        let mut failed = None;
        for database in self.all_databases().await? {
            let gone = self.leave(name, &database, &tied).await;
            match gone {
                Err(error @ Error::Timeout { .. }) => return Err(error),
                Err(error) if failed.is_none() => failed = Some(error),
                _ => {}
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // The one that the others are tied to is the last: a retry finds them by it.
        for role in roles() {
            self.run_text(&what, &sql::drop_user(role)).await?;
        }
        Ok(())
    }

    /// Takes from a database what holds a role and those tied to it.
    async fn leave(
        &self,
        name: &RoleName,
        database: &DatabaseName,
        tied: &[RoleName],
    ) -> Result<(), Error> {
        let what = format!("remove the user {name} from the database {database}");
        let client = match self.in_database(database).await {
            // It was dropped meanwhile.
            Err(error) if error.code() == Some("3D000") => return Ok(()),
            entered => entered?,
        };
        client.drop_lookups(&what, database, tied).await?;
        for role in tied.iter().chain([name]) {
            for transaction in client.texts(&what, PREPARED, &[role.as_str()]).await? {
                client.run_text(&what, &sql::roll_back_prepared(&transaction)).await?;
            }
            client.run(&what, &sql::drop_owned(role)).await?;
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
        let found = self.lookups(what).await?;
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
        let query = "SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles ORDER BY 1";
        self.texts("list the roles", query, &[]).await
    }

    /// Has an existing role go with the connected user, whoever removes that one.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn tie(&self, name: &RoleName) -> Result<(), Error> {
        if !self.role_exists(name).await? {
            return Ok(());
        }
        let tie = sql::tie(name, &self.options.user);
        self.run_text(&format!("keep account of the user {name}"), &tie).await
    }

    /// Takes from clients' users the memberships in a charm's own users, in each other and in what
    /// makes them as good as superusers; writes nothing when there is none. One that cannot be
    /// taken keeps no other.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn part_users(&self) -> Result<(), Error> {
        let what = "part the users of clients";
        let mut failed = None;
        for statement in self.texts(what, sql::PARTING, &[]).await? {
            failed = failed.or(self.run_text(what, &statement).await.err());
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether these roles are there, and none of them is somebody.
    async fn check_groups(&self, groups: &[RoleName]) -> Result<(), Error> {
        let missing = self.missing_roles(groups).await?;
        if !missing.is_empty() {
            return Err(Error::NoSuchRole(missing.join(", ")));
        }
        for group in groups {
            let found = self.texts("look at a role", SOMEBODY, &[group.as_str()]).await?;
            if let Some(reached) = found.into_iter().next() {
                return Err(Error::SomebodyElse { role: group.to_string(), reached });
            }
        }
        Ok(())
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
