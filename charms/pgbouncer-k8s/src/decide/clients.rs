//! Clients of the relation `database`: who uses which database, and their credentials.

use std::collections::{BTreeMap, BTreeSet};

use charm::{AppName, Changes, RelationId};
use interfaces::pgb_peers::{DatabaseMap, MappedDatabase, secret_keys};
use interfaces::postgresql_client::SEEN;
use interfaces::{BagError, Endpoints};
use postgres::{DatabaseName, ExtraRoles, Owner, RoleName};

use crate::effect::{Account, Effect, Grant, Uris};
use crate::facts::{Access, Client, FullFacts, Legacy, Peers};
use crate::password::Password;
use crate::place;

use super::names::{Clash, clashes};
use super::{Next, Step, legacy, lookup, service, status};

/// Databases that no client may have.
const RESERVED: [&str; 5] =
    ["postgres", "template0", "template1", "pgbouncer", place::LOOKUP_ENTRY];

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

/// What a client wants.
pub(crate) struct Wish {
    pub(crate) database: DatabaseName,
    pub(super) roles: ExtraRoles,
    privileged: bool,
    /// The client reads its user and password from a secret.
    secret: bool,
}

/// A request that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Bag(#[from] BagError),
    #[error("the database name {0:?} is not possible: choose another")]
    Database(String),
    #[error("nobody can be a member of {0:?}: correct extra-user-roles")]
    Roles(String),
    #[error(transparent)]
    Clash(#[from] Clash),
}

impl Problem {
    /// The words that operators know.
    fn status(&self) -> &'static str {
        match self {
            Self::Database(_) | Self::Clash(_) => status::BAD_DATABASE,
            Self::Roles(_) => status::BAD_ROLES,
            Self::Bag(_) => status::BAD_REQUEST,
        }
    }
}

/// The database of this name, if clients may have it.
pub(crate) fn database(name: &str) -> Option<DatabaseName> {
    let free = !RESERVED.contains(&name) && name.parse::<pgbouncer::DatabaseName>().is_ok();
    name.parse().ok().filter(|_| free)
}

/// What the client wants and can have; `None` while it has not named a database.
pub(crate) fn check(facts: &FullFacts, client: &Client) -> Result<Option<Wish>, Problem> {
    let wish = wish(client)?;
    match clashes(facts).remove(&client.id) {
        Some(clash) if wish.is_some() && !clash.granted => Err(clash.into()),
        _ => Ok(wish),
    }
}

/// What the client wants, as far as the names of others do not matter.
fn wish(client: &Client) -> Result<Option<Wish>, Problem> {
    let request = client.request.as_ref().map_err(Clone::clone)?;
    let (Some(name), None) = (&request.database, &request.entity_type) else { return Ok(None) };
    // A database that was granted stays, whatever the client asks for later.
    let name = client.own.get("database").unwrap_or(name);
    let bad = || Problem::Database(name.clone());
    Ok(Some(Wish {
        database: database(name).ok_or_else(bad)?,
        roles: ExtraRoles::parse(&request.roles.join(",")).map_err(Problem::Roles)?,
        privileged: request.roles.iter().any(|role| PRIVILEGED.contains(&role.as_str())),
        // What was once given in the open stays there: the client looks for it nowhere else.
        secret: !client.own.contains_key("password")
            && request.wants_in_secret("username")
            && request.wants_in_secret("password"),
    }))
}

/// Whether the client may use all databases, or may once it is served.
pub(crate) fn is_wide(client: &Client) -> bool {
    wish(client).ok().flatten().is_some_and(|wish| wish.privileged)
}

/// What is wrong with clients: the words of the status, who it is about, and the reason. The others
/// are served.
pub(crate) fn problems(facts: &FullFacts) -> Vec<(&'static str, String, String)> {
    let told = |words, id: RelationId, app: &AppName, reason: String| {
        (words, format!("{app} (relation {id})"), reason)
    };
    let modern = facts.clients.iter().filter_map(|client| {
        let problem = check(facts, client).err()?;
        Some(told(problem.status(), client.id, &client.app, problem.to_string()))
    });
    let legacy = facts.legacy.iter().filter(|_| facts.common.leader);
    let old = legacy.clone().filter_map(|client| {
        let problem = legacy::check(facts, client).err()?;
        Some(told(problem.status(), client.id, &client.app, problem.to_string()))
    });
    let apps = facts.clients.iter().map(|client| (client.id, &client.app));
    let apps: BTreeMap<_, _> = apps.chain(legacy.map(|client| (client.id, &client.app))).collect();
    // Two that had their credentials before names were compared.
    let clashes = clashes(facts).into_iter().filter(|(_, clash)| clash.granted);
    let both = clashes.filter_map(|(id, clash)| {
        Some(told(status::BAD_DATABASE, id, apps.get(&id)?, clash.to_string()))
    });
    modern.chain(old).chain(both).collect()
}

