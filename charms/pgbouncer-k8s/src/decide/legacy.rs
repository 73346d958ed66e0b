//! Legacy clients: one database and one user each, credentials in bags.

use std::collections::BTreeSet;

use juju_charm::{Changes, ExposeSecret, Hidden, Own, SecretContent, Write};
use juju_interfaces::pgb_peers::secret_keys;
use juju_interfaces::pgsql::Connection;
use juju_interfaces::postgresql_client::LARGEST;
use postgres::RoleName;

use crate::databases::{DatabaseMap, DatabaseName};
use crate::effect::{Effect, LegacyGrant};
use crate::facts::{FullFacts, LegacyRelation};
use crate::names;
use crate::validate::{GrantRequest, LegacyClient, Validated};

use super::account::{Holder, account};
use super::{Next, Step, clients, rollout};

/// The application's secret with the credentials of every mapped client, so that each unit
/// can mirror them and a new leader knows them; those of ended relations go.
pub(crate) fn secret(
    facts: &FullFacts,
    valid: &Validated,
    map: &DatabaseMap,
    step: &Step,
    secret: Option<SecretContent>,
) -> Option<SecretContent> {
    let alone = facts.common.leader && facts.backend.is_none();
    if !alone && !matches!(step, Step::Initialise(_) | Step::Ready(_)) {
        return secret;
    }
    let old = secret?;
    // One whose events this unit has not had yet is known by the map only.
    let mapped = map.relations.keys().filter(|id| !valid.knows(**id));
    let mapped: BTreeSet<String> = mapped
        .flat_map(|id| [secret_keys::legacy_user(*id), secret_keys::legacy_password(*id)])
        .collect();
    let stays = |key: &&str| !key.starts_with(secret_keys::LEGACY) || mapped.contains(*key);
    let kept = old.keys().filter(stays);
    let kept = kept.filter_map(|key| Some((key, old.get(key)?.clone())));
    let mut new: SecretContent = kept.collect();
    for client in &valid.legacy {
        let id = client.relation.id;
        let (true, Ok(user)) = (map.relations.contains_key(&id), &client.user) else { continue };
        new = new
            .with(secret_keys::legacy_user(id), user.to_string())
            .with(secret_keys::legacy_password(id), password(facts, client, user).secret());
    }
    Some(new)
}

/// The client's password: the one that is known, or else a new one.
fn password(facts: &FullFacts, client: &LegacyClient, user: &RoleName) -> Hidden {
    client.password.clone().unwrap_or_else(|| facts.seed.password(user.as_str()).into())
}

/// The charts "db joined", "db changed", "db departed": on the leader user and database,
/// then the bags; on the other units the same keys in their own bags.
pub(crate) fn db_changed(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let clients = &next.valid.legacy;
    if !facts.common.leader {
        let mirrored = clients.iter().filter_map(|client| mirror(facts, next, client));
        return mirrored.map(Effect::from).collect();
    }
    if !next.ready() {
        return Vec::new();
    }
    let everywhere = rollout::is_done(facts, next);
    let renewed = matches!(next.step, Step::Initialise(_));
    let owed = |id| facts.peers.as_ref().is_some_and(|peers| peers.owes(id));
    let mut effects = Vec::new();
    for client in clients {
        let Some((database, user)) = client.served() else { continue };
        let (relation, password) = (client.relation, password(facts, client, user));
        let wanted = bag(facts, relation, (user, &password), database, "master");
        let bags = vec![(Own::App, wanted.clone()), (Own::Unit, wanted)];
        let again = renewed || owed(relation.id) || clients::lost(facts, user);
        if relation.granted() && !again {
            effects.extend(differing(relation, bags).into_iter().map(Effect::from));
        } else if everywhere || relation.granted() {
            effects.extend(grant(facts, next, client, (user, password), database, bags));
        }
    }
    effects
}

fn differing(client: &LegacyRelation, bags: Vec<(Own, Changes)>) -> Vec<Write> {
    let mut effects = Vec::new();
    for (own, wanted) in bags {
        let now = if own == Own::App { &client.own_app } else { &client.own_unit };
        let changes = wanted.against(now);
        if !changes.is_empty() {
            effects.push(Write::bag(client.id, own, changes));
        }
    }
    effects
}

/// A unit that does not lead answers once it serves the database itself.
fn mirror(facts: &FullFacts, next: &Next, client: &LegacyClient) -> Option<Write> {
    let relation = client.relation;
    let map = facts.peers.as_ref()?.databases.as_ref()?;
    let mapped =
        map.relations.get(&relation.id).filter(|_| next.running && relation.size() <= LARGEST)?;
    let (user, password) = (client.user.as_ref().ok()?, client.password.as_ref()?);
    let wanted = bag(facts, relation, (user, password), &mapped.name, "standby");
    differing(relation, vec![(Own::Unit, wanted)]).pop()
}

fn grant(
    facts: &FullFacts,
    next: &Next,
    client: &LegacyClient,
    (user, password): (&RoleName, Hidden),
    database: &DatabaseName,
    bags: Vec<(Own, Changes)>,
) -> Option<Effect> {
    let relation = client.relation;
    let holder = Holder {
        relation: relation.id,
        app: &relation.app,
        password,
        recreated: relation.granted(),
    };
    let request = GrantRequest::legacy(user.clone(), database.clone(), client.is_admin());
    let account = account(facts, next, holder, request)?;
    let endpoint = relation.access.endpoint();
    let grant = LegacyGrant { relation: relation.id, endpoint, account, bags };
    Some(Effect::GrantLegacy(Box::new(grant)))
}

/// What a unit writes for a client; every value is what the legacy interface promises.
fn bag(
    facts: &FullFacts,
    client: &LegacyRelation,
    (user, password): (&RoleName, &Hidden),
    database: &DatabaseName,
    state: &str,
) -> Changes {
    let common = &facts.common;
    let port = common.options.as_ref().map_or(6432, |options| options.listen_port);
    let host = names::cluster_endpoint(common.unit.app(), &common.model, port).host;
    let standby = database.with_suffix("_standby");
    let connection = |dbname: &DatabaseName| {
        let connection = Connection {
            host: host.clone(),
            dbname: dbname.to_string(),
            port,
            user: user.to_string(),
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
        .set("user", user.to_string())
        .set("password", password.expose())
        .set("database", database.to_string())
        .set("host", host.clone())
        .set("port", port.to_string())
        .set("master", connection(database))
        .set("standbys", connection(standby.as_ref().unwrap_or(database)))
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
