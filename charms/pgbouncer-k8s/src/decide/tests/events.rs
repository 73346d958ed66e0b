//! Secrets, upgrades, stops and departures, what is asked of processes, and what cannot be written.

use juju_charm::{Bag, Decision, Event, Hidden, Own, RelationEvent, RelationKind, Status, Write};
use juju_interfaces::pgb_peers::secret_keys;
use pooler_agent::Trace;
use pooler_agent::machine::Reason;
use serde_json::json;

use super::{check_settled, follower, has, list, reported, touches_container};
use crate::decide::decide;
use crate::effect::{ContainerEffect, Effect};
use crate::facts::{Facts, FullFacts};
use crate::fixture::{self, PEERS, client, ready, relation, running, step};
use crate::render::ini as shared;
use crate::settings::OptionsError;
use crate::wording::BACKEND_NOT_READY;
use crate::{names, settings};

fn secret_changed() -> Event {
    let label = juju_interfaces::pgb_peers::app_secret_label(&fixture::app());
    Event::SecretChanged { id: juju_charm_testing::secret_id(1), label: Some(label) }
}

#[test]
fn secret_changed_is_same_no_writes_the_list_and_reloads() {
    let mut facts = follower();
    let old = facts.secret.clone().unwrap();
    let list = old.expose(secret_keys::AUTH_FILE).unwrap().replace("SCRAM", "SCRAM-");
    facts.secret = Some(old.with(secret_keys::AUTH_FILE, list.clone()));
    let (facts, decision) = step(&secret_changed(), facts);
    let nonce = facts.peers.as_ref().unwrap().own.userlist_nonce.clone().unwrap();
    let path = names::auth_file(&fixture::app(), &nonce);
    assert_eq!(fixture::pushed(&decision, &path), list);
    assert!(has(&decision, "reload"));
    check_settled(facts);
}

#[test]
fn secret_changed_is_same_yes_writes_nothing() {
    assert_eq!(step(&secret_changed(), follower()).1.effects, []);
}

#[test]
fn secret_remove_is_labelled_no_returns() {
    let event =
        Event::SecretRemove { id: juju_charm_testing::secret_id(1), label: None, revision: 1 };
    assert_eq!(decide(&event, &Facts::None).effects, []);
}

#[test]
fn upgrade_charm_is_md5_yes_keeps_the_clients_users_and_passwords() {
    let mut facts = FullFacts { clients: vec![client(7, "waltz")], ..ready() };
    facts.clients[0].own = Bag::from([
        ("database".to_owned(), "waltz".to_owned()),
        ("secret-user".to_owned(), "secret:x".to_owned()),
    ]);
    facts.clients[0].password = Some(Hidden::from("known"));
    let list = "\"pgbouncer_auth_relation_id_3\" \"md5aad46d9afbcc8c8248d254d567b577c1\"";
    facts.secret = facts.secret.map(|secret| secret.with(secret_keys::AUTH_FILE, list));
    let (facts, decision) = step(&Event::UpgradeCharm, facts);
    let granted = decision.effects.iter().find_map(|effect| match effect {
        Effect::Grant(grant) => {
            Some((grant.account.request.user.to_string(), grant.account.password.clone()))
        }
        _ => None,
    });
    assert_eq!(granted, Some(("relation_id_7".to_owned(), Hidden::from("known"))));
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
    let backend = facts.backend.as_mut().unwrap();
    (backend.server, backend.answers) = (None, false);
    let (container, check) = (names::CONTAINER.parse().unwrap(), names::BACKEND_CHECK.to_owned());
    let (mut facts, decision) = step(&Event::PebbleCheckFailed { container, check }, facts);
    assert_eq!(decision.status, Some(Status::blocked(BACKEND_NOT_READY)));
    assert_eq!(seen(&decision).as_deref(), Some("away"), "the check fails once it is back");
    let (container, check) = (names::CONTAINER.parse().unwrap(), names::BACKEND_CHECK.to_owned());
    let held = Facts::Full(Box::new(FullFacts { held: Some(pause(facts.now)), ..facts.clone() }));
    let decision = decide(&Event::PebbleCheckFailed { container, check }, &held);
    assert_eq!(decision.status, Some(Status::waiting("paused for a switchover, 41 s left")));
    facts.backend = Some(fixture::backend());
    let (container, check) = (names::CONTAINER.parse().unwrap(), names::BACKEND_CHECK.to_owned());
    let (_, decision) = step(&Event::PebbleCheckFailed { container, check }, facts);
    assert_eq!(decision.status, Some(Status::active()));
    assert_eq!(seen(&decision).as_deref(), Some("ready"));
}

/// A pause that began four seconds ago.
fn pause(now: u64) -> Trace {
    let shown = json!({
        "began": (now - 4) * 1000,
        "cause": "Terminated",
        "longest": 45_000,
        "paused": null,
        "decided": null,
        "resumed": null,
        "reason": null,
        "cut_logins": 0,
        "failed": 0,
    });
    serde_json::from_value(shown).unwrap()
}

