//! What any PostgreSQL, real or simulated, has to do for the charms.

// The exemption for tests does not reach functions outside #[test].
#![allow(clippy::unwrap_used)]

mod databases;
mod guards;
mod holders;
mod lookups;
mod removal;
mod standby;
mod users;

use std::sync::Arc;
use std::time::Duration;

use postgres::sql::{Query, Statement};
use postgres::{
    Client, ConnectOptions, DatabaseName, Error, ExtraRoles, Failure, RoleName, SESSION_OPTIONS,
    Server, Session, User,
};

pub(crate) use databases::{
    a_superuser_enters_where_nobody_else_may, databases_are_closed_to_others,
    extensions_come_and_go, sessions_are_pinned, the_server_tells_its_facts,
};
pub(crate) use guards::{
    clients_have_nothing_on_extensions, memberships_go_with_the_wish, nobody_is_a_member_of_a_user,
    roles_make_nobody_somebody_else, the_template_holds_nobody_up, user_memberships_are_revoked,
    user_memberships_are_revoked_at_any_remove,
};
pub(crate) use holders::users_of_two_models_stay_apart;
pub(crate) use lookups::{
    a_lookup_goes_with_its_database_only, a_lookup_is_for_its_user_alone,
    a_lookup_shows_ordinary_roles, a_lookup_that_lacks_something_is_seen,
};
pub(crate) use removal::{a_role_goes_when_nothing_depends_on_it, tied_roles_go_too, users_go};
pub(crate) use standby::a_standby_takes_no_writes;
pub(crate) use users::{
    logins_are_refused, ordinary_users_read_and_change_nothing, passwords_change,
    users_are_as_wanted,
};

/// A server as `initdb` leaves it, with the superuser `operator`; for one promise, a standby.
pub(crate) struct Far {
    pub(crate) server: Arc<dyn Server>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) password: String,
}

impl Far {
    fn options(&self, user: &str, password: &str, database: &str) -> ConnectOptions {
        ConnectOptions {
            host: self.host.clone(),
            port: self.port,
            user: user.parse().unwrap(),
            password: password.to_owned().into(),
            database: database.parse().unwrap(),
            timeout: Duration::from_secs(60),
            ca: None,
        }
    }

    async fn login(&self, user: &str, password: &str, database: &str) -> Result<Client, Error> {
        let options = self.options(user, password, database);
        Client::over(self.server.clone(), &options).await
    }

    /// The code with which a login is refused; empty where it is let in.
    async fn knocks(&self, user: &str, password: &str, database: &str) -> String {
        match self.login(user, password, database).await {
            Ok(_) => String::new(),
            Err(error) => error.code().map_or(format!("{error:?}"), str::to_owned),
        }
    }

    /// A bare session.
    async fn session(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Box<dyn Session>, Failure> {
        self.server.connect(&self.options(user, password, database), SESSION_OPTIONS).await
    }

    /// The operator's way in, after what the charm does to a new server.
    async fn operator(&self) -> Result<Client, Error> {
        let client = self.login("operator", &self.password, "postgres").await?;
        client.ensure_access_groups().await?;
        client.set_up_postgres_database().await?;
        Ok(client)
    }

    /// The roles of which another is a direct member.
    async fn groups(&self, name: &str) -> Vec<String> {
        let session = self.session("operator", &self.password, "postgres").await.unwrap();
        let rows = session.query(Query::Groups(name)).await.unwrap();
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }

    /// Runs statements as the operator; the code with which they are refused.
    async fn runs(&self, database: &str, statements: &[Statement]) -> Result<(), String> {
        let session = self.session("operator", &self.password, database).await.unwrap();
        let ran = session.execute(statements).await;
        ran.map_err(|failure| failure.code().map_or(failure.to_string(), str::to_owned))
    }
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn database(name: &str) -> DatabaseName {
    name.parse().unwrap()
}

/// A user whose password is its name.
fn user(name: &str, roles: &str) -> User {
    User {
        name: role(name),
        password: name.to_owned().into(),
        salt: [3; 16],
        roles: ExtraRoles::parse(roles).unwrap(),
        holder: None,
        takes_over: false,
        former: Vec::new(),
    }
}

/// The code with which an operation is refused.
fn code<T>(answer: Result<T, Error>) -> String {
    match answer {
        Ok(_) => String::new(),
        Err(error) => error.code().map_or(format!("{error:?}"), str::to_owned),
    }
}

/// What a role is not allowed to do.
const FORBIDDEN: &str = "42501";
/// A password that is wrong, or no user's.
const WRONG_PASSWORD: &str = "28P01";
/// A role that may not log in.
const NO_LOGIN: &str = "28000";
/// A database that is not there.
const NO_DATABASE: &str = "3D000";
/// A role that is not there.
const NO_ROLE: &str = "42704";
/// Something on which others depend.
const DEPENDED_ON: &str = "2BP01";
