//! The remaining edges: secrets, upgrade, stop, and the answers after which nothing is done.

use charm::{Bag, Event, Own, RelationEvent, RelationKind, Status};
use interfaces::pgb_peers::secret_keys;

use super::decide;
use super::edges::{check_settled, follower, has, told, touches_container};
use super::status::BACKEND_NOT_READY;
use crate::effect::Effect;
use crate::facts::{Facts, FullFacts};
use crate::options::OptionsError;
use crate::password::Password;
use crate::testing::{self, PEERS, client, ready, relation, running, step};
use crate::{place, settings, shared};

fn secret_changed() -> Event {
    let label = interfaces::pgb_peers::app_secret_label(&testing::app());
    Event::SecretChanged { id: charm::testing::secret_id(1), label: Some(label) }
}

#[test]
fn secret_changed_is_same_no_writes_the_list_and_reloads() {
    let mut facts = follower();
    let old = facts.secret.clone().unwrap();
    let list = old.expose(secret_keys::AUTH_FILE).unwrap().replace("SCRAM", "SCRAM-");
    facts.secret = Some(old.with(secret_keys::AUTH_FILE, list.clone()));
    let (facts, decision) = step(&secret_changed(), facts);
    let nonce = facts.peers.as_ref().unwrap().own.userlist_nonce.clone().unwrap();
    let path = place::auth_file(&testing::app(), &nonce);
    assert_eq!(testing::pushed(&decision, &path), list);
    assert!(has(&decision, |effect| matches!(effect, Effect::Reload(_))));
    check_settled(facts);
}

#[test]
fn secret_changed_is_same_yes_writes_nothing() {
    assert_eq!(step(&secret_changed(), follower()).1.effects, []);
}

#[test]
fn secret_remove_is_labelled_no_returns() {
    let event = Event::SecretRemove { id: charm::testing::secret_id(1), label: None, revision: 1 };
    assert_eq!(decide(&event, &Facts::None).effects, []);
}

#[test]
fn upgrade_charm_is_md5_yes_keeps_the_clients_users_and_passwords() {
    let mut facts = FullFacts { clients: vec![client(7, "waltz")], ..ready() };
    facts.clients[0].own = Bag::from([
        ("database".to_owned(), "waltz".to_owned()),
        ("secret-user".to_owned(), "secret:x".to_owned()),
    ]);
    facts.clients[0].password = Some(Password::from("known"));
    let list = "\"pgbouncer_auth_relation_id_3\" \"md5aad46d9afbcc8c8248d254d567b577c1\"";
    facts.secret = facts.secret.map(|secret| secret.with(secret_keys::AUTH_FILE, list));
    let (facts, decision) = step(&Event::UpgradeCharm, facts);
    let granted = decision.effects.iter().find_map(|effect| match effect {
        Effect::Grant(grant) => {
            Some((grant.account.user.to_string(), grant.account.password.clone()))
        }
        _ => None,
    });
    assert_eq!(granted, Some(("relation_id_7".to_owned(), Password::from("known"))));
    let list = facts.secret.as_ref().unwrap().expose(secret_keys::AUTH_FILE).unwrap();
    assert!(!list.contains("\"md5"), "the list is made anew");
}

#[test]
fn upgrade_charm_is_md5_no_changes_nothing() {
    assert_eq!(step(&Event::UpgradeCharm, ready()).1.effects, []);
}

#[test]
fn a_backend_that_is_back_is_used_at_once() {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().server = None;
    let (container, check) = (place::CONTAINER.parse().unwrap(), place::BACKEND_CHECK.to_owned());
    let (mut facts, decision) = step(&Event::PebbleCheckFailed { container, check }, facts);
    assert_eq!(decision.status, Some(Status::blocked(BACKEND_NOT_READY)));
    facts.backend = Some(testing::backend());
    let (container, check) = (place::CONTAINER.parse().unwrap(), place::BACKEND_CHECK.to_owned());
    let (_, decision) = step(&Event::PebbleCheckRecovered { container, check }, facts);
    assert_eq!(decision.status, Some(Status::active()));
}

#[test]
fn stop_leaves_everything_to_the_next_pod() {
    assert_eq!(decide(&Event::Stop, &Facts::None).effects, []);
}

#[test]
fn leader_elected_is_ours_yes_changes_nothing() {
    assert_eq!(step(&Event::LeaderElected, ready()).1.effects, []);
}

#[test]
fn peer_changed_is_changed_yes_reloads() {
    let mut facts = follower();
    let map = testing::map(&[(7, "waltz")]);
    let (options, login) = (testing::options(), testing::login());
    let ini =
        shared::shared(&testing::app(), &options, Some(&login), &map, &testing::shape()).unwrap();
    facts.peers.as_mut().unwrap().app.cfg_file = Some(ini.to_string());
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(has(&decision, |effect| matches!(effect, Effect::Reload(_))));
}

