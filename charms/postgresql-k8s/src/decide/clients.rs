//! The relation `database`: each client its user, its database and the way to them.

use std::collections::BTreeSet;

use charm::{Changes, Decision, Level, Own, RelationEvent, RelationId, Status, databag};
use interfaces::postgresql_client::Request;
use postgres::{DatabaseName, ExtraRoles, Owner, RoleName};

use super::tls;
use crate::effect::{Effect, ServeClient};
use crate::facts::{Client, Facts, Peer};
use crate::topology::POSTGRESQL_PORT;

/// The key of the application's peer databag with the relations of which there are users.
pub(crate) const CLIENTS: &str = "clients";
/// Databases that belong to the server.
const RESERVED: [&str; 3] = ["postgres", "template0", "template1"];
/// The database of the poolers, in which they look passwords up.
const POOLERS: &str = "pgbouncer";
/// The stream of random values of relation 0; each relation has its own.
const FIRST_CLIENT: u64 = 1 << 32;

pub(crate) const BAD_ROLES: &str = "invalid role(s) for extra user roles";
pub(crate) const FAILED: &str = "Failed to initialize database relation";

/// A client asked for something, or may have.
pub(super) fn requested(facts: &Facts) -> Decision<Effect> {
    if !facts.leader {
        return Decision::new();
    }
    if !facts.initialised() {
        return Decision::new().defer("the cluster is not set up yet");
    }
    if facts.cluster.as_ref().and_then(|cluster| cluster.leader()).is_none() {
        return Decision::new().defer("there is no primary");
    }
    // The status shows at once when a client that stood in the way is gone.
    let steady = super::steady_status(facts);
    Decision { status: steady, ..Decision::new().effects(serve(facts, None)) }
}

/// Serves every client that has not all it asks for, refreshes the others' addresses and removes
/// the users of those that are gone.
///
/// What one client asks for in vain stands in the status and stops nobody else.
pub(super) fn serve(facts: &Facts, except: Option<RelationId>) -> Vec<Effect> {
    let clients = || facts.clients.iter().filter(|client| Some(client.id) != except);
    let mut effects = refresh(facts);
    let known = known(facts);
    let ids: BTreeSet<u32> = clients().filter(|client| asks(client)).map(|c| c.id.0).collect();
    // Whoever leads when a client goes finds its user by this, whichever hooks it has seen.
    if let Some(peer) = facts.peer.as_ref().filter(|_| !ids.is_subset(&known)) {
        effects.push(know(peer, &(&ids | &known)));
    }
    effects.extend(forget(facts, except));
    for client in clients() {
        let request = match &client.request {
            Ok(request) if request.database.is_none() || request.entity_type.is_some() => continue,
            Ok(request) => request,
            Err(error) => {
                effects.push(refused(client, FAILED, &error.to_string()));
                continue;
            }
        };
        match wish(request) {
            Err((words, reason)) => effects.push(refused(client, words, &reason)),
            Ok(_) if client.is_served(request) => {}
            Ok(wish) => {
                let same = clients().filter(|other| asks_for_same(other, request)).count();
                effects.push(serve_one(facts, client, request, wish, same));
            }
        }
    }
    effects
}

/// The relations of which there may be users.
fn known(facts: &Facts) -> BTreeSet<u32> {
    let app = facts.peer.as_ref().map(|peer| &peer.app);
    app.and_then(|app| databag::json(app, CLIENTS).ok().flatten()).unwrap_or_default()
}

fn know(peer: &Peer, ids: &BTreeSet<u32>) -> Effect {
    let text = serde_json::json!(ids).to_string();
    Effect::SetBag(peer.id, Own::App, Changes::from([(CLIENTS, text)]))
}

fn asks(client: &Client) -> bool {
    let asks = |request: &Request| request.database.is_some() && request.entity_type.is_none();
    client.request.as_ref().is_ok_and(asks)
}

/// Removes the users of clients that are gone, whoever saw them go. What stands in the way stands
/// in the status, and every hook tries again.
pub(super) fn forget(facts: &Facts, except: Option<RelationId>) -> Vec<Effect> {
    let (Some(peer), Some(passwords)) = (&facts.peer, facts.passwords()) else {
        return Vec::new();
    };
    // The relations of a unit that goes end for it alone.
    if is_departing(peer) {
        return Vec::new();
    }
    let live: BTreeSet<u32> = facts.clients.iter().map(|client| client.id.0).collect();
    let gone: BTreeSet<u32> = known(facts).difference(&live).copied().collect();
    let gone: BTreeSet<u32> = gone.into_iter().chain(except.map(|id| id.0)).collect();
    let remove = |id: u32| {
        let operator = super::operator(facts, passwords.operator.clone());
        let id = RelationId(id);
        Some(Effect::RemoveClient { peer: peer.id, id, user: user(id)?, operator })
    };
    gone.into_iter().filter_map(remove).collect()
}

fn is_departing(peer: &Peer) -> bool {
    databag::text(&peer.own, "departing").is_some()
}

