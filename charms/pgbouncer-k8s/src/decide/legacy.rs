//! Clients of the old interface: one database and one user each, credentials in bags.

use charm::{Changes, Own, SecretContent};
use interfaces::pgb_peers::{DatabaseMap, secret_keys};
use interfaces::pgsql::Connection;
use interfaces::postgresql_client::LARGEST;
use postgres::{DatabaseName, ExtraRoles};
use secrecy::ExposeSecret;

use crate::effect::{Effect, LegacyGrant};
use crate::facts::{Access, FullFacts, Legacy, Peers};
use crate::password::Password;
use crate::place;

use super::clients::Rights;
use super::names::{Clash, clashes};
use super::{Next, Step, clients, status};

/// A request of the old interface that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the database name {0:?} is not possible: choose another")]
    Database(String),
    #[error(transparent)]
    Clash(#[from] Clash),
    #[error("the extension {0:?} is not in the database pgbouncer: enable it on PostgreSQL")]
    Extension(String),
    #[error("its extensions and subnets have {0} bytes, more than {LARGEST}: correct them")]
    Large(usize),
}

impl Problem {
    /// The words that operators know.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Database(_) | Self::Clash(_) => status::BAD_DATABASE,
            Self::Extension(_) => status::EXTENSIONS,
            Self::Large(_) => status::BAD_REQUEST,
        }
    }
}

impl Legacy {
    /// Whether the application gave it credentials.
    pub(crate) fn granted(&self) -> bool {
        self.own_app.contains_key("password")
    }

    /// How much it says that the answer repeats, in bytes; a bag that is too large fails its
    /// writer's hook.
    fn size(&self) -> usize {
        self.request.extensions.iter().chain(&self.subnets).map(String::len).sum()
    }
}

