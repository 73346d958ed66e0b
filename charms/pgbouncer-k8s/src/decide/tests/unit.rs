//! The charts of the unit and its peers.

use charm_kit::credentials::Seed;
use juju_charm::{Decision, Event, Own, RelationKind, Status};
use juju_interfaces::pgb_peers::{departing_key, secret_keys};
use postgres::Pause;

use super::{check_settled, follower, has, list, reported, touches_container};
use crate::effect::Effect;
use crate::facts::{FullFacts, Service, ServiceView};
use crate::fixture::{self, fresh, pebble_ready, ready, relation, running, step};
use crate::names;
use crate::render::ini as shared;
use crate::settings::OptionsError;
use crate::wording::{
    BACKEND_NOT_READY, CONFIGURATION, NO_BACKEND, NO_CONTAINER, NOT_RUNNING, SERVICE_COMING,
    SERVICE_DOWN, no_trust,
};

fn starts(decision: &Decision<Effect>) -> bool {
    has(decision, "replan")
}

#[track_caller]
fn check_status(event: &Event, facts: FullFacts, expected: Status) {
    assert_eq!(step(event, facts).1.status, Some(expected));
}

#[test]
fn pebble_ready_is_valid_yes_starts_everything_in_one_change() {
    let (facts, decision) = step(&pebble_ready(), fresh());
    assert_eq!(list(&decision, "replan"), ["replan"]);
    let version = format!("version {}", pgbouncer::Version::TRIXIE);
    assert_eq!(list(&decision, "version"), [version]);
    assert_eq!(reported(&decision, Own::Unit, "container_initialised"), Some("True"));
    assert_eq!(decision.status, Some(Status::blocked(NO_BACKEND)));
    check_settled(facts);
}

#[test]
fn pebble_ready_is_valid_no_starts_nothing() {
    let mut facts = fresh();
    facts.common.options = Err(OptionsError { option: "listen_port", expected: "a port".into() });
    let (_, decision) = step(&pebble_ready(), facts);
    assert!(!touches_container(&decision));
    assert_eq!(decision.status, Some(Status::blocked(CONFIGURATION)));
}

#[test]
fn pebble_ready_again_after_a_container_restart_starts_everything_again() {
    let mut facts = ready();
    let workload = facts.workload.as_mut().unwrap();
    *workload = Default::default();
    facts.seed = Seed::new([8; 32], names::PASSWORD_LENGTH);
    let (facts, decision) = step(&pebble_ready(), facts);
    assert!(starts(&decision));
    assert!(reported(&decision, Own::Unit, "userlist_nonce").is_some());
    check_settled(facts);
}

#[test]
fn config_changed_is_leader_no_renders_its_own_processes_only() {
    let mut facts = ready();
    facts.common.leader = false;
    facts.service = Service::Unread;
    facts.common.options.as_mut().unwrap().pool_mode = "transaction".into();
    let (_, decision) = step(&Event::ConfigChanged, facts);
    assert!(fixture::pushed(&decision, &names::ini(0)).contains("pool_mode = transaction"));
    assert!(has(&decision, "reload"));
    assert_eq!(reported(&decision, Own::App, "cfg_file"), None);
}

#[test]
fn config_changed_is_leader_yes_renders_publishes_and_reloads() {
    let mut facts = ready();
    facts.common.options.as_mut().unwrap().pool_mode = "transaction".into();
    let (facts, decision) = step(&Event::ConfigChanged, facts);
    assert!(reported(&decision, Own::App, "cfg_file").unwrap().contains("pool_mode = transaction"));
    let services = [names::service(0), names::service(1)].join(" ");
    assert_eq!(list(&decision, "reload"), [format!("reload {services}")]);
    assert!(!has(&decision, "restart"));
    check_settled(facts);
}

#[test]
fn config_changed_is_restart_yes_one_process_after_another() {
    let mut facts = ready();
    facts.common.options.as_mut().unwrap().listen_port = 6464;
    let (facts, decision) = step(&Event::ConfigChanged, facts);
    let expected = [0, 1].map(|index| format!("restart {}", names::service(index)));
    assert_eq!(list(&decision, "restart"), expected);
    assert!(!has(&decision, "reload"));
    assert_eq!(list(&decision, "apply"), ["apply service pgbouncer-k8s-service 6464"]);
    assert_eq!(reported(&decision, Own::App, "current_port"), Some("6464"));
    check_settled(facts);
}

#[test]
fn config_changed_is_restart_no_takes_the_mildest_means() {
    let mut facts = ready();
    let set = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    facts.common.options.as_mut().unwrap().settings = set("query_wait_timeout", "60");
    let (mut facts, decision) = step(&Event::ConfigChanged, facts);
    assert!(fixture::pushed(&decision, &names::ini(1)).contains("query_wait_timeout = 60"));
    assert!(has(&decision, "reload"));
    check_settled(fixture::copy(&facts));
    facts.common.options.as_mut().unwrap().settings = set("unix_socket_mode", "0700");
    let (_, decision) = step(&Event::ConfigChanged, facts);
    assert!(has(&decision, "restart"));
}