/// What the server is looked at for now and then.
pub(super) fn guard(facts: &Facts) -> Option<Effect> {
    let leads = facts.cluster.as_ref().and_then(|cluster| cluster.leader()).is_some();
    let passwords = facts.passwords().filter(|_| facts.leader && facts.initialised() && leads)?;
    Some(Effect::GuardServer { operator: super::operator(facts, passwords.operator) })
}

fn asks_for_same(other: &Client, request: &Request) -> bool {
    other.request.as_ref().is_ok_and(|other| other.database == request.database)
}

/// The longest reason in a status, in characters: what a client asks for may be of any length.
pub(crate) const REASON_MAX: usize = 300;

fn refused(client: &Client, words: &'static str, reason: &str) -> Effect {
    let reason: String = reason.chars().take(REASON_MAX).collect();
    let who = client.who();
    let line = format!("cannot serve {who}: {reason}");
    Effect::Refuse { line, status: Status::blocked(format!("{words}: {who}: {reason}")) }
}

/// What a client can have by what it says; the server knows the rest.
struct Wish {
    database: DatabaseName,
    roles: ExtraRoles,
}

/// The request as a wish, or the words of the status and the reason.
fn wish(request: &Request) -> Result<Wish, (&'static str, String)> {
    let name = request.database.clone().unwrap_or_default();
    let database = DatabaseName::try_from(name).map_err(|error| (FAILED, error.to_string()))?;
    let roles = ExtraRoles::parse(&request.roles.join(","));
    let roles = roles.map_err(|role| {
        let reason = format!("nobody can be a member of {role:?}: correct extra-user-roles");
        (BAD_ROLES, reason)
    })?;
    if RESERVED.contains(&database.as_str()) {
        return Err((FAILED, format!("the database {database} is reserved: choose another")));
    }
    // A pooler is a superuser, and what is in this database its sessions trust.
    if database.as_str() == POOLERS && !roles.superuser {
        let reason = format!("the database {database} is the poolers': choose another");
        return Err((FAILED, reason));
    }
    Ok(Wish { database, roles })
}

fn serve_one(
    facts: &Facts,
    client: &Client,
    request: &Request,
    Wish { database, roles }: Wish,
    same: usize,
) -> Effect {
    let (Some(user), Some(passwords)) = (user(client.id), facts.passwords()) else {
        return Effect::Log(Level::Debug, "the passwords are not there yet".to_owned());
    };
    let mut source = facts.seed.source(FIRST_CLIENT + u64::from(client.id.0));
    let fresh = source.password();
    let former = client.former.iter().flatten();
    Effect::ServeClient(Box::new(ServeClient {
        id: client.id,
        who: client.who(),
        user,
        password: client.password.clone().unwrap_or(fresh),
        salt: source.salt(),
        roles,
        former: former.filter_map(|role| role.parse().ok()).collect(),
        database,
        owner: if same > 1 { Owner::Shared } else { Owner::Sole },
        in_secret: request.wants_in_secret("password"),
        read_only_host: read_only_host(facts),
        seen: client.seen.clone(),
        operator: super::operator(facts, passwords.operator),
        ca: tls::for_clients(facts),
        tls_in_secret: request.wants_in_secret("tls"),
    }))
}

/// The host at which clients read: the replicas, once there may be any.
fn read_only_host(facts: &Facts) -> String {
    let peers = facts.peer.as_ref().map_or(0, |peer| peer.units.len());
    if peers > 1 { facts.topology.replicas_host() } else { facts.topology.primary_host() }
}

/// Tells served clients an address that changed.
pub(super) fn refresh(facts: &Facts) -> Vec<Effect> {
    let address = format!("{}:{POSTGRESQL_PORT}", read_only_host(facts));
    let is_stale = |client: &&Client| {
        let known = databag::text(&client.offered, "read-only-endpoints");
        known.is_some_and(|known| known != address)
    };
    let change = |client: &Client| {
        let changes = Changes::from([("read-only-endpoints", address.clone())]);
        Effect::SetBag(client.id, Own::App, changes)
    };
    let mut effects: Vec<Effect> = facts.clients.iter().filter(is_stale).map(change).collect();
    effects.extend(tls::tell(facts, facts.clients.iter()));
    effects
}

/// The user of a relation.
fn user(id: RelationId) -> Option<RoleName> {
    format!("relation_id_{id}").parse().ok()
}

/// A unit of a client left. When it is this unit that goes, the client's user stays.
pub(super) fn departed(relation: &RelationEvent, facts: &Facts) -> Decision<Effect> {
    let (Some(peer), true) = (&facts.peer, relation.departing_unit.as_ref() == Some(&facts.unit))
    else {
        return Decision::new();
    };
    let flag = Changes::from([("departing", "True")]);
    Decision::new().effect(Effect::SetBag(peer.id, Own::Unit, flag))
}

/// A client is gone: its user goes too, its data stay.
pub(super) fn broken(relation: &RelationEvent, facts: &Facts) -> Decision<Effect> {
    let Some(peer) = &facts.peer else { return Decision::new() };
    if !facts.leader || is_departing(peer) || !peer.initialised() {
        return Decision::new();
    }
    let effects = serve(facts, Some(relation.id));
    Decision { status: super::steady_status(facts), ..Decision::new().effects(effects) }
}
