//! Every edge of the charts of the relation `backend-database`.

use juju_charm::{Decision, Event, Own, RelationEvent, RelationKind, Status};
use juju_interfaces::pgb_peers::{departing_key, secret_keys};
use pebble_client::Startup;

use super::{check_settled, follower, has, position, reported, touches_container, written};
use crate::decide::{Step, backend};
use crate::effect::Effect;
use crate::facts::{Backend, FullFacts};
use crate::fixture::{self, BACKEND, ready, relation, running, step};
use crate::names;
use crate::wording::NO_BACKEND;

#[test]
fn backend_created_is_leader_yes_asks_for_a_superuser() {
    let waiting = Backend { requested: false, offered: false, ..fixture::backend() };
    let facts = FullFacts { backend: Some(waiting), ..running() };
    let (_, decision) = step(&relation("backend-database", RelationKind::Created), facts);
    let request = written(&decision, BACKEND, Own::App).unwrap();
    assert!(request.iter().any(|(k, v)| (k, v) == ("extra-user-roles", "SUPERUSER")));
}

#[track_caller]
fn check_step(edit: impl FnOnce(&mut FullFacts), running: bool, expected: &str) {
    let mut facts = FullFacts { backend: Some(fixture::backend()), ..fixture::running() };
    edit(&mut facts);
    assert_eq!(fixture::name(&backend::backend_changed(&facts, running)), expected);
}

#[test]
fn backend_changed_is_leader_no_returns() {
    check_step(|facts| facts.common.leader = false, true, "follower");
}

#[test]
fn backend_changed_is_running_no_returns() {
    check_step(|_| (), false, "not running");
}

#[test]
fn backend_changed_is_offered_no_waits() {
    check_step(|facts| facts.backend.as_mut().unwrap().offered = false, true, "absent");
    check_step(|facts| facts.backend.as_mut().unwrap().login = None, true, "not ready");
}

#[test]
fn backend_changed_is_backend_ready_no_waits() {
    check_step(|facts| facts.backend.as_mut().unwrap().server = None, true, "not ready");
}

#[test]
fn backend_changed_no_peer_relation_waits() {
    check_step(|facts| facts.peers = None, true, "not ready");
}

#[test]
fn backend_changed_is_initialised_no_initialises() {
    check_step(|_| (), true, "initialise");
}

#[test]
fn backend_changed_is_initialised_yes_is_ready() {
    let facts = ready();
    assert_eq!(fixture::name(&backend::backend_changed(&facts, true)), "ready");
}

#[test]
fn backend_changed_initialises_then_starts_the_exporter_then_saves() {
    let facts = FullFacts { backend: Some(fixture::backend()), ..running() };
    let (facts, decision) = step(&relation("backend-database", RelationKind::Changed), facts);
    let order = ["show", "initialise", "push", "reload", "replan", "put secret", "set"];
    let order = order.map(|kind| position(&decision, kind));
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(decision.status, Some(Status::active()));
    let secret = facts.secret.as_ref().unwrap();
    let list = secret.expose(secret_keys::AUTH_FILE).unwrap();
    assert!(list.starts_with("\"pgbouncer_auth_relation_id_3\" \""));
    assert_eq!(list.matches("SCRAM-SHA-256$4096:").count(), 2);
    check_settled(facts);
}

#[test]
fn backend_changed_an_md5_list_of_an_older_charm_is_made_anew() {
    let mut facts = ready();
    let old = facts.secret.clone().unwrap();
    let list = "\"pgbouncer_auth_relation_id_3\" \"md5aad46d9afbcc8c8248d254d567b577c1\"";
    facts.secret = Some(old.clone().with(secret_keys::AUTH_FILE, list));
    let (facts, _) = step(&Event::UpdateStatus, facts);
    let key = secret_keys::ADMIN_PASSWORD;
    assert_eq!(facts.secret.unwrap().expose(key), old.expose(key));
}

fn departed(unit: Option<juju_charm::UnitName>) -> Event {
    let Event::Relation(event) = relation("backend-database", RelationKind::Departed) else {
        unreachable!()
    };
    Event::Relation(RelationEvent { departing_unit: unit, ..event })
}

fn deserted() -> FullFacts {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().populated = false;
    facts
}

fn removes_auth(decision: &Decision<Effect>) -> bool {
    has(decision, "remove auth")
}

#[test]
fn backend_departed_is_this_unit_departing_yes_tells_its_peers() {
    let (_, decision) = step(&departed(Some(fixture::unit(0))), deserted());
    let key = departing_key("backend-database", BACKEND);
    assert_eq!(reported(&decision, Own::Unit, &key), Some("true"));
    assert_eq!(decision.effects.len(), 1);
}

#[test]
fn backend_departed_is_leader_no_returns() {
    let mut facts = deserted();
    facts.common.leader = false;
    assert!(!removes_auth(&step(&departed("pg/0".parse().ok()), facts).1));
}

#[test]
fn backend_departed_is_last_no_keeps_auth() {
    assert!(!removes_auth(&step(&departed("pg/0".parse().ok()), ready()).1));
}

#[test]
fn backend_departed_is_last_yes_removes_auth() {
    let (facts, decision) = step(&departed("pg/0".parse().ok()), deserted());
    assert!(removes_auth(&decision));
    // Should the relation stay after all, the unit that comes back is initialised.
    let mut facts = facts;
    assert_eq!(fixture::name(&backend::backend_changed(&facts, true)), "not ready");
    facts.backend.as_mut().unwrap().populated = true;
    assert_eq!(fixture::name(&backend::backend_changed(&facts, true)), "initialise");
}

