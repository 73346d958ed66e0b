//! What a session runs, as values; they become text at the wire and nowhere before.

use super::extensions::OnExtension;
use super::lookup::OnLookup;
use super::{databases, users};
use crate::{DatabaseName, ExtraRoles, RoleName, Verifier, quote_literal};

/// What a role may do besides logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
}

impl From<&ExtraRoles> for Attributes {
    fn from(roles: &ExtraRoles) -> Self {
        let ExtraRoles { superuser, create_db, create_role, .. } = *roles;
        Self { superuser, create_db, create_role }
    }
}

impl Attributes {
    fn sql(self) -> String {
        let word = |on: bool, word: &str| format!(" {}{word}", if on { "" } else { "NO" });
        word(self.superuser, "SUPERUSER")
            + &word(self.create_db, "CREATEDB")
            + &word(self.create_role, "CREATEROLE")
    }
}

/// A statement that changes something, or a session.
///
/// It has no `Debug`: some hold a [`Verifier`].
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says what it does; its fields are its operands")]
pub enum Statement {
    /// Creates a login role.
    CreateUser { name: RoleName, attributes: Attributes, verifier: Verifier },
    /// Lets a role log in, with these attributes and, where one is given, a new password.
    AlterUser { name: RoleName, attributes: Attributes, verifier: Option<Verifier> },
    /// Creates a role that cannot log in.
    CreateGroup(RoleName),
    /// Gives a role a new password.
    SetPassword { name: RoleName, verifier: Verifier },
    /// Lets a role log in no more.
    ForbidLogin(RoleName),
    /// Has names in a role's sessions looked up in `pg_catalog` alone.
    PinSearchPath(RoleName),
    /// Makes a role a member of another.
    GrantRole { role: RoleName, to: RoleName },
    /// Ends a membership.
    RevokeRole { role: RoleName, from: RoleName },
    /// Lets a role read and write everything.
    GrantAllData(RoleName),
    /// Says of a role that it goes when `owner` goes.
    SetHolder { name: RoleName, holder: RoleName },
    /// Removes a role that owns nothing any more.
    DropRole(RoleName),
    /// Hands a role's databases to the connected user.
    HandDatabases(RoleName),
    /// Ends a role's sessions and waits for their end, so that nothing of it changes any more.
    EndSessions(RoleName),
    /// Hands a role's subscriptions in the connected database, which only a superuser can own, to
    /// the connected user, at rest: what they apply would run with its rights.
    RestSubscriptions(RoleName),
    /// Rolls back a transaction of this identifier that is prepared in the connected database.
    RollBackPrepared(String),
    /// Drops a role's event triggers in the connected database, which only a superuser client can
    /// have made: they would call functions whose owner is about to go.
    DropEventTriggers(RoleName),
    /// Hands a role's wrappers of foreign data, which only a superuser can own, to the connected
    /// user.
    HandWrappers(RoleName),
    /// Hands what a role owns in the connected database to a role that may do nothing else.
    ReassignOwned(RoleName),
    /// Takes what a role may in the connected database, and on those that are the whole server's.
    DropOwned(RoleName),
    /// Keeps verifiers out of the server's log for the rest of a session.
    QuietLog,
    /// Lets the server log as before.
    RestoreLog,
    /// Creates a database; PostgreSQL has no `IF NOT EXISTS` for it.
    CreateDatabase(DatabaseName),
    /// Ends the sessions that keep new databases from being copied from `template1`.
    EndTemplateSessions,
    /// Closes a database to every role that has no grant of its own.
    CloseDatabase(DatabaseName),
    /// Opens a database to PUBLIC.
    OpenDatabase(DatabaseName),
    /// Lets a role do everything with a database.
    GrantDatabase { database: DatabaseName, to: RoleName },
    /// Lets a role into a database.
    GrantConnect { database: DatabaseName, to: RoleName },
    /// Lets a role into a database no more.
    RevokeConnect { database: DatabaseName, from: RoleName },
    /// Keeps roles from creating in the schema `public` of the connected database.
    ClosePublicSchema,
    /// Lets a role do everything with a routine of this signature.
    GrantRoutine { routine: String, to: RoleName },
    /// Does something to the lookup of a user, in a schema of the user's name.
    Lookup { user: RoleName, does: OnLookup },
    /// Does something for an extension.
    Extension(OnExtension),
    /// One that the server itself put together: a row of a [`super::Query`] that says so.
    Found(String),
}