#[test]
fn the_last_pause_is_shown_step_by_step() {
    let mut trace = pause(100);
    (trace.paused, trace.decided, trace.resumed) = (Some(80), Some(610), Some(615));
    trace.reason = Some(Reason::NewPrimary);
    let event = Event::Action { name: "get-last-pause".into(), id: "1".into() };
    let shown = |shown| decide(&event, &Facts::LastPause(Box::new(shown)));
    let results: Vec<(String, String)> = shown(Ok(Some(trace)))
        .effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Juju(Write::ActionResult(key, value)) => Some((key, value.expose().to_owned())),
            _ => None,
        })
        .collect();
    let of =
        |name: &str| results.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(of("began-at-ms"), Some("96000"));
    assert_eq!(of("ended-because"), Some("a primary served again"));
    assert_eq!(
        [of("paused-ms"), of("decided-ms"), of("resumed-ms")],
        [Some("80"), Some("610"), Some("615")]
    );
    let failed = shown(Ok(None)).effects;
    assert!(matches!(&failed[..], [Effect::Juju(Write::ActionFail(_))]), "{failed:?}");
}

/// What the check of the backend shall compare with.
fn seen(decision: &Decision<Effect>) -> Option<String> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::Container(ContainerEffect::Replan(layer)) => {
            let command = &layer.checks[names::BACKEND_CHECK].exec.as_ref()?.command;
            command.rsplit(' ').next().map(str::to_owned)
        }
        _ => None,
    })
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
    let map = fixture::map(&[(7, "waltz")]);
    let (options, login) = (fixture::options(), fixture::login());
    let ini =
        shared::shared(&fixture::app(), &options, Some(&login), &map, &fixture::shape()).unwrap();
    facts.peers.as_mut().unwrap().app.cfg_file = Some(ini.to_string());
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(has(&decision, "reload"));
}

fn two_units() -> FullFacts {
    let facts = FullFacts { others: [1].into(), ..ready() };
    step(&relation("pgb-peers", RelationKind::Joined), facts).0
}

#[test]
fn peer_departed_is_listed_yes_takes_it_out() {
    let facts = FullFacts { others: Default::default(), ..two_units() };
    let (facts, decision) = step(&relation("pgb-peers", RelationKind::Departed), facts);
    let ini = fixture::pushed(&decision, &names::ini(0));
    assert!(ini.contains("\n2 = host=") && !ini.contains("\n5 = host="), "{ini}");
    assert!(has(&decision, "reload"));
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
        ..fixture::backend()
    });
    let (_, decision) = step(&relation("backend-database", RelationKind::Created), facts);
    let bags = list(&decision, "set");
    assert!(bags.iter().all(|text| text.starts_with(&format!("set unit {PEERS}:"))), "{bags:?}");
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
    assert_eq!(reported(&decision, Own::Unit, "database_7_departing"), None);
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
    assert_eq!(reported(&decision, Own::Unit, "private-address"), ours.as_deref());
}

/// Every reloaded process is asked whether it has read its file, and reloaded again if not.
#[test]
fn processes_that_reload_are_asked() {
    let confirm = |decision: &juju_charm::Decision<Effect>| {
        decision.effects.iter().find_map(|effect| match effect {
            Effect::Confirm(confirm) => Some((**confirm).clone()),
            _ => None,
        })
    };
    let mut facts = ready();
    let settings = vec![("query_wait_timeout".to_owned(), "60".to_owned())];
    facts.common.options.as_mut().unwrap().settings = settings;
    let (facts, decision) = step(&Event::ConfigChanged, facts);
    let reported = confirm(&decision).unwrap();
    let asked = reported.processes.iter().map(|(_, settings)| settings.get("query_wait_timeout"));
    assert_eq!(asked.collect::<Vec<_>>(), [Some("60"), Some("60")]);
    assert_eq!(reported.effective.settings.as_deref(), Some("query_wait_timeout=60"));
    assert_eq!(reported.owed.settings.as_deref(), Some(""));
    assert_eq!(reported.certificate, None);
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(confirm(&decision), None);
    facts.effective = reported.owed;
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, "reload"));
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
    assert!(fixture::pushed(&decision, &names::ini(0)).contains("pool_mode = transaction"));
    let said = "cannot use the option pgbouncer-settings: it takes settings other than pidfile";
    assert_eq!(decision.status, Some(Status::blocked(said)));
    assert_eq!(list(&decision, "log"), [format!("log: {said}")]);
}

/// A backend that names a host which no configuration could hold.
#[test]
fn a_configuration_that_cannot_be_written_is_named_and_the_processes_go_on() {
    let mut facts = ready();
    let login = facts.backend.as_mut().unwrap().login.as_mut().unwrap();
    login.primary.host = "primary\nadmin_users=somebody".to_owned();
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(!touches_container(&decision), "{decision:?}");
    assert!(
        !has(&decision, "keep effective") && reported(&decision, Own::App, "cfg_file").is_none()
    );
    let said = decision.status.unwrap();
    let begin = "cannot write PgBouncer's configuration: cannot write \"primary";
    assert_eq!((said.word(), said.message().starts_with(begin)), ("blocked", true), "{said:?}");
}