#[test]
fn backend_broken_check_depart_yes_returns() {
    let mut facts = FullFacts { backend: None, ..ready() };
    let key = departing_key("backend-database", BACKEND);
    facts.peers.as_mut().unwrap().own_bag.insert(key, "true".into());
    let (_, decision) = step(&relation("backend-database", RelationKind::Broken), facts);
    assert!(!touches_container(&decision));
}

#[test]
fn backend_broken_is_leader_yes_removes_what_was_authenticated() {
    let facts = FullFacts { backend: None, ..ready() };
    let (facts, decision) = step(&relation("backend-database", RelationKind::Broken), facts);
    assert!(has(&decision, "remove file"));
    let plan = facts.workload.as_ref().unwrap().plan.as_ref().unwrap();
    assert!(has(&decision, "replan"));
    assert_eq!(plan.services[names::EXPORTER].startup, Some(Startup::Disabled));
    let text = fixture::pushed(&decision, &names::ini(0));
    assert!(!text.contains("auth_query") && !text.contains("auth_file"));
    assert!(facts.secret.as_ref().unwrap().get(secret_keys::AUTH_FILE).is_none());
    assert!(!reported(&decision, Own::App, "cfg_file").unwrap().contains("auth_query"));
    assert_eq!(decision.status, Some(Status::blocked(NO_BACKEND)));
    check_settled(facts);
}

#[test]
fn backend_broken_is_leader_no_removes_its_files_only() {
    let facts = FullFacts { backend: None, ..follower() };
    let (_, decision) = step(&relation("backend-database", RelationKind::Broken), facts);
    assert!(has(&decision, "remove file"));
    assert!(!has(&decision, "put secret"));
}

#[test]
fn steps_have_no_secret_in_their_debug_text() {
    let facts = FullFacts { backend: Some(fixture::backend()), ..running() };
    let Step::Initialise(init) = backend::backend_changed(&facts, true) else {
        panic!("not initialising")
    };
    let password = init.secret.expose(secret_keys::ADMIN_PASSWORD).unwrap().to_owned();
    let (_, decision) = step(&Event::UpdateStatus, fixture::copy(&facts));
    assert!(!format!("{:?}", decision.effects).contains(&password));
}

/// A unit that is removed leaves its peers first, and PostgreSQL after that.
#[test]
fn a_unit_without_peers_that_leaves_takes_nothing_away() {
    for kind in [RelationKind::Departed, RelationKind::Broken] {
        let mut facts = ready();
        facts.peers = None;
        facts.backend.as_mut().unwrap().populated = false;
        let Event::Relation(event) = relation("backend-database", kind) else { unreachable!() };
        let departing_unit = Some(fixture::unit(0)).filter(|_| kind == RelationKind::Departed);
        let event = Event::Relation(RelationEvent { departing_unit, ..event });
        let (_, decision) = step(&event, facts);
        assert_eq!(decision.effects, [], "{kind:?}");
    }
}

#[test]
fn a_lookup_that_was_dropped_is_made_again() {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().knows_lookup = false;
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, "initialise"));
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

/// Every process verifies PostgreSQL by its CA while there is one, and no longer.
#[test]
fn a_backend_with_certificates_is_verified() {
    let mut facts = ready();
    let ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    facts.backend.as_mut().unwrap().ca = Some(ca.into());
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(fixture::pushed(&decision, names::SERVER_CA), ca);
    let ini = fixture::pushed(&decision, &names::ini(0)).to_owned();
    for line in ["server_tls_sslmode = verify-full", "server_tls_ca_file = /var/lib/pgbouncer"] {
        assert!(ini.contains(line), "{ini}");
    }
    check_settled(fixture::copy(&facts));
    facts.backend.as_mut().unwrap().ca = None;
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(fixture::pushed(&decision, &names::ini(0)).contains("server_tls_sslmode = prefer"));
}

/// A person dropped the schema, a backup was read in, or the text is one of an older charm.
#[test]
fn a_lookup_that_the_server_has_lost_is_made_anew() {
    let healed = |decision: &Decision<Effect>| {
        decision.effects.iter().find_map(|effect| match effect {
            Effect::InstallLookup(lookup) => Some(lookup.superusers.len()),
            _ => None,
        })
    };
    let warned = |decision: &Decision<Effect>| has(decision, "log: PostgreSQL has lost");
    let (mut facts, decision) = step(&Event::UpdateStatus, ready());
    assert_eq!(healed(&decision), None);
    for (found, says) in [(None, true), (Some("SELECT 1".to_owned()), false)] {
        facts.backend.as_mut().unwrap().lookup = found;
        let (next, decision) = step(&Event::UpdateStatus, facts);
        assert_eq!((healed(&decision), warned(&decision)), (Some(0), says), "{decision:?}");
        facts = next;
    }
    // It shows the superusers that clients ask to be, and no more once these are gone.
    let mut boss = fixture::client(7, "waltz");
    boss.request.as_mut().unwrap().roles = vec!["superuser".to_owned()];
    facts.clients = vec![boss];
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!((healed(&decision), warned(&decision)), (Some(1), false));
    facts.clients.clear();
    let (facts, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(healed(&decision), Some(0));
    check_settled(facts);
}