#[test]
fn config_changed_is_container_no_waits() {
    let mut facts = ready();
    facts.workload = None;
    let (_, decision) = step(&Event::ConfigChanged, facts);
    assert!(!touches_container(&decision));
}

#[test]
fn config_changed_is_valid_no_leaves_the_poolers_alone() {
    let mut facts = ready();
    facts.common.options = Err(OptionsError { option: "pool_mode", expected: "session".into() });
    let (_, decision) = step(&Event::ConfigChanged, facts);
    assert!(!touches_container(&decision));
    assert!(list(&decision, "log").concat().contains("pool_mode"));
    assert_eq!(reported(&decision, Own::App, "cfg_file"), None);
    assert_eq!(decision.status, Some(Status::blocked(CONFIGURATION)));
}

#[test]
fn a_hook_that_failed_between_writing_and_telling_is_made_up_for() {
    let mut facts = ready();
    facts.effective.ini = "before".into();
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, "reload"));
    let mut facts = ready();
    facts.effective.port = "6464".into();
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, "restart"));
    let mut facts = ready();
    facts.effective.layer = "before".into();
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert!(has(&decision, "replan"));
}

#[test]
fn update_status_is_backend_no_is_blocked() {
    check_status(&Event::UpdateStatus, running(), Status::blocked(NO_BACKEND));
}

#[test]
fn update_status_is_ready_no_is_blocked() {
    let mut facts = ready();
    facts.backend.as_mut().unwrap().server = None;
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(decision.status, Some(Status::blocked(BACKEND_NOT_READY)));
    assert!(!touches_container(&decision), "the poolers keep their configuration");
    check_settled(facts);
}

#[test]
fn update_status_is_active_yes_is_active() {
    check_status(&Event::UpdateStatus, ready(), Status::active());
    check_settled(ready());
}

#[test]
fn update_status_is_paused_no_is_active() {
    check_status(&Event::UpdateStatus, ready(), Status::active());
}

#[test]
fn update_status_is_paused_yes_names_the_process() {
    let check = |pause, whom: &str| {
        let facts = FullFacts { paused: Some((1, pause)), ..ready() };
        let paused = format!(
            "PgBouncer process 1 is paused and holds {whom}: RESUME on its console ends that"
        );
        let (facts, decision) = step(&Event::UpdateStatus, facts);
        assert_eq!(decision.status, Some(Status::blocked(paused.clone())));
        // Whatever comes next, until there is none.
        let (facts, decision) = step(&Event::ConfigChanged, facts);
        assert_eq!((decision.status, facts.was_paused), (Some(Status::blocked(paused)), true));
        let (facts, decision) = step(&Event::ConfigChanged, FullFacts { paused: None, ..facts });
        assert_eq!((decision.status, facts.was_paused), (Some(Status::active()), false));
        check_settled(facts);
    };
    check(Pause::Everything, "all clients");
    let names = ["shop", "waltz"].map(str::to_owned);
    check(Pause::Databases(names.to_vec()), "the clients of shop, waltz");
}

#[test]
fn update_status_is_container_no_is_waiting() {
    let mut facts = ready();
    facts.workload = None;
    facts.common.leader = false;
    facts.service = Service::Unread;
    check_status(&Event::UpdateStatus, facts, Status::waiting(NO_CONTAINER));
}

#[test]
fn update_status_is_active_no_starts_it() {
    let mut facts = ready();
    facts.workload.as_mut().unwrap().active.remove(&names::service(1));
    assert!(starts(&step(&Event::UpdateStatus, facts).1));
}

#[test]
fn update_status_not_running_is_waiting() {
    let mut facts = ready();
    facts.common.leader = false;
    facts.service = Service::Unread;
    facts.workload = Some(Default::default());
    check_status(&Event::UpgradeCharm, facts, Status::waiting(NOT_RUNNING));
}

#[test]
fn update_status_updates_the_leader_in_the_peer_databag() {
    let mut facts = ready();
    facts.peers.as_mut().unwrap().app_bag.insert("leader_hostname".into(), "old".into());
    let (_, decision) = step(&Event::UpdateStatus, facts);
    let name = "pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m.svc.cluster.local";
    assert_eq!(reported(&decision, Own::App, "leader_hostname"), Some(name));
}

#[test]
fn leader_elected_is_ours_no_updates_the_leader_and_the_service() {
    let mut facts = ready();
    facts.peers.as_mut().unwrap().app_bag.insert("leader_hostname".into(), "old".into());
    facts.service = Service::Absent;
    let (_, decision) = step(&Event::LeaderElected, facts);
    assert!(reported(&decision, Own::App, "leader_hostname").is_some());
    assert!(has(&decision, "apply service"));
}

