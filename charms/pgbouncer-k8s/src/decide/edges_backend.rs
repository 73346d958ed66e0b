//! Every edge of the charts of the relation `backend-database`.

use charm::{Decision, Event, Own, RelationEvent, RelationKind, Status};
use interfaces::pgb_peers::{departing_key, secret_keys};
use pebble::{Layer, Startup};

use super::edges::{check_settled, facts_of, follower, has, told, touches_container};
use super::status::NO_BACKEND;
use super::{Step, backend};
use crate::effect::Effect;
use crate::facts::{Backend, FullFacts};
use crate::place;
use crate::testing::{self, BACKEND, ready, relation, running, step};

#[test]
fn backend_created_is_leader_yes_asks_for_a_superuser() {
    let waiting = Backend { requested: false, offered: false, ..testing::backend() };
    let facts = FullFacts { backend: Some(waiting), ..running() };
    let (_, decision) = step(&relation("backend-database", RelationKind::Created), facts);
    assert!(has(&decision, |effect| matches!(effect, Effect::Bag(BACKEND, Own::App, changes)
        if changes.iter().any(|(k, v)| (k, v) == ("extra-user-roles", "SUPERUSER")))));
}

#[track_caller]
fn check_step(edit: impl FnOnce(&mut FullFacts), running: bool, expected: &str) {
    let mut facts = FullFacts { backend: Some(testing::backend()), ..testing::running() };
    edit(&mut facts);
    assert_eq!(testing::name(&backend::step(&facts, running)), expected);
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
    assert_eq!(testing::name(&backend::step(&facts, true)), "ready");
}

#[test]
fn backend_changed_initialises_then_starts_the_exporter_then_saves() {
    let facts = FullFacts { backend: Some(testing::backend()), ..running() };
    let (facts, decision) = step(&relation("backend-database", RelationKind::Changed), facts);
    let position =
        |wanted: &dyn Fn(&Effect) -> bool| decision.effects.iter().position(wanted).unwrap();
    let order = [
        position(&|e| matches!(e, Effect::Announce(_))),
        position(&|e| matches!(e, Effect::Initialise(_))),
        position(&|e| matches!(e, Effect::Push(_))),
        position(&|e| matches!(e, Effect::Reload(_))),
        position(&|e| matches!(e, Effect::Replan(_))),
        position(&|e| matches!(e, Effect::PeerSecret(_))),
        position(&|e| matches!(e, Effect::Bag(..))),
    ];
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

fn departed(unit: Option<charm::UnitName>) -> Event {
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
    has(decision, |effect| matches!(effect, Effect::RemoveAuth(..)))
}

#[test]
fn backend_departed_is_this_unit_departing_yes_tells_its_peers() {
    let (_, decision) = step(&departed(Some(testing::unit(0))), deserted());
    let key = departing_key("backend-database", BACKEND);
    assert_eq!(told(&decision, Own::Unit, &key), Some("true"));
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
    assert_eq!(testing::name(&backend::step(&facts, true)), "not ready");
    facts.backend.as_mut().unwrap().populated = true;
    assert_eq!(testing::name(&backend::step(&facts, true)), "initialise");
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
    assert!(has(&decision, |effect| matches!(effect, Effect::RemoveFile(_))));
    let rests = |layer: &Layer| layer.services[place::EXPORTER].startup == Some(Startup::Disabled);
    assert!(has(&decision, |effect| matches!(effect, Effect::Replan(layer) if rests(layer))));
    let text = testing::pushed(&decision, &place::ini(0));
    assert!(!text.contains("auth_query") && !text.contains("auth_file"));
    assert!(facts.secret.as_ref().unwrap().get(secret_keys::AUTH_FILE).is_none());
    assert!(!told(&decision, Own::App, "cfg_file").unwrap().contains("auth_query"));
    assert_eq!(decision.status, Some(Status::blocked(NO_BACKEND)));
    check_settled(facts);
}

#[test]
fn backend_broken_is_leader_no_removes_its_files_only() {
    let facts = FullFacts { backend: None, ..follower() };
    let (_, decision) = step(&relation("backend-database", RelationKind::Broken), facts);
    assert!(has(&decision, |effect| matches!(effect, Effect::RemoveFile(_))));
    assert!(!has(&decision, |effect| matches!(effect, Effect::PeerSecret(_))));
}

#[test]
fn steps_have_no_secret_in_their_debug_text() {
    let facts = FullFacts { backend: Some(testing::backend()), ..running() };
    let Step::Initialise(init) = backend::step(&facts, true) else { panic!("not initialising") };
    let password = init.secret.expose(secret_keys::ADMIN_PASSWORD).unwrap().to_owned();
    let (_, decision) = step(&Event::UpdateStatus, facts_of(&facts));
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
        let departing_unit = Some(testing::unit(0)).filter(|_| kind == RelationKind::Departed);
        let event = Event::Relation(RelationEvent { departing_unit, ..event });
        let (_, decision) = step(&event, facts);
        assert_eq!(decision.effects, [], "{kind:?}");
    }
}

#[test]
fn primary_changed_is_same_yes_returns() {
    let facts = ready();
    assert!(!facts.peers.as_ref().unwrap().app_bag["cfg_file"].contains("timeline"));
    check_settled(facts);
}

#[test]
fn primary_changed_is_same_no_leaves_the_old_connections() {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().timeline = Some(2);
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    for index in 0..2 {
        let ini: pgbouncer::Ini = testing::pushed(&decision, &place::ini(index)).parse().unwrap();
        let query = |entry: &pgbouncer::Database| entry.connect_query.clone();
        let expected = Some("-- timeline 2".parse().unwrap());
        assert!(!ini.databases.is_empty());
        assert!(ini.databases.iter().all(|entry| query(entry) == expected), "{ini}");
    }
    let reload = Effect::Reload(vec![place::service(0), place::service(1)]);
    assert!(has(&decision, |effect| *effect == reload), "{:?}", decision.effects);
    assert!(!has(&decision, |effect| matches!(effect, Effect::Restart(_))));
    check_settled(facts);
}

#[test]
fn a_lookup_that_somebody_took_away_is_made_again() {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().knows_lookup = false;
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, |effect| matches!(effect, Effect::Initialise(_))));
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

/// Whoever vouches for PostgreSQL is asked by every process, and no longer than that.
#[test]
fn a_backend_with_certificates_is_verified() {
    let mut facts = ready();
    let ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    facts.backend.as_mut().unwrap().ca = Some(ca.into());
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(testing::pushed(&decision, place::SERVER_CA), ca);
    let ini = testing::pushed(&decision, &place::ini(0)).to_owned();
    for line in ["server_tls_sslmode = verify-full", "server_tls_ca_file = /var/lib/pgbouncer"] {
        assert!(ini.contains(line), "{ini}");
    }
    check_settled(facts_of(&facts));
    facts.backend.as_mut().unwrap().ca = None;
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(testing::pushed(&decision, &place::ini(0)).contains("server_tls_sslmode = prefer"));
}