fn two_units() -> FullFacts {
    let facts = FullFacts { others: [1].into(), ..ready() };
    step(&relation("pgb-peers", RelationKind::Joined), facts).0
}

#[test]
fn peer_departed_is_listed_yes_takes_it_out() {
    let facts = FullFacts { others: Default::default(), ..two_units() };
    let (facts, decision) = step(&relation("pgb-peers", RelationKind::Departed), facts);
    let ini = testing::pushed(&decision, &place::ini(0));
    assert!(ini.contains("\n2 = host=") && !ini.contains("\n5 = host="), "{ini}");
    assert!(has(&decision, |effect| matches!(effect, Effect::Reload(_))));
    check_settled(facts);
}

#[test]
fn peer_departed_is_listed_no_changes_nothing() {
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Departed), two_units());
    assert!(!touches_container(&decision));
}

#[test]
fn backend_created_is_leader_no_asks_nothing() {
    let mut facts = running();
    facts.common.leader = false;
    facts.service = crate::facts::Service::Unread;
    facts.backend = Some(crate::facts::Backend {
        requested: true,
        offered: false,
        login: None,
        server: None,
        ..testing::backend()
    });
    let (_, decision) = step(&relation("backend-database", RelationKind::Created), facts);
    assert!(!has(&decision, |effect| matches!(effect, Effect::Bag(id, _, _) if *id != PEERS)));
}

#[test]
fn database_departed_is_this_unit_departing_no_returns() {
    let Event::Relation(event) = relation("database", RelationKind::Departed) else {
        unreachable!()
    };
    let departing_unit = "waltz/0".parse().ok();
    let event = Event::Relation(RelationEvent { departing_unit, ..event });
    let (_, decision) = step(&event, ready());
    assert_eq!(decision.effects, []);
    assert_eq!(told(&decision, Own::Unit, "database_7_departing"), None);
}

/// Juju writes the pod's address into the bag after each config-changed.
#[test]
fn jujus_own_address_is_written_over_by_events_of_the_peers_only() {
    let mut facts = two_units();
    let bag = &mut facts.peers.as_mut().unwrap().own_bag;
    let ours = bag.insert("private-address".into(), "10.1.0.5".into());
    let (facts, decision) = step(&Event::ConfigChanged, facts);
    assert_eq!(decision.effects, []);
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert_eq!(told(&decision, Own::Unit, "private-address"), ours.as_deref());
}

/// Every process that is told to read its file is asked whether it has, and what one has not
/// taken is told again.
#[test]
fn processes_that_are_told_are_asked() {
    let confirm = |decision: &charm::Decision<Effect>| {
        decision.effects.iter().find_map(|effect| match effect {
            Effect::Confirm(confirm) => Some((**confirm).clone()),
            _ => None,
        })
    };
    let mut facts = ready();
    let settings = vec![("query_wait_timeout".to_owned(), "60".to_owned())];
    facts.common.options.as_mut().unwrap().settings = settings;
    let (facts, decision) = step(&Event::ConfigChanged, facts);
    let told = confirm(&decision).unwrap();
    let asked = told.processes.iter().map(|(_, settings)| settings.get("query_wait_timeout"));
    assert_eq!(asked.collect::<Vec<_>>(), [Some("60"), Some("60")]);
    assert_eq!(told.effective.settings.as_deref(), Some("query_wait_timeout=60"));
    assert_eq!(told.owed.settings.as_deref(), Some(""));
    assert_eq!(told.certificate, None);
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(confirm(&decision), None);
    facts.effective = told.owed;
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(decision.effects.iter().any(|effect| matches!(effect, Effect::Reload(_))));
    assert!(confirm(&decision).is_some());
}

/// Settings that are refused leave those of before in force, and keep nothing else from going on.
#[test]
fn refused_settings_are_named_and_hold_nothing_else_back() {
    let mut facts = ready();
    let expected = "settings other than pidfile".into();
    facts.common.refused = Some(OptionsError { option: settings::OPTION, expected });
    facts.common.options.as_mut().unwrap().pool_mode = "transaction".into();
    let (_, decision) = step(&Event::ConfigChanged, facts);
    assert!(testing::pushed(&decision, &place::ini(0)).contains("pool_mode = transaction"));
    let said = "cannot use the option pgbouncer-settings: it takes settings other than pidfile";
    assert_eq!(decision.status, Some(Status::blocked(said)));
    let warned = |effect: &Effect| matches!(effect, Effect::Warn(text) if text == said);
    assert!(decision.effects.iter().any(warned));
}