#[test]
fn service_without_trust_is_blocked() {
    let facts = FullFacts { service: Service::Forbidden, ..ready() };
    check_status(&Event::UpdateStatus, facts, Status::blocked(no_trust("pgbouncer-k8s")));
    assert_eq!(no_trust("pgb"), "Insufficient permissions, try: `juju trust pgb --scope=cluster`");
}

#[test]
fn service_that_does_not_answer_is_reported() {
    let view = |facts: &FullFacts| match &facts.service {
        Service::Present(view) => ServiceView { connectable: false, ..view.clone() },
        _ => panic!("no Service"),
    };
    let service = Service::Present(view(&ready()));
    let facts = FullFacts { service, ..ready() };
    check_status(&Event::UpdateStatus, fixture::copy(&facts), Status::blocked(SERVICE_DOWN));
    let facts = FullFacts { service: Service::Unreachable, ..facts };
    check_status(&Event::ConfigChanged, facts, Status::maintenance(SERVICE_COMING));
}

#[test]
fn peer_created_saves_the_hostname() {
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Created), fresh());
    let name = "pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m.svc.cluster.local";
    assert_eq!(reported(&decision, Own::Unit, "private-address"), Some(name));
}

#[test]
fn peer_created_is_leader_no_publishes_nothing() {
    let mut facts = fresh();
    facts.common.leader = false;
    facts.service = Service::Unread;
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Created), facts);
    assert!(!has(&decision, "set app"));
}

#[test]
fn peer_created_is_leader_yes_publishes_the_configuration() {
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Created), fresh());
    assert!(reported(&decision, Own::App, "cfg_file").unwrap().contains("[databases]"));
}

#[test]
fn peer_created_is_backend_ready_no_has_no_auth_file() {
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Created), fresh());
    assert!(!has(&decision, "put secret"));
}

#[test]
fn peer_created_is_backend_ready_yes_puts_the_auth_file_into_the_secret() {
    let facts = FullFacts { backend: Some(fixture::backend()), ..running() };
    let (facts, decision) = step(&relation("pgb-peers", RelationKind::Created), facts);
    assert!(has(&decision, "put secret"));
    assert!(facts.secret.unwrap().get(secret_keys::AUTH_FILE).is_some());
    assert!(!list(&decision, "set").concat().contains("SCRAM"));
}

#[test]
fn peer_changed_is_leader_yes_updates_configuration_and_hostname() {
    let mut facts = ready();
    facts.peers.as_mut().unwrap().app_bag.clear();
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(reported(&decision, Own::App, "cfg_file").is_some());
    assert!(reported(&decision, Own::App, "leader_hostname").is_some());
}

#[test]
fn peer_changed_is_cfg_in_databag_yes_saves_it_and_answers_with_its_digest() {
    let mut facts = follower();
    let map = fixture::map(&[(7, "waltz")]);
    let login = fixture::login();
    let options = fixture::options();
    let ini =
        shared::shared(&fixture::app(), &options, Some(&login), &map, &fixture::shape()).unwrap();
    let peers = facts.peers.as_mut().unwrap();
    peers.app.cfg_file = Some(ini.to_string());
    peers.databases = Some(map.clone());
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(fixture::pushed(&decision, &names::ini(0)).contains("waltz = host="));
    assert!(has(&decision, "reload"));
    assert_eq!(reported(&decision, Own::Unit, "pgb_dbs"), Some(map.digest().as_str()));
}

#[test]
fn peer_changed_is_cfg_in_databag_no_keeps_its_own() {
    let mut facts = follower();
    facts.peers.as_mut().unwrap().app.cfg_file = Some("nonsense".into());
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(!touches_container(&decision));
    assert!(has(&decision, "log"));
}

#[test]
fn peer_changed_is_auth_in_secret_yes_saves_it() {
    let mut facts = follower();
    facts.workload.as_mut().unwrap().files.retain(|path, _| !path.starts_with("/dev/shm"));
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    let mut files = fixture::files(&decision);
    assert!(files.any(|f| f.path.starts_with("/dev/shm/pgbouncer-k8s_") && f.mode == 0o400));
}

#[test]
fn peer_changed_is_auth_in_secret_no_is_not_ready() {
    let mut facts = follower();
    facts.secret = None;
    check_status(
        &relation("pgb-peers", RelationKind::Changed),
        facts,
        Status::blocked(BACKEND_NOT_READY),
    );
}

#[test]
fn peer_changed_is_changed_no_reloads_nothing() {
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), follower());
    assert!(!touches_container(&decision));
    assert_eq!(decision.status, Some(Status::active()));
}

#[test]
fn pebble_ready_clears_the_flags_of_an_earlier_life() {
    let mut facts = ready();
    let key = departing_key("database", fixture::CLIENT);
    facts.peers.as_mut().unwrap().own_bag.insert(key.clone(), "true".into());
    let (_, decision) = step(&pebble_ready(), facts);
    assert_eq!(reported(&decision, Own::Unit, &key), Some(""));
}