/// The clients that wait for credentials.
pub(crate) fn pending(facts: &FullFacts) -> impl Iterator<Item = (&Client, Wish)> {
    let waits = facts.clients.iter().filter(|client| !client.granted());
    waits.filter_map(move |client| Some((client, check(facts, client).ok()??)))
}

/// The map after this hook, and what has to go from PostgreSQL because its relation went.
///
/// Only the leader changes the map, and only while PostgreSQL lets it in: so a relation
/// that ends while PostgreSQL is away is cleaned up later. Without a backend there is
/// nothing to clean up but the secret.
pub(crate) fn map(facts: &FullFacts, step: &Step) -> (DatabaseMap, Vec<Effect>) {
    let Some(peers) = &facts.peers else { return Default::default() };
    let mut map = peers.app.databases.clone().unwrap_or_default();
    let auth_user = match step {
        Step::Ready(login) => place::auth_user(&login.username).parse::<RoleName>().ok(),
        Step::Initialise(init) => Some(init.auth_user.clone()),
        _ => None,
    };
    let alone = facts.common.leader && facts.backend.is_none();
    if auth_user.is_none() && !alone {
        return (map, Vec::new());
    }
    let live = |id: &RelationId| {
        facts.clients.iter().any(|client| client.id == *id)
            || facts.legacy.iter().any(|client| client.id == *id)
    };
    let leaves = |id: RelationId| {
        ["database", "db", "db-admin"].iter().any(|endpoint| peers.leaves(endpoint, id))
    };
    let gone: Vec<RelationId> =
        map.relations.keys().filter(|id| !live(id) && !leaves(**id)).copied().collect();
    let mut removals = Vec::new();
    for id in gone {
        if let Some(old) = map.relations.remove(&id) {
            let used = map.relations.values().any(|other| other.name == old.name);
            let alone = !used && !lookup::once(facts.version());
            let unused = if alone { old.name.parse().ok() } else { None };
            let user = user_of(facts, id, &old);
            removals.extend(match (user, &auth_user) {
                (Some(user), Some(auth_user)) => {
                    let lookup = unused.map(|name| (name, auth_user.clone()));
                    Some(Effect::RemoveClient(id, user, lookup))
                }
                (_, None) => Some(Effect::ForgetClient(id)),
                (None, Some(_)) => None,
            });
        }
    }
    if auth_user.is_none() {
        map.wildcard = wildcard(facts, &map);
        return (map, removals);
    }
    for client in &facts.clients {
        if let Ok(Some(wish)) = check(facts, client) {
            let name = wish.database.to_string();
            map.relations.insert(client.id, MappedDatabase { name, legacy: false });
        }
    }
    for (client, database) in legacy::wishes(facts) {
        let name = database.to_string();
        map.relations.insert(client.id, MappedDatabase { name, legacy: true });
    }
    map.wildcard = wildcard(facts, &map);
    (map, removals)
}

/// Users that this charm made and that no relation has: the hook that made them did not come to
/// its end, and its relation ended before the next.
pub(crate) fn strays(facts: &FullFacts, next: &Next) -> Option<Effect> {
    let (Step::Ready(login), true) = (&next.step, facts.common.leader) else { return None };
    let auth_user: RoleName = place::auth_user(&login.username).parse().ok()?;
    let published = facts.peers.iter().filter_map(|peers| peers.app.databases.as_ref());
    let maps = published.chain([&next.map]).flat_map(|map| &map.relations);
    let mapped = maps.filter_map(|(id, mapped)| user_of(facts, *id, mapped));
    let old = |id| user_of(facts, id, &MappedDatabase { name: String::new(), legacy: true });
    let old = facts.legacy.iter().filter_map(|client| old(client.id));
    let modern = facts.clients.iter().map(|client| place::client_user(client.id));
    let own = [auth_user.to_string(), login.username.clone()];
    let known = mapped.chain(old).map(|user| user.to_string()).chain(modern).chain(own);
    let known: BTreeSet<String> = known.collect();
    let tied = facts.backend.iter().filter_map(|backend| backend.tied.as_ref()).flatten();
    let strays = tied.filter(|user| !known.contains(*user));
    let strays: Vec<RoleName> = strays.filter_map(|user| user.parse().ok()).collect();
    let kept = next.map.relations.values().map(|mapped| mapped.name.clone());
    let kept = kept.chain(["postgres", place::OWN_DATABASE].map(str::to_owned)).collect();
    (!strays.is_empty()).then_some(Effect::RemoveStrays(strays, auth_user, kept))
}