impl Statement {
    /// The statement for the wire.
    pub fn sql(&self) -> String {
        match self {
            Self::CreateUser { name, attributes, verifier } => {
                let (name, attributes) = (name.quoted(), attributes.sql());
                format!("CREATE ROLE {name} LOGIN{attributes}{}", password(verifier))
            }
            Self::AlterUser { name, attributes, verifier } => {
                let password = verifier.as_ref().map(password).unwrap_or_default();
                format!("ALTER ROLE {} LOGIN{}{password}", name.quoted(), attributes.sql())
            }
            Self::CreateGroup(name) => format!("CREATE ROLE {} NOLOGIN", name.quoted()),
            Self::SetPassword { name, verifier } => {
                format!("ALTER ROLE {}{}", name.quoted(), password(verifier))
            }
            Self::ForbidLogin(name) => format!("ALTER ROLE {} NOLOGIN", name.quoted()),
            Self::PinSearchPath(name) => {
                format!("ALTER ROLE {} SET search_path = pg_catalog, pg_temp", name.quoted())
            }
            Self::GrantRole { role, to } => format!("GRANT {} TO {}", role.quoted(), to.quoted()),
            Self::RevokeRole { role, from } => {
                format!("REVOKE {} FROM {}", role.quoted(), from.quoted())
            }
            Self::GrantAllData(name) => {
                format!("GRANT pg_read_all_data, pg_write_all_data TO {}", name.quoted())
            }
            Self::SetHolder { name, holder } => {
                let comment = quote_literal(&users::holder_comment(holder));
                format!("COMMENT ON ROLE {} IS {comment}", name.quoted())
            }
            Self::DropRole(name) => format!("DROP ROLE IF EXISTS {}", name.quoted()),
            Self::HandDatabases(name) => users::hand_databases(name),
            Self::EndSessions(name) => users::end_sessions(name),
            Self::RestSubscriptions(name) => users::rest_subscriptions(name),
            Self::RollBackPrepared(id) => format!("ROLLBACK PREPARED {}", quote_literal(id)),
            Self::DropEventTriggers(name) => users::drop_event_triggers(name),
            Self::HandWrappers(name) => users::hand_wrappers(name),
            Self::ReassignOwned(name) => {
                format!("REASSIGN OWNED BY {} TO pg_database_owner", name.quoted())
            }
            Self::DropOwned(name) => format!("DROP OWNED BY {}", name.quoted()),
            Self::QuietLog => users::QUIET.to_owned(),
            Self::RestoreLog => users::LOUD.to_owned(),
            Self::CreateDatabase(name) => format!("CREATE DATABASE {}", name.quoted()),
            Self::EndTemplateSessions => databases::TEMPLATE_SESSIONS.to_owned(),
            Self::CloseDatabase(name) => {
                format!("REVOKE ALL PRIVILEGES ON DATABASE {} FROM PUBLIC", name.quoted())
            }
            Self::OpenDatabase(name) => {
                format!("GRANT CONNECT ON DATABASE {} TO PUBLIC", name.quoted())
            }
            Self::GrantDatabase { database, to } => {
                let (database, to) = (database.quoted(), to.quoted());
                format!("GRANT ALL PRIVILEGES ON DATABASE {database} TO {to}")
            }
            Self::GrantConnect { database, to } => {
                format!("GRANT CONNECT ON DATABASE {} TO {}", database.quoted(), to.quoted())
            }
            Self::RevokeConnect { database, from } => {
                format!("REVOKE CONNECT ON DATABASE {} FROM {}", database.quoted(), from.quoted())
            }
            Self::ClosePublicSchema => "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
            Self::GrantRoutine { routine, to } => {
                format!("GRANT ALL PRIVILEGES ON ROUTINE {routine} TO {}", to.quoted())
            }
            Self::Lookup { user, does } => does.sql(user),
            Self::Extension(does) => does.sql(),
            Self::Found(text) => text.clone(),
        }
    }

    /// Whether it changes nothing but a session.
    pub fn is_read_only(&self) -> bool {
        let session = matches!(self, Self::QuietLog | Self::RestoreLog);
        session || matches!(self, Self::EndSessions(_) | Self::EndTemplateSessions)
    }

    /// The command that it is, whatever its operands; a longer one is of the kind of a shorter one
    /// with which it begins.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } | Self::CreateGroup(_) => "CREATE ROLE",
            Self::AlterUser { .. } | Self::SetPassword { .. } | Self::ForbidLogin(_) => {
                "ALTER ROLE"
            }
            Self::PinSearchPath(_) => "ALTER ROLE SET search_path",
            Self::GrantRole { .. } => "GRANT role",
            Self::RevokeRole { .. } => "REVOKE role",
            Self::GrantAllData(_) => "GRANT PG_READ_ALL_DATA",
            Self::SetHolder { .. } => "COMMENT ON ROLE",
            Self::DropRole(_) => "DROP ROLE",
            Self::HandDatabases(_)
            | Self::RestSubscriptions(_)
            | Self::DropEventTriggers(_)
            | Self::HandWrappers(_) => "DO",
            Self::EndSessions(_) => "SELECT pg_terminate_backend",
            Self::EndTemplateSessions => "SELECT pg_terminate_backend template1",
            Self::RollBackPrepared(_) => "ROLLBACK PREPARED",
            Self::ReassignOwned(_) => "REASSIGN OWNED BY",
            Self::DropOwned(_) => "DROP OWNED BY",
            Self::QuietLog => "SET",
            Self::RestoreLog => "RESET",
            Self::CreateDatabase(_) => "CREATE DATABASE",
            Self::CloseDatabase(_) => "REVOKE ALL PRIVILEGES ON DATABASE",
            Self::GrantDatabase { .. } => "GRANT ALL PRIVILEGES ON DATABASE",
            Self::OpenDatabase(_) | Self::GrantConnect { .. } => "GRANT CONNECT ON DATABASE",
            Self::RevokeConnect { .. } => "REVOKE CONNECT ON DATABASE",
            Self::ClosePublicSchema => "REVOKE CREATE ON SCHEMA",
            Self::GrantRoutine { .. } => "GRANT ALL PRIVILEGES ON ROUTINE",
            Self::Lookup { does, .. } => does.kind(),
            Self::Extension(does) => does.kind(),
            Self::Found(_) => "",
        }
    }
}

fn password(verifier: &Verifier) -> String {
    format!(" PASSWORD {}", quote_literal(verifier.expose()))
}
