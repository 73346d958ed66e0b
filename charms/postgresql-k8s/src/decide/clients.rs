//! Clients of `database`, `db` and `db-admin`: each its user, its database and the way to them.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{Changes, Decision, RelationEvent, RelationId, Status, Write, databag};
use postgres::{Owner, RoleName};

use super::legacy::{self, Login};
use super::tls;
use crate::effect::{Effect, ServeClient};
use crate::facts::{DatabaseRelation, Peer};
use crate::topology::POSTGRESQL_PORT;
use crate::validate::{Asked, GrantRequest, Problem, Validated};
use crate::wording::{self, because};

/// The key of the application's peer databag with the relations of which there are users.
pub(crate) const CLIENTS: &str = "clients";

/// The chart "database-changed".
pub(super) fn database_changed(facts: &Validated<'_>) -> Decision<Effect> {
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
/// What is refused to one client stands in the status and does not stop the others.
pub(super) fn serve(facts: &Validated<'_>, except: Option<RelationId>) -> Vec<Effect> {
    let requests = || facts.requests.iter().filter(|(client, _)| Some(client.id) != except);
    // An address and a CA need no server, so clients that are served get them first.
    let mut effects = refresh(facts);
    let known = known(facts);
    let ids: BTreeSet<u32> =
        requests().filter(|(client, _)| client.asks()).map(|(client, _)| client.id.0).collect();
    // The leader at the time a client goes finds its user by this, whichever hooks it has run.
    if let Some(peer) = facts.peer.as_ref().filter(|_| !ids.is_subset(&known)) {
        effects.push(know(peer, &(&ids | &known)).into());
    }
    effects.extend(forget(facts, except));
    let mut askers: BTreeMap<&str, usize> = BTreeMap::new();
    for name in requests().filter_map(|(client, _)| client.asked_database()) {
        *askers.entry(name).or_default() += 1;
    }
    for (client, asked) in requests() {
        match asked {
            Asked::Refused(problem) => effects.push(refused(client, problem)),
            Asked::Grant(grant) if !grant.served => {
                let shared = askers.get(grant.database.as_str()).is_some_and(|count| *count > 1);
                effects.extend(serve_one(facts, client, grant, shared));
            }
            Asked::Grant(_) | Asked::Nothing => {}
        }
    }
    effects
}

/// The relations of which there may be users.
fn known(facts: &Validated<'_>) -> BTreeSet<u32> {
    let app = facts.peer.as_ref().map(|peer| &peer.app);
    app.and_then(|app| databag::json(app, CLIENTS).ok().flatten()).unwrap_or_default()
}

fn know(peer: &Peer, ids: &BTreeSet<u32>) -> Write {
    let text = serde_json::json!(ids).to_string();
    Write::app_bag(peer.id, [(CLIENTS, text)])
}

/// Removes the users of clients that are gone, whichever unit had the event. What stands in the way
/// stands in the status, and every hook tries again. A new leader that has not had the events of
/// all relations cannot know which are gone.
fn forget(facts: &Validated<'_>, except: Option<RelationId>) -> Vec<Effect> {
    let (Some(peer), Some(login)) = (&facts.peer, facts.superuser()) else { return Vec::new() };
    // The relations of a unit that goes end for it alone.
    if peer.leaving {
        return Vec::new();
    }
    let live: BTreeSet<u32> = facts.clients.iter().map(|client| client.id.0).collect();
    let known = if facts.events_pending { BTreeSet::new() } else { known(facts) };
    let gone: BTreeSet<u32> =
        known.difference(&live).copied().chain(except.map(|id| id.0)).collect();
    let remove = |id: u32| {
        let (id, login) = (RelationId(id), login.clone());
        Effect::RemoveClient { peer: peer.id, id, user: user(id), login }
    };
    gone.into_iter().map(remove).collect()
}

/// What the server is looked at for now and then.
pub(super) fn guard(facts: &Validated<'_>) -> Option<Effect> {
    let leads = facts.cluster.as_ref().and_then(|cluster| cluster.leader()).is_some();
    let login = facts.superuser().filter(|_| facts.leader && facts.initialised() && leads)?;
    Some(Effect::GuardServer { login })
}

fn refused(client: &DatabaseRelation, Problem { status, reason }: &Problem) -> Effect {
    let who = client.who();
    let line = because(&format!("cannot serve {who}"), reason);
    let status = Status::blocked(because(&format!("{status}: {who}"), reason));
    Effect::Refuse { line, status }
}

fn serve_one(
    facts: &Validated<'_>,
    client: &DatabaseRelation,
    grant: &GrantRequest,
    shared: bool,
) -> Option<Effect> {
    let login = facts.superuser()?;
    let user = user(client.id);
    let password = client.password.clone();
    let password = password.unwrap_or_else(|| facts.seed.password(user.as_str()));
    let (user_name, database) = (user.as_str(), grant.database.as_str());
    let credentials = Login { user: user_name, password: &password, database };
    let bag = client.legacy.as_ref().map(|it| legacy::bag(facts, client, it, &credentials));
    let former = client.former.iter().flatten();
    Some(Effect::ServeClient(Box::new(ServeClient {
        id: client.id,
        who: client.who(),
        failed: wording::failed(client.endpoint()),
        password,
        bag,
        salt: facts.seed.salt(user.as_str()),
        user,
        roles: grant.roles.clone(),
        former: former.filter_map(|role| role.parse().ok()).collect(),
        database: grant.database.clone(),
        owner: if shared { Owner::Shared } else { Owner::Sole },
        in_secret: grant.in_secret,
        read_only_host: facts.read_only_host(),
        seen: client.seen.clone(),
        login,
        ca: tls::for_clients(facts),
        tls_in_secret: grant.tls_in_secret,
    })))
}

/// Publishes a changed address to served clients, in the bag and in the secret alike.
pub(super) fn refresh(facts: &Validated<'_>) -> Vec<Effect> {
    let host = facts.read_only_host();
    let address = format!("{host}:{POSTGRESQL_PORT}");
    let is_stale = |client: &&DatabaseRelation| {
        let known = databag::text(&client.offered, "read-only-endpoints");
        known.is_some_and(|known| known != address)
    };
    let change = |client: &DatabaseRelation| {
        let changes = Changes::from([("read-only-endpoints", address.clone())]);
        let secret = client.offered.contains_key("secret-user");
        let secret = secret.then(|| Effect::MoveReaders { id: client.id, host: host.clone() });
        secret.into_iter().chain([Write::app_bag(client.id, changes).into()])
    };
    let mut effects: Vec<Effect> = facts.clients.iter().filter(is_stale).flat_map(change).collect();
    effects.extend(legacy::refresh(facts));
    effects.extend(tls::publish(facts));
    effects
}

/// The user of a relation.
fn user(id: RelationId) -> RoleName {
    RoleName::of_relation(id.0)
}

/// A unit of a client left. When it is this unit that goes, the client's user stays.
pub(super) fn database_departed(
    relation: &RelationEvent,
    facts: &Validated<'_>,
) -> Decision<Effect> {
    if relation.departing_unit.as_ref() != Some(&facts.unit) {
        // A client of the legacy interface reads which of its units may connect.
        return Decision::new().effects(if facts.leader { legacy::refresh(facts) } else { vec![] });
    }
    Decision::new().effects(facts.peer.as_ref().map(report_departure))
}

/// The chart "database-broken": its user goes too, its data stay.
pub(super) fn database_broken(relation: &RelationEvent, facts: &Validated<'_>) -> Decision<Effect> {
    let Some(peer) = &facts.peer else { return Decision::new() };
    if !facts.leader || peer.leaving || !peer.initialised() {
        return Decision::new();
    }
    let effects = serve(facts, Some(relation.id));
    Decision { status: super::steady_status(facts), ..Decision::new().effects(effects) }
}

/// Reports to the others that this unit goes: Juju 4.0 forgets to, and then commits would wait for
/// it.
pub(super) fn report_departure(peer: &Peer) -> Write {
    Write::unit_bag(peer.id, [("departing", "True")])
}