/// The user that a relation had.
pub(crate) fn user_of(
    facts: &FullFacts,
    id: RelationId,
    mapped: &MappedDatabase,
) -> Option<RoleName> {
    if !mapped.legacy {
        return place::client_user(id).parse().ok();
    }
    let common = &facts.common;
    let secret = facts.secret.as_ref();
    let known = secret.and_then(|secret| secret.expose(&secret_keys::legacy_user(id)));
    let made = || place::legacy_user(common.unit.app(), id, &common.model);
    known.map_or_else(made, str::to_owned).parse().ok()
}

/// The database whose lookup serves databases without an entry; it goes with its owner.
fn wildcard(facts: &FullFacts, map: &DatabaseMap) -> Option<String> {
    let modern = facts.clients.iter().filter_map(|client| check(facts, client).ok()?);
    let modern = modern.filter(|wish| wish.privileged).map(|wish| wish.database.to_string());
    let admin = |(client, _): &(&Legacy, DatabaseName)| client.access == Access::Admin;
    let old = legacy::wishes(facts).filter(admin).map(|(_, database)| database.to_string());
    let owners: Vec<String> = modern.chain(old).collect();
    let kept = map.wildcard.clone().filter(|name| owners.contains(name));
    kept.or_else(|| owners.into_iter().next())
}

/// The units whose PgBouncer does not serve the map yet; no client gets credentials
/// before all do, because the Service may send it to any of them.
pub(crate) fn behind(facts: &FullFacts, next: &Next) -> Option<String> {
    let digest = &next.digest;
    let digests = facts.peers.as_ref().map(|peers| &peers.digests)?;
    let behind: Vec<String> = digests
        .iter()
        .filter(|(_, theirs)| theirs.as_ref() != Some(digest))
        .map(|(unit, _)| unit.to_string())
        .collect();
    (!behind.is_empty()).then(|| behind.join(", "))
}

/// How long units that do not answer keep new clients waiting, in seconds.
const BARRIER_MAX: u64 = 300;

/// Whether new clients may have their credentials: all units serve the map, or those that
/// do not were waited for long enough.
pub(super) fn synchronous(facts: &FullFacts, next: &Next) -> bool {
    behind(facts, next).is_none() || overdue(facts, next)
}

fn overdue(facts: &FullFacts, next: &Next) -> bool {
    let since = facts.barrier.as_ref().filter(|(digest, _)| *digest == next.digest);
    since.is_some_and(|(_, since)| facts.now.saturating_sub(*since) >= BARRIER_MAX)
}

/// Remembers since when clients wait for units that are behind, until none waits; says whom it
/// stopped waiting for.
pub(super) fn barrier(facts: &FullFacts, next: &Next) -> Option<Effect> {
    let waits = pending(facts).next().is_some() || legacy::pending(facts);
    if !waits {
        return facts.barrier.is_some().then_some(Effect::ForgetBarrier);
    }
    let units = behind(facts, next).filter(|_| next.ready())?;
    let digest = next.digest.clone();
    if overdue(facts, next) {
        let text = format!("clients are let in although {units} does not serve all databases");
        return Some(Effect::Warn(text));
    }
    let known = facts.barrier.as_ref().is_some_and(|(known, _)| *known == digest);
    (!known).then_some(Effect::RememberBarrier(digest, facts.now))
}

/// Flowchart "database requested": leader, backend, all units, then user, database,
/// lookup, credentials. Clients that have theirs get what changed.
pub(crate) fn effects(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let mut effects = Vec::new();
    let (true, Some(endpoints)) = (facts.common.leader && next.ready(), service::endpoints(facts))
    else {
        return effects;
    };
    let synchronous = synchronous(facts, next);
    let renewed = matches!(next.step, Step::Initialise(_));
    let owed = facts.peers.as_ref().map(Peers::owed).unwrap_or_default();
    for client in &facts.clients {
        let Ok(Some(wish)) = check(facts, client) else { continue };
        if client.granted() {
            effects.extend(update(facts, client, &wish, &endpoints));
            // A new backend does not know the users of the old one, nor does one that a person
            // took them from or set back; one that refused something is asked again.
            let lost = lost(facts, &place::client_user(client.id));
            let again = renewed || owed.contains(&client.id) || client.former_roles().is_some();
            if lost || (again && client.password.is_some()) {
                effects.extend(grant(facts, next, client, wish, &endpoints));
            }
        } else if synchronous {
            effects.extend(grant(facts, next, client, wish, &endpoints));
        }
    }
    effects
}

