//! What a client of the relation `database` wants, and whether it can have it.

use postgres::{ExtraRoles, RoleName};

use crate::databases::DatabaseName;
use crate::facts::{DatabaseRelation, FullFacts};
use crate::names;

use super::{Clash, Problem, client_user};

/// Databases that no client may have.
const RESERVED: [&str; 5] =
    ["postgres", "template0", "template1", "pgbouncer", names::LOOKUP_ENTRY];

/// Roles whose owners may use databases that the charm does not know.
const PRIVILEGED: [&str; 10] = [
    "admin",
    "superuser",
    "createdb",
    "charmed_admin",
    "charmed_backup",
    "charmed_databases_owner",
    "charmed_dba",
    "charmed_dml",
    "charmed_read",
    "charmed_stats",
];

/// A client of the relation `database`.
pub(crate) struct Client<'a> {
    pub(crate) relation: &'a DatabaseRelation,
    /// What it wants and can have; `None` while it has not named a database.
    pub(crate) request: Result<Option<GrantRequest>, Problem>,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GrantRequest {
    /// Its user on PostgreSQL.
    pub(crate) user: RoleName,
    pub(crate) database: DatabaseName,
    pub(crate) roles: ExtraRoles,
    /// The roles that it was made a member of before, where it asks for others now.
    pub(crate) former: Option<Vec<RoleName>>,
    /// It may use databases that the charm does not know.
    pub(crate) privileged: bool,
    /// The client reads its user and password from a secret.
    pub(crate) secret: bool,
}

impl GrantRequest {
    /// What a legacy client gets.
    pub(crate) fn legacy(user: RoleName, database: DatabaseName, admin: bool) -> Self {
        let roles = ExtraRoles { superuser: admin, ..ExtraRoles::default() };
        Self { user, database, roles, former: None, privileged: admin, secret: false }
    }
}

impl<'a> Client<'a> {
    pub(super) fn of(
        facts: &FullFacts,
        relation: &'a DatabaseRelation,
        clash: Option<&Clash>,
    ) -> Self {
        Self { relation, request: check(facts, relation, clash) }
    }
}

/// What the client wants and can have.
fn check(
    facts: &FullFacts,
    relation: &DatabaseRelation,
    clash: Option<&Clash>,
) -> Result<Option<GrantRequest>, Problem> {
    let Some(request) = request(relation)? else { return Ok(None) };
    // The numbers of relations are those of a model, and PostgreSQL may be of another.
    let login = facts.backend.as_ref().and_then(|backend| backend.login.as_ref());
    if login.is_some_and(|login| login.username == request.user) {
        return Err(Problem::Own(request.user));
    }
    match clash {
        Some(clash) if !clash.granted => Err(clash.clone().into()),
        _ => Ok(Some(request)),
    }
}

/// What the client wants, as far as the names of others do not matter.
fn request(client: &DatabaseRelation) -> Result<Option<GrantRequest>, Problem> {
    let request = client.request.as_ref().map_err(Clone::clone)?;
    let (Some(name), None) = (&request.database, &request.entity_type) else { return Ok(None) };
    // A database that was granted stays, whatever the client asks for later.
    let name = client.own.get("database").unwrap_or(name);
    // A role that PostgreSQL could not have has no members.
    let former = client.former_roles();
    let former = former.map(|roles| roles.iter().filter_map(|role| role.parse().ok()).collect());
    Ok(Some(GrantRequest {
        user: client_user(client.id),
        database: database(name)?,
        roles: ExtraRoles::parse(&request.roles.join(",")).map_err(Problem::Roles)?,
        former,
        privileged: request.roles.iter().any(|role| PRIVILEGED.contains(&role.as_str())),
        // What was once given in the open stays there: the client looks for it nowhere else.
        secret: !client.own.contains_key("password")
            && request.wants_in_secret("username")
            && request.wants_in_secret("password"),
    }))
}

/// The database of this name, if clients may have it.
pub(super) fn database(name: &str) -> Result<DatabaseName, Problem> {
    let bad = || Problem::Database(name.to_owned());
    if RESERVED.contains(&name) { Err(bad()) } else { name.parse().map_err(|_| bad()) }
}

/// Whether the client may use all databases, or may once it is served.
pub(crate) fn is_privileged(client: &DatabaseRelation) -> bool {
    matches!(request(client), Ok(Some(request)) if request.privileged)
}
