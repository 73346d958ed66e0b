//! What this unit reports to its peers.

use juju_charm::{Bag, Changes, Event, Own, Write};
use juju_interfaces::pgb_peers::AppBag;

use crate::databases::DatabaseMap;
use crate::endpoint::Endpoint;
use crate::facts::{FullFacts, Peers};
use crate::names;

use super::{Next, container, service, tls};

/// The charts "peer created", "peer changed" and "peer departed": writes what differs in the unit's bag and, on the leader, in the application's.
pub(crate) fn peer_changed(event: &Event, facts: &FullFacts, next: &Next) -> Vec<Write> {
    let Some(peers) = &facts.peers else { return Vec::new() };
    let mut effects = differing(peers, Own::Unit, &peers.own_bag, unit(event, facts, next, peers));
    if facts.common.leader {
        effects.extend(differing(peers, Own::App, &peers.app_bag, app(facts, next, peers)));
    }
    effects
}

/// The chart "leader-elected": reports who leads, before anything else is written: a unit that finds another's name
/// reads the application's bags anew instead of trusting what it remembers of them.
pub(crate) fn leader_elected(facts: &FullFacts) -> Vec<Write> {
    match &facts.peers {
        Some(peers) if facts.common.leader => {
            let name = names::hostname(&facts.common.unit, &facts.common.model);
            let wanted = Changes::new().set("leader_hostname", name);
            differing(peers, Own::App, &peers.app_bag, wanted)
        }
        _ => Vec::new(),
    }
}

fn differing(peers: &Peers, own: Own, now: &Bag, wanted: Changes) -> Vec<Write> {
    let changes = wanted.against(now);
    if changes.is_empty() { Vec::new() } else { vec![Write::bag(peers.id, own, changes)] }
}

fn unit(event: &Event, facts: &FullFacts, next: &Next, peers: &Peers) -> Changes {
    let common = &facts.common;
    let mut changes = Changes::new();
    // Juju writes its own value here after each config-changed; a peer reads ours on an event of
    // this relation, and on that it is corrected.
    let known = peers.own_bag.contains_key("private-address");
    if !known || event.relation(Endpoint::Peers).is_some() {
        changes = changes.set("private-address", names::hostname(&common.unit, &common.model));
    }
    if !next.running {
        return changes;
    }
    // A follower answers for the map it read, which is the one its files were made of.
    let digest = match &peers.databases {
        Some(map) if *map == next.map => next.digest.clone(),
        _ if common.leader => next.digest.clone(),
        Some(map) => map.digest(),
        None => DatabaseMap::default().digest(),
    };
    changes = changes.set("pgb_dbs", digest).set("container_initialised", "True");
    changes = tls::flag(next, changes);
    match container::nonce(facts) {
        Some(nonce) => changes.set("userlist_nonce", nonce),
        None => changes,
    }
}

fn app(facts: &FullFacts, next: &Next, peers: &Peers) -> Changes {
    let common = &facts.common;
    // Older charms kept the user list here, and passwords by the users' names.
    let mut changes = Changes::new().remove("auth_file");
    for key in
        peers.app_bag.keys().filter(|key| key.starts_with("relation_id_") || key.contains("_user_"))
    {
        changes = changes.remove(key.clone());
    }
    if let Some(shared) = &next.shared {
        changes = changes.set("cfg_file", shared.to_string());
    }
    if peers.databases.is_some() || next.map != DatabaseMap::default() {
        changes = changes.set("pgb_dbs_config", next.map.wire().to_string());
    }
    changes = match next.readonly.is_empty() {
        true => changes.remove("readonly_dbs"),
        false => {
            let readonly_databases = next.readonly.iter().map(ToString::to_string).collect();
            let readonly = AppBag { readonly_databases, ..AppBag::default() };
            readonly.render().into_iter().fold(changes, |all, (key, value)| all.set(key, value))
        }
    };
    if let (Ok(options), Some(_)) = (&common.options, service::endpoints(facts)) {
        changes = changes.set("current_port", options.listen_port.to_string());
    }
    changes
}
