//! What a legacy client requests, and whether it can be granted.

use juju_charm::{Hidden, SecretContent};
use juju_interfaces::pgb_peers::secret_keys;
use juju_interfaces::postgresql_client::LARGEST;
use postgres::{NameError, RoleName};

use crate::databases::DatabaseName;
use crate::facts::{Access, FullFacts, LegacyRelation};
use crate::names;

use super::client::database;
use super::{Clash, Problem};

/// A legacy client.
pub(crate) struct LegacyClient<'a> {
    pub(crate) relation: &'a LegacyRelation,
    /// The database that it wants and can have; `None` while it is unknown.
    pub(crate) request: Result<Option<DatabaseName>, Problem>,
    /// Its user, which is the published one, if there is one.
    pub(crate) user: Result<RoleName, NameError>,
    /// Its password, where one is known.
    pub(crate) password: Option<Hidden>,
}

impl<'a> LegacyClient<'a> {
    pub(super) fn of(
        facts: &FullFacts,
        relation: &'a LegacyRelation,
        clash: Option<&Clash>,
    ) -> Self {
        let known = credentials(facts.secret.as_ref(), relation);
        let (user, password) = match known {
            Some((user, password)) => (user.parse(), Some(password)),
            None => (user_of(facts, relation.id), None),
        };
        let request = check(facts, relation, clash);
        let request = request.and_then(|request| match &user {
            Err(error) => Err(error.clone().into()),
            Ok(_) => Ok(request),
        });
        Self { relation, request, user, password }
    }

    /// The database and the user, where it can be served.
    pub(crate) fn served(&self) -> Option<(&DatabaseName, &RoleName)> {
        self.request.as_ref().ok()?.as_ref().zip(self.user.as_ref().ok())
    }

    /// Whether it may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.relation.access == Access::Admin
    }

    /// Whether it waits for credentials.
    pub(crate) fn waits(&self) -> bool {
        let asks = self.relation.request.database.is_some();
        asks && !self.relation.granted() && self.request.is_ok()
    }
}

impl LegacyRelation {
    /// Whether the application gave it credentials.
    pub(crate) fn granted(&self) -> bool {
        self.own_app.contains_key("password")
    }

    /// How much it says that the answer repeats, in bytes; a bag that is too large fails its
    /// writer's hook.
    pub(crate) fn size(&self) -> usize {
        self.request.extensions.iter().chain(&self.subnets).map(String::len).sum()
    }
}

/// The database that the client wants; `None` while it is unknown.
fn check(
    facts: &FullFacts,
    client: &LegacyRelation,
    clash: Option<&Clash>,
) -> Result<Option<DatabaseName>, Problem> {
    if client.size() > LARGEST {
        return Err(Problem::Large(client.size()));
    }
    // What was granted stays, whatever the client asks for later.
    let granted = client.own_app.get("database").filter(|_| client.granted());
    let Some(name) = granted.or(client.request.database.as_ref()) else { return Ok(None) };
    let database = database(name)?;
    if let Some(clash) = clash.filter(|clash| !clash.granted) {
        return Err(clash.clone().into());
    }
    if client.granted() || client.request.extensions.is_empty() {
        return Ok(Some(database));
    }
    if facts.backend.as_ref().is_none_or(|backend| backend.server.is_none()) {
        return Ok(None);
    }
    let plain = |item: &String| item.split(':').next().unwrap_or_default().to_owned();
    let missing = client.request.extensions.iter().map(plain);
    match missing.into_iter().find(|name| !facts.extensions.contains(name)) {
        Some(name) => Err(Problem::Extension(name)),
        None => Ok(Some(database)),
    }
}

/// The user and its password: as the application's secret has them, else as the bags of an
/// older charm do.
fn credentials(
    secret: Option<&SecretContent>,
    client: &LegacyRelation,
) -> Option<(String, Hidden)> {
    let field = |key: String| secret.and_then(|secret| secret.expose(&key));
    let known = field(secret_keys::legacy_user(client.id))
        .zip(field(secret_keys::legacy_password(client.id)));
    let bags = [&client.own_app, &client.own_unit];
    let old = bags.iter().find_map(|bag| bag.get("user").zip(bag.get("password")));
    let old = old.map(|(user, password)| (user.as_str(), password.as_str()));
    known.or(old).map(|(user, password)| (user.to_owned(), Hidden::from(password)))
}

/// The user of a legacy relation, as the application's secret has it or as it is made.
pub(crate) fn user_of(
    facts: &FullFacts,
    id: juju_charm::RelationId,
) -> Result<RoleName, NameError> {
    let common = &facts.common;
    let secret = facts.secret.as_ref();
    let known = secret.and_then(|secret| secret.expose(&secret_keys::legacy_user(id)));
    let made = || names::legacy_user(common.unit.app(), id, &common.model);
    known.map_or_else(made, str::to_owned).parse()
}