/// Whether the server has lost a user that has a relation.
pub(super) fn lost(facts: &FullFacts, user: &str) -> bool {
    facts.backend.as_ref().is_some_and(|backend| backend.lost(user))
}

fn publish(facts: &FullFacts, client: &Client, wish: &Wish, endpoints: &Endpoints) -> Changes {
    let version = facts.backend.as_ref().and_then(|backend| backend.server.clone());
    let changes = Changes::new()
        .set("database", wish.database.to_string())
        .set("endpoints", endpoints.to_string())
        .set("read-only-endpoints", endpoints.to_string())
        .set(SEEN, client.seen.clone());
    match version {
        Some(version) => changes.set("version", version),
        None => changes,
    }
}

fn uris(client: &Client, wish: &Wish, endpoints: &Endpoints) -> Uris {
    let wants = client.request.as_ref().is_ok_and(|r| r.wants_in_secret("read-only-uris"));
    let name = wish.database.to_string();
    let readonly = name.parse().ok().and_then(|n: pgbouncer::DatabaseName| {
        n.with_suffix("_readonly").map(|name| name.to_string())
    });
    Uris {
        relation: client.id,
        read_only: wants.then(|| readonly.unwrap_or_else(|| name.clone())),
        database: name,
        endpoints: endpoints.clone(),
    }
}

fn update(facts: &FullFacts, client: &Client, wish: &Wish, endpoints: &Endpoints) -> Vec<Effect> {
    let mut changes = publish(facts, client, wish, endpoints);
    // What it asked for when it was served last is known until it is served again.
    if let (Some(seen), Some(_)) = (client.own.get(SEEN), client.former_roles()) {
        changes = changes.set(SEEN, seen.clone());
    }
    if let (Some(user), Some(password)) = (client.own.get("username"), client.own.get("password")) {
        changes = changes.set("uris", uris(client, wish, endpoints).render(user, password).0);
    }
    let changes = changes.against(&client.own);
    let mut effects = Vec::new();
    if wish.secret && changes.iter().any(|(key, _)| key == "endpoints") {
        effects.push(Effect::Uris(Box::new(uris(client, wish, endpoints))));
    }
    if !changes.is_empty() {
        effects.push(Effect::Bag(client.id, charm::Own::App, changes));
    }
    effects
}

fn grant(
    facts: &FullFacts,
    next: &Next,
    client: &Client,
    wish: Wish,
    endpoints: &Endpoints,
) -> Option<Effect> {
    let name = place::client_user(client.id);
    let password = client.password.clone().unwrap_or_else(|| facts.seed.password(&name));
    let (uris, publish) =
        (uris(client, &wish, endpoints), publish(facts, client, &wish, endpoints));
    let former = client.former_roles().unwrap_or_default();
    let former = former.iter().filter_map(|role| role.parse().ok()).collect();
    let rights = Rights { roles: wish.roles, former, again: client.granted() };
    let by = (client.id, &client.app);
    let account = account(facts, next, by, (name, password), rights, wish.database)?;
    let grant = Grant { relation: client.id, account, uris, publish, secret: wish.secret };
    Some(Effect::Grant(Box::new(grant)))
}

/// What a client may do on PostgreSQL.
pub(super) struct Rights {
    pub(super) roles: ExtraRoles,
    /// The roles that it was made a member of before.
    pub(super) former: Vec<RoleName>,
    /// It has credentials already.
    pub(super) again: bool,
}

/// What a client gets on PostgreSQL.
pub(super) fn account(
    facts: &FullFacts,
    next: &Next,
    (id, app): (RelationId, &AppName),
    (user, password): (String, Password),
    Rights { roles, former, again }: Rights,
    database: DatabaseName,
) -> Option<Account> {
    let login = next.login()?;
    let others = next.map.relations.iter().filter(|(other, _)| **other != id);
    let shared = others.into_iter().any(|(_, other)| other.name == database.as_str());
    Some(Account {
        salt: facts.seed.salt(&user),
        user: user.parse().ok()?,
        password,
        maker: login.username.parse().ok()?,
        owner: if shared { Owner::Shared } else { Owner::Sole },
        lookup: lookup::for_client(facts, login, &database, roles.superuser)?,
        peers: facts.peers.as_ref().map(|peers| peers.id),
        who: format!("{app} (relation {id})"),
        again,
        roles,
        former,
        database,
    })
}
