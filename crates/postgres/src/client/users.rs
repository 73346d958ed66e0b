//! Operations on roles.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;

use super::{Client, Error};
use crate::roles::SYSTEM_USERS;
use crate::scram;
use crate::sql::{self, Query, RoleState, Statement};
use crate::{DatabaseName, RoleName, User};

impl Client {
    /// Makes a login role as `user` says; writes nothing when it is so already.
    ///
    /// The group `relation_access` is joined when it exists, but not by a charm's own users. Needs a superuser's connection.
    ///
    /// # Errors
    /// [`Error::NoSuchRole`] when a role to join does not exist, [`Error::ReachesUser`] when one
    /// can log in, [`Error::Taken`] when a role of this name belongs to another charm, or a failed
    /// statement.
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
        if let Some(current) = &current {
            let stored = stored.as_ref().and_then(Option::as_deref);
            self.check_holder(user, current, stored).await?;
        }
        let fits = stored.flatten().is_some_and(|stored| scram::matches(&stored, password));
        let verifier =
            (!fits).then(|| scram::verifier(password, &user.salt, self.server.iterations()));
        // No role may be a member of it when it gets more rights.
        let members = match &current {
            Some(_) => self.found("look at members", Query::Members(user.name.as_str())).await?,
            None => Vec::new(),
        };
        let mut changes = members;
        changes.extend(sql::user_changes(&user.name, current.as_ref(), &wanted, verifier.as_ref()));
        if let Some(current) = &current {
            changes.extend(sql::left(&user.name, current, &wanted, &user.former));
        }
        // In the same transaction: no role is left behind without its holder.
        let existed = current.is_some();
        let known = current.and_then(|state| state.comment);
        let holder = user.holder.as_ref();
        let holder = holder.filter(|holder| known.as_ref() != Some(&sql::holder_comment(holder)));
        changes.extend(holder.map(|holder| Statement::SetHolder {
            name: user.name.clone(),
            holder: holder.clone(),
        }));
        let what = format!("create the user {}", user.name);
        self.run_quietly(&what, &changes).await?;
        if !existed || changes.is_empty() {
            return Ok(());
        }
        // A role that became a member meanwhile was the last that could.
        let members = self.found(&what, Query::Members(user.name.as_str())).await?;
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
        let change = [Statement::SetPassword { name: name.clone(), verifier }];
        self.run_quietly(&format!("change the password of {name}"), &change).await
    }

    /// Removes a login role and the roles that it holds; what it owned stays, owned by a role that
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
        // Sessions that could have it hold more roles are ended before those are listed.
        self.shut_out(&what, name).await?;
        let held = self.texts(&what, Query::HeldRoles(&sql::holder_comment(name))).await?;
        let held: Vec<RoleName> = held.into_iter().filter_map(|n| n.try_into().ok()).collect();
        for role in &held {
            self.shut_out(&what, role).await?;
        }
        let roles = || held.iter().chain([name]);
        for role in roles() {
            for name in self.texts(&what, Query::Subscribed(role.as_str())).await? {
                let Ok(database) = name.try_into() else { continue };
                let inside = self.in_database(&database).await?;
                inside.run(&what, &[Statement::RestSubscriptions(role.clone())]).await?;
            }
        }
        // Rights on databases and the like are the whole server's, and go in any of them.
        let mut databases = BTreeSet::from([self.options.database.clone()]);
        for role in roles() {
            let stands = self.texts(&what, Query::Stands(role.as_str())).await?;
            databases.extend(stands.into_iter().filter_map(|name| name.try_into().ok()));
        }
        // One database where that fails keeps no other from being left.
        let mut failed = None;
        for database in databases {
            let gone = self.leave(name, &database, &held).await;
            match gone {
                Err(error) if self.is_lost(&error).await => return Err(error),
                Err(error) if failed.is_none() => failed = Some(error),
                _ => {}
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // The one that holds the others is the last: a retry finds them by it.
        for role in roles() {
            self.run(&what, &[Statement::DropRole(role.clone())]).await?;
        }
        Ok(())
    }

    /// Takes from a database what holds a role and those held by it.
    async fn leave(
        &self,
        name: &RoleName,
        database: &DatabaseName,
        held: &[RoleName],
    ) -> Result<(), Error> {
        let what = format!("remove the user {name} from the database {database}");
        let client = match self.in_database(database).await {
            // It was dropped meanwhile.
            Err(error) if error.code() == Some("3D000") => return Ok(()),
            entered => entered?,
        };
        client.drop_lookups(&what, database, held).await?;
        for role in held.iter().chain([name]) {
            for transaction in client.texts(&what, Query::Prepared(role.as_str())).await? {
                client.run(&what, &[Statement::RollBackPrepared(transaction)]).await?;
            }
            client.run(&what, &[Statement::DropEventTriggers(role.clone())]).await?;
            client.run_found(&what, Query::HandOver(role.as_str())).await?;
            client.run(&what, &sql::drop_owned(role)).await?;
        }
        Ok(())
    }

    async fn shut_out(&self, what: &str, name: &RoleName) -> Result<(), Error> {
        // Whatever one of its databases waits for.
        let [login, databases] = sql::forbid_login(name);
        self.run(what, &[login]).await?;
        self.run(what, &[Statement::EndSessions(name.clone())]).await?;
        self.run(what, &[databases]).await
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
        self.texts("list the roles", Query::Roles).await
    }

    /// Takes from clients' users the memberships in a charm's own users, in each other and in what
    /// makes them as good as superusers; writes nothing when there is none. One that cannot be
    /// taken keeps no other.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn revoke_user_memberships(&self) -> Result<(), Error> {
        let what = "revoke what makes clients' users other users";
        let mut failed = None;
        for statement in self.found(what, Query::UserMemberships).await? {
            failed = failed.or(self.run(what, &[statement]).await.err());
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether these roles are there, and none of them can log in.
    async fn check_groups(&self, groups: &[RoleName]) -> Result<(), Error> {
        let missing = self.missing_roles(groups).await?;
        if !missing.is_empty() {
            return Err(Error::NoSuchRole(missing.join(", ")));
        }
        for group in groups {
            let found = self.texts("look at a role", Query::ReachedUsers(group.as_str())).await?;
            if let Some(reached) = found.into_iter().next() {
                return Err(Error::ReachesUser { role: group.to_string(), reached });
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
    pub(super) async fn role_state(
        &self,
        name: &RoleName,
    ) -> Result<Option<(RoleState, Option<String>)>, Error> {
        let what = format!("read the role {name}");
        let rows = self.rows(&what, Query::RoleState(name.as_str())).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let text = |column: usize| row.get(column).cloned().flatten();
        let is = |column: usize| text(column).as_deref() == Some("true");
        let groups = self.texts(&what, Query::Groups(name.as_str())).await?;
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

    async fn run_quietly(&self, what: &str, statements: &[Statement]) -> Result<(), Error> {
        if statements.is_empty() {
            return Ok(());
        }
        // The server decides about logging before it runs a message, so this is its own.
        self.run(what, &[Statement::QuietLog]).await?;
        let done = self.run(what, statements).await;
        self.run(what, &[Statement::RestoreLog]).await?;
        done
    }
}