/// The database that the client wants; `None` while nobody can say.
pub(crate) fn check(facts: &FullFacts, client: &Legacy) -> Result<Option<DatabaseName>, Problem> {
    if client.size() > LARGEST {
        return Err(Problem::Large(client.size()));
    }
    // What was granted stays, whatever the client asks for later.
    let granted = client.own_app.get("database").filter(|_| client.granted());
    let Some(name) = granted.or(client.request.database.as_ref()) else { return Ok(None) };
    let database = clients::database(name).ok_or_else(|| Problem::Database(name.clone()))?;
    if let Some(clash) = clashes(facts).remove(&client.id).filter(|clash| !clash.granted) {
        return Err(clash.into());
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

/// The clients that can be served, with their databases.
pub(crate) fn wishes(facts: &FullFacts) -> impl Iterator<Item = (&Legacy, DatabaseName)> {
    facts.legacy.iter().filter_map(|client| Some((client, check(facts, client).ok()??)))
}

/// Whether a client waits for credentials.
pub(crate) fn pending(facts: &FullFacts) -> bool {
    let asks = |client: &Legacy| client.request.database.is_some() && !client.granted();
    facts.common.leader && facts.legacy.iter().any(|c| asks(c) && check(facts, c).is_ok())
}

/// The user and its password: as the application's secret has them, else as the bags of an
/// older charm do.
pub(super) fn credentials(
    secret: Option<&SecretContent>,
    client: &Legacy,
) -> Option<(String, Password)> {
    let field = |key: String| secret.and_then(|secret| secret.expose(&key));
    let known = field(secret_keys::legacy_user(client.id))
        .zip(field(secret_keys::legacy_password(client.id)));
    let bags = [&client.own_app, &client.own_unit];
    let old = bags.iter().find_map(|bag| bag.get("user").zip(bag.get("password")));
    let old = old.map(|(user, password)| (user.as_str(), password.as_str()));
    known.or(old).map(|(user, password)| (user.to_owned(), Password::from(password)))
}

/// The application's secret with the credentials of every mapped client, so that each unit
/// can mirror them and a new leader knows them; those of ended relations go.
pub(crate) fn secret(
    facts: &FullFacts,
    map: &DatabaseMap,
    step: &Step,
    secret: Option<SecretContent>,
) -> Option<SecretContent> {
    let alone = facts.common.leader && facts.backend.is_none();
    if !alone && !matches!(step, Step::Initialise(_) | Step::Ready(_)) {
        return secret;
    }
    let old = secret?;
    let mut new: SecretContent = old
        .keys()
        .filter(|key| !key.starts_with(secret_keys::LEGACY))
        .filter_map(|key| Some((key, old.get(key)?.clone())))
        .collect();
    for client in facts.legacy.iter().filter(|client| map.relations.contains_key(&client.id)) {
        let (user, password) = credentials(Some(&old), client).unwrap_or_else(|| {
            let common = &facts.common;
            let user = place::legacy_user(common.unit.app(), client.id, &common.model);
            let password = facts.seed.password(&user);
            (user, password)
        });
        new = new
            .with(secret_keys::legacy_user(client.id), user)
            .with(secret_keys::legacy_password(client.id), password.secret());
    }
    Some(new)
}

/// Flowcharts "db joined", "db changed", "db departed": on the leader user and database,
/// then the bags; on the other units the same keys in their own bags.
pub(crate) fn effects(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    if !facts.common.leader {
        return facts.legacy.iter().filter_map(|client| mirror(facts, next, client)).collect();
    }
    if !next.ready() {
        return Vec::new();
    }
    let synchronous = clients::synchronous(facts, next);
    let renewed = matches!(next.step, Step::Initialise(_));
    let owed = facts.peers.as_ref().map(Peers::owed).unwrap_or_default();
    let mut effects = Vec::new();
    for (client, database) in wishes(facts) {
        let Some((user, password)) = credentials(next.secret.as_ref(), client) else { continue };
        let wanted = bag(facts, client, (&user, &password), database.as_str(), "master");
        let bags = vec![(Own::App, wanted.clone()), (Own::Unit, wanted)];
        let again = renewed || owed.contains(&client.id) || clients::lost(facts, &user);
        if client.granted() && !again {
            effects.extend(differing(client, bags));
        } else if synchronous || client.granted() {
            effects.extend(grant(facts, next, client, (user, password), database, bags));
        }
    }
    effects
}

fn differing(client: &Legacy, bags: Vec<(Own, Changes)>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (own, wanted) in bags {
        let now = if own == Own::App { &client.own_app } else { &client.own_unit };
        let changes = wanted.against(now);
        if !changes.is_empty() {
            effects.push(Effect::Bag(client.id, own, changes));
        }
    }
    effects
}

/// A unit that does not lead answers once it serves the database itself.
fn mirror(facts: &FullFacts, next: &Next, client: &Legacy) -> Option<Effect> {
    let map = facts.peers.as_ref()?.app.databases.as_ref()?;
    let mapped =
        map.relations.get(&client.id).filter(|_| next.running && client.size() <= LARGEST)?;
    let (user, password) = credentials(next.secret.as_ref(), client)?;
    let wanted = bag(facts, client, (&user, &password), &mapped.name, "standby");
    differing(client, vec![(Own::Unit, wanted)]).pop()
}

fn grant(
    facts: &FullFacts,
    next: &Next,
    client: &Legacy,
    credentials: (String, Password),
    database: DatabaseName,
    bags: Vec<(Own, Changes)>,
) -> Option<Effect> {
    let superuser = client.access == Access::Admin;
    let roles = ExtraRoles { superuser, ..ExtraRoles::default() };
    let rights = Rights { roles, former: Vec::new(), again: client.granted() };
    let by = (client.id, &client.app);
    let account = clients::account(facts, next, by, credentials, rights, database)?;
    let endpoint = client.access.endpoint();
    let grant = LegacyGrant { relation: client.id, endpoint, account, bags };
    Some(Effect::LegacyGrant(Box::new(grant)))
}

/// What a unit writes for a client; every value is what the old interface promises.
fn bag(
    facts: &FullFacts,
    client: &Legacy,
    (user, password): (&str, &Password),
    database: &str,
    state: &str,
) -> Changes {
    let common = &facts.common;
    let port = common.options.as_ref().map_or(6432, |options| options.listen_port);
    let host = place::cluster_endpoint(common.unit.app(), &common.model, port).host;
    let standby = database.parse().ok().and_then(|name: pgbouncer::DatabaseName| {
        name.with_suffix("_standby").map(|name| name.to_string())
    });
    let connection = |dbname: &str| {
        let connection = Connection {
            host: host.clone(),
            dbname: dbname.to_owned(),
            port,
            user: user.to_owned(),
            password: password.secret(),
            application: client.app.to_string(),
        };
        connection.render().expose_secret().to_owned()
    };
    let list = |items: Vec<String>| items.join(",");
    let units = client.units.iter().map(ToString::to_string).collect();
    let backend = facts.backend.as_ref();
    let version = backend.and_then(|b| b.server.clone().or_else(|| b.version.clone()));
    let mut changes = Changes::new()
        .set("user", user)
        .set("password", password.expose())
        .set("database", database)
        .set("host", host.clone())
        .set("port", port.to_string())
        .set("master", connection(database))
        .set("standbys", connection(standby.as_deref().unwrap_or(database)))
        .set("allowed-subnets", list(client.subnets.iter().cloned().collect()))
        .set("allowed-units", list(units))
        .set("state", state);
    if let Some(version) = version {
        changes = changes.set("version", version);
    }
    if !client.request.extensions.is_empty() {
        changes = changes.set("extensions", client.request.extensions.join(","));
    }
    changes
}
