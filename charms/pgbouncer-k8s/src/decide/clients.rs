//! Clients of the relation `database`: their credentials and what is published to them.

use juju_charm::{Changes, Write};
use juju_interfaces::Endpoints;
use juju_interfaces::postgresql_client::SEEN;
use postgres::RoleName;

use crate::effect::{Effect, Grant, Uris};
use crate::facts::{DatabaseRelation, FullFacts};
use crate::validate::GrantRequest;

use super::account::{Holder, account};
use super::{Next, Step, rollout, service};

/// The chart "database requested": leader, backend, all units, then user, database,
/// lookup, credentials. Clients that have theirs get what changed.
pub(crate) fn database_requested(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let mut effects = Vec::new();
    let (true, Some(endpoints)) = (facts.common.leader && next.ready(), service::endpoints(facts))
    else {
        return effects;
    };
    let everywhere = rollout::is_done(facts, next);
    let renewed = matches!(next.step, Step::Initialise(_));
    let owed = |id| facts.peers.as_ref().is_some_and(|peers| peers.owes(id));
    for (client, request) in next.valid.requests() {
        let client = client.relation;
        if client.granted() {
            effects.extend(update(facts, client, request, &endpoints));
            // A new backend does not know the users of the old one, nor does one that a person
            // took them from or set back; one that refused something is asked again.
            let again = renewed || owed(client.id) || request.former.is_some();
            if lost(facts, &request.user) || (again && client.password.is_some()) {
                effects.extend(grant(facts, next, client, request, &endpoints));
            }
        } else if everywhere {
            effects.extend(grant(facts, next, client, request, &endpoints));
        }
    }
    effects
}

/// Whether the server has lost a user that has a relation.
pub(super) fn lost(facts: &FullFacts, user: &RoleName) -> bool {
    facts.backend.as_ref().is_some_and(|backend| backend.lost(user))
}

fn publish(
    facts: &FullFacts,
    client: &DatabaseRelation,
    request: &GrantRequest,
    endpoints: &Endpoints,
) -> Changes {
    let version = facts.backend.as_ref().and_then(|backend| backend.server.clone());
    let changes = Changes::new()
        .set("database", request.database.to_string())
        .set("endpoints", endpoints.to_string())
        .set("read-only-endpoints", endpoints.to_string())
        .set(SEEN, client.echo.clone());
    match version {
        Some(version) => changes.set("version", version),
        None => changes,
    }
}

fn uris(client: &DatabaseRelation, request: &GrantRequest, endpoints: &Endpoints) -> Uris {
    let wants = client.request.as_ref().is_ok_and(|r| r.wants_in_secret("read-only-uris"));
    let readonly = request.database.with_suffix("_readonly");
    Uris {
        relation: client.id,
        read_only: wants.then(|| readonly.unwrap_or_else(|| request.database.clone())),
        database: request.database.clone(),
        endpoints: endpoints.clone(),
    }
}

/// What changed for a client that has its credentials. The connection strings in its secret follow
/// from where it connects and from what it asks for, so they are written when one of these is.
fn update(
    facts: &FullFacts,
    client: &DatabaseRelation,
    request: &GrantRequest,
    endpoints: &Endpoints,
) -> Vec<Effect> {
    let mut changes = publish(facts, client, request, endpoints);
    let asked = client.own.get(SEEN) != Some(&client.echo);
    // What it asked for when it was served last is known until it is served again.
    if let (Some(seen), Some(_)) = (client.own.get(SEEN), &request.former) {
        changes = changes.set(SEEN, seen.clone());
    }
    if let (Some(user), Some(password)) = (client.own.get("username"), client.own.get("password")) {
        changes = changes.set("uris", uris(client, request, endpoints).render(user, password).0);
    }
    let changes = changes.against(&client.own);
    let mut effects = Vec::new();
    if request.secret && (asked || changes.iter().any(|(key, _)| key == "endpoints")) {
        effects.push(Effect::UpdateUris(Box::new(uris(client, request, endpoints))));
    }
    if !changes.is_empty() {
        effects.push(Write::app_bag(client.id, changes).into());
    }
    effects
}

fn grant(
    facts: &FullFacts,
    next: &Next,
    client: &DatabaseRelation,
    request: &GrantRequest,
    endpoints: &Endpoints,
) -> Option<Effect> {
    let password = client.password.clone();
    let holder = Holder {
        relation: client.id,
        app: &client.app,
        password: password.unwrap_or_else(|| facts.seed.password(request.user.as_str()).into()),
        recreated: client.granted(),
    };
    let grant = Grant {
        relation: client.id,
        account: account(facts, next, holder, request.clone())?,
        uris: uris(client, request, endpoints),
        publish: publish(facts, client, request, endpoints),
    };
    Some(Effect::Grant(Box::new(grant)))
}
