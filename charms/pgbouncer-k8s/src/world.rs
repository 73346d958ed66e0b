//! Transitions of the whole charm in the framework's World, where no container, server
//! or cluster answers.

use charm_kit::certificates::{KeyError, SET_KEY};
use juju_charm::{Event, SecretOwner, Status};
use juju_charm_testing::{Ran, Relation, World, secret_id};
use juju_interfaces::pgb_peers::secret_keys;

use crate::PgBouncer;
use crate::wording::{BACKEND_NOT_READY, CONFIGURATION, NO_BACKEND, NO_CONTAINER};

const METADATA: &str = include_str!("../metadata.yaml");
const CONFIG: &str = include_str!("../config.yaml");
const ACTIONS: &str = include_str!("../actions.yaml");

pub(crate) fn world() -> World {
    World::new(METADATA, "pgbouncer-k8s/0")
        .unwrap()
        .config_yaml(CONFIG)
        .actions_yaml(ACTIONS)
        .relation(Relation::new(1, "pgb-peers", "pgbouncer-k8s"))
}

pub(crate) fn backend() -> Relation {
    Relation::new(3, "backend-database", "postgresql-k8s").unit("postgresql-k8s/0", &[])
}

/// Tool calls of a unit's first hook, which remembers for the later ones.
const FIRST: usize = 20;

#[track_caller]
pub(crate) fn run(world: World, event: &Event) -> Ran {
    let ran = world.run(PgBouncer::default(), event).unwrap();
    assert_eq!(ran.result, Ok(()));
    ran
}

#[track_caller]
fn check(world: World, event: &Event, expected: Status, tools: usize) -> World {
    let ran = run(world, event);
    assert_eq!(ran.world.status(), Some(expected));
    let called = ran.tools.len();
    assert!(called <= tools, "{} calls {called} tools: {:?}", event.name(), ran.tools);
    assert_eq!(ran.world.deferred().iter().count(), 0);
    ran.world
}

#[test]
fn start_without_container_waits() {
    check(world().leader(), &Event::Start, Status::waiting(NO_CONTAINER), 8);
}

#[test]
fn leader_publishes_what_its_peers_need() {
    let world = check(world().leader(), &Event::LeaderElected, Status::blocked(NO_BACKEND), FIRST);
    assert!(world.app_bag(1)["cfg_file"].contains("[pgbouncer]"));
    assert!(world.app_bag(1)["leader_hostname"].starts_with("pgbouncer-k8s-0."));
    let ran = run(world, &Event::UpdateStatus);
    assert_eq!(ran.calls("relation-set") + ran.calls("status-set"), 0, "{:?}", ran.tools);
}

#[test]
fn steady_hooks_stay_within_their_budgets_and_write_nothing() {
    let client = Relation::new(7, "database", "waltz").remote(&[("database", "waltz")]);
    let first = world().leader().relation(backend()).relation(client);
    let mut world = run(first, &Event::LeaderElected).world;
    for (event, budget) in [
        (Event::Start, 8),
        (Event::ConfigChanged, 14),
        (Event::UpdateStatus, 12),
        (Event::LeaderElected, 14),
    ] {
        // Twice: the first may have something new to remember.
        world = run(world, &event).world;
        let ran = run(world, &event);
        assert!(ran.tools.len() <= budget, "{} calls {:?}", event.name(), ran.tools);
        let writes = ["relation-set", "state-set", "state-delete", "status-set", "secret-set"];
        assert!(writes.iter().all(|tool| ran.calls(tool) == 0), "{:?}", ran.tools);
        world = ran.world;
    }
}

#[test]
fn a_bag_that_another_leader_wrote_is_not_trusted() {
    let relation = Relation::new(7, "database", "waltz").remote(&[("database", "waltz")]);
    let world = run(world().leader().relation(relation.clone()), &Event::LeaderElected).world;
    assert_eq!(run(world.clone(), &Event::UpdateStatus).calls("relation-get"), 2);
    let other = Relation::new(1, "pgb-peers", "pgbouncer-k8s")
        .own_app(&[("leader_hostname", "pgbouncer-k8s-1.somewhere")]);
    let ran = run(world.without_relation(1).relation(other), &Event::UpdateStatus);
    assert_eq!(ran.calls("relation-get"), 3, "{:?}", ran.tools);
    assert!(ran.world.app_bag(1)["leader_hostname"].starts_with("pgbouncer-k8s-0."));
}

/// Juju does not promise in which order the relations of a removed unit end.
#[test]
fn a_unit_that_knows_that_it_leaves_ends_nothing() {
    let client = Relation::new(7, "database", "waltz").remote(&[("database", "waltz")]);
    let broken = client.broken().unwrap();
    let peers = Relation::new(1, "pgb-peers", "pgbouncer-k8s").unit("pgbouncer-k8s/1", &[]);
    let reported = peers.departing("pgbouncer-k8s/1", "pgbouncer-k8s/0").unwrap();
    let world = run(world().leader().relation(client), &Event::LeaderElected).world;
    let world = run(world, &reported).world;
    for event in [Event::LeaderElected, Event::UpdateStatus, broken] {
        let ran = run(world.clone(), &event);
        let writes = ["relation-set", "secret-set", "secret-remove", "status-set"];
        assert!(writes.iter().all(|tool| ran.calls(tool) == 0), "{:?}", ran.tools);
    }
}

#[test]
fn metrics_joined_is_leader_yes_tells_of_every_exporter() {
    let relation = Relation::new(8, "metrics-endpoint", "prometheus");
    let event = relation.created().unwrap();
    let reported = run(world().leader().relation(relation.clone()), &event).world;
    assert!(reported.app_bag(8)["scrape_jobs"].contains("*:9127"), "{:?}", reported.app_bag(8));
    assert!(reported.app_bag(8)["scrape_metadata"].contains("pgbouncer-k8s"));
    assert!(reported.app_bag(8)["alert_rules"].contains("PgbouncerDown"));
    assert!(!reported.app_bag(8)["alert_rules"].contains("%%"));
    assert!(reported.unit_bag(8)["prometheus_scrape_unit_address"].starts_with("pgbouncer-k8s-0."));
    // The previous leader went before it had written to them.
    let follower = run(world().relation(relation), &event).world;
    assert!(follower.app_bag(8).is_empty());
    let late = run(follower.leader(), &Event::LeaderElected).world;
    assert!(late.app_bag(8).contains_key("scrape_jobs"));
}

#[test]
fn metrics_joined_is_leader_no_tells_of_itself() {
    let relation = Relation::new(8, "metrics-endpoint", "prometheus");
    let event = relation.created().unwrap();
    let reported = run(world().relation(relation), &event).world;
    assert!(reported.app_bag(8).is_empty());
    assert_eq!(reported.unit_bag(8)["prometheus_scrape_unit_name"], "pgbouncer-k8s/0");
}

#[test]
fn dashboard_joined_is_leader_yes_offers_them() {
    let relation = Relation::new(8, "grafana-dashboard", "grafana");
    let event = relation.created().unwrap();
    let first = run(world().leader().relation(relation.clone()), &event);
    let offered = first.world.app_bag(8)["dashboards"].clone();
    assert!(offered.contains("file:pgbouncer"), "{offered}");
    // It says the same as long as nothing changes.
    let again = run(run(first.world, &Event::UpgradeCharm).world, &Event::UpgradeCharm);
    assert_eq!(again.calls("relation-set"), 0, "{:?}", again.tools);
    assert_eq!(again.world.app_bag(8)["dashboards"], offered);
    let late = run(run(world().relation(relation), &event).world.leader(), &Event::LeaderElected);
    assert!(late.world.app_bag(8).contains_key("dashboards"));
}

#[test]
fn dashboard_joined_is_leader_no_does_nothing() {
    let relation = Relation::new(8, "grafana-dashboard", "grafana");
    let event = relation.created().unwrap();
    let ran = run(world().relation(relation), &event);
    assert_eq!(ran.calls("relation-set"), 0, "{:?}", ran.tools);
    assert!(ran.world.app_bag(8).is_empty());
}

/// Without an issuer nothing is asked about certificates; with one a steady hook reads one secret.
#[test]
fn a_unit_asks_its_issuer_once_for_a_certificate() {
    let first = world().leader().relation(backend());
    let before = run(run(first.clone(), &Event::UpdateStatus).world, &Event::UpdateStatus);
    let issuer = Relation::new(9, "certificates", "issuer");
    let asked = run(first.relation(issuer.clone()), &issuer.created().unwrap());
    let bag = asked.world.unit_bag(9)["certificate_signing_requests"].clone();
    assert!(bag.contains("BEGIN CERTIFICATE REQUEST"), "{bag}");
    assert!(!bag.contains("PRIVATE KEY"), "{bag}");
    let steady = run(run(asked.world, &Event::UpdateStatus).world, &Event::UpdateStatus);
    assert_eq!(steady.tools.len(), before.tools.len() + 1, "{:?}", steady.tools);
    let again = run(steady.world, &Event::ConfigChanged).world;
    assert_eq!(again.unit_bag(9)["certificate_signing_requests"], bag);
    let ended = run(again, &issuer.broken().unwrap());
    assert_eq!(ended.calls("secret-remove"), 1);
    let after = run(ended.world, &Event::UpdateStatus);
    assert_eq!(after.tools.len(), before.tools.len(), "{:?}", after.tools);
}

#[test]
fn follower_writes_its_own_bag_only() {
    let created = Relation::new(1, "pgb-peers", "pgbouncer-k8s").created().unwrap();
    let world = check(world(), &created, Status::blocked(NO_BACKEND), FIRST);
    assert!(world.app_bag(1).is_empty());
    // In the place of Juju's own value.
    assert!(world.unit_bag(1)["private-address"].starts_with("pgbouncer-k8s-0."));
}

#[test]
fn a_bad_option_is_blocked_until_it_is_mended() {
    let bad = world().leader().config("pool_mode", "abcXYZ123");
    let world = check(bad, &Event::ConfigChanged, Status::blocked(CONFIGURATION), FIRST);
    let mended = world.config("pool_mode", "session");
    check(mended, &Event::ConfigChanged, Status::blocked(NO_BACKEND), 14);
}

#[test]
fn the_request_for_a_backend_is_written_once() {
    let relation = Relation::new(3, "backend-database", "postgresql-k8s");
    let event = relation.created().unwrap();
    let world = world().leader().relation(relation);
    let world = check(world, &event, Status::blocked(NO_BACKEND), 30);
    assert_eq!(world.app_bag(3)["extra-user-roles"], "SUPERUSER");
    assert_eq!(world.app_bag(3)["database"], "pgbouncer");
    assert!(world.unit_bag(3).contains_key("requested-secrets"));
    let ran = run(world, &Event::UpdateStatus);
    assert_eq!(ran.calls("relation-set"), 0);
}

#[test]
fn a_backend_whose_server_is_away_is_not_ready() {
    let id = secret_id(9);
    let relation = backend().remote(&[
        ("endpoints", "127.0.0.1:1"),
        ("secret-user", &id.to_string()),
        ("version", "17.5"),
    ]);
    let event = relation.changed(None).unwrap();
    let content = [("username", "relation_id_3"), ("password", "hunter2")];
    let world = world().leader().relation(relation).remote_secret(&id, &content);
    // Nothing can be initialised while PgBouncer does not run, so that comes first.
    let ran = run(world, &event);
    let logs = format!("{:?}", ran.logs);
    assert!(logs.contains("127.0.0.1:1") && !logs.contains("hunter2"), "{logs}");
    assert_eq!(ran.world.status(), Some(Status::waiting(NO_CONTAINER)));
    assert!(!format!("{:?}", ran.world.app_bag(1)).contains("hunter2"));
}

/// Juju 4 may send this before the peers' relation is there, and with nothing in the bag.
#[test]
fn an_empty_backend_bag_is_waited_for_with_and_without_peers() {
    let without = World::new(METADATA, "pgbouncer-k8s/0").unwrap().config_yaml(CONFIG);
    for world in [world().leader(), without.clone().leader(), without, world()] {
        let relation = backend();
        let event = relation.changed(None).unwrap();
        let ran = run(world.relation(relation), &event);
        assert_eq!(ran.world.status(), Some(Status::blocked(NO_BACKEND)));
    }
}

/// PgBouncer's own certificates come and go while it is scaled to zero and back: the offer of
/// TLS without certificates is named, and mended by the next one.
#[test]
fn certificates_of_the_backend_that_are_none_are_named() {
    let (user, tls) = (secret_id(9), secret_id(10));
    let relation = backend().remote(&[
        ("endpoints", "127.0.0.1:1"),
        ("secret-user", &user.to_string()),
        ("secret-tls", &tls.to_string()),
    ]);
    let event = relation.changed(None).unwrap();
    let content = [("username", "relation_id_3"), ("password", "hunter2")];
    let world = world().leader().relation(relation).remote_secret(&user, &content);
    let bad = world.clone().remote_secret(&tls, &[("tls", "True"), ("tls-ca", "nonsense")]);
    let ran = run(bad, &event);
    assert_eq!(ran.world.status(), Some(Status::blocked(NO_BACKEND)));
    assert!(format!("{:?}", ran.logs).contains("tls-ca"), "{:?}", ran.logs);
    let off = world.remote_secret(&tls, &[("tls", "False"), ("tls-ca", "")]);
    assert_eq!(run(off, &event).world.status(), Some(Status::waiting(NO_CONTAINER)));
}

#[test]
fn nonsense_from_the_backend_is_named() {
    let relation = backend().remote(&[("endpoints", "host:-1")]);
    let event = relation.changed(None).unwrap();
    let ran = run(world().leader().relation(relation), &event);
    assert_eq!(ran.world.status(), Some(Status::blocked(NO_BACKEND)));
    assert!(format!("{:?}", ran.logs).contains("endpoints"));
}

#[test]
fn nonsense_from_the_backend_heals_when_it_is_mended() {
    let id = secret_id(9);
    let bad = backend().remote(&[("endpoints", "[::1"), ("secret-user", "secret:short")]);
    let event = bad.changed(None).unwrap();
    let ran = run(world().leader().relation(bad), &event);
    assert_eq!(ran.world.status(), Some(Status::blocked(NO_BACKEND)));
    let secret = id.to_string();
    let good = backend().remote(&[("endpoints", "127.0.0.1:1"), ("secret-user", &secret)]);
    let content = [("username", "relation_id_3"), ("password", "hunter2")];
    let world = ran.world.without_relation(3).relation(good).remote_secret(&id, &content);
    // The offer is understood now; what is missing next is the container.
    assert_eq!(run(world, &event).world.status(), Some(Status::waiting(NO_CONTAINER)));
}

#[test]
fn a_bag_full_of_anything_is_no_burden() {
    let full = "é".repeat(6 << 20);
    let client = |id, key| {
        let asks = [("database", "waltz"), (key, full.as_str())];
        Relation::new(id, "database", "waltz").unit("waltz/0", &[]).remote(&asks)
    };
    let event = client(7, "anything").changed(None).unwrap();
    let ran = run(world().leader().relation(client(7, "anything")), &event);
    let waiting = Status::waiting("waiting for backend-database relation to connect");
    assert_eq!(ran.world.status(), Some(waiting));
    let ran = run(world().leader().relation(client(7, "extra-user-roles")), &event);
    let said = ran.world.status().unwrap();
    let words = "Failed to initialize relation database: waltz (relation 7): cannot use \
        \"extra-user-roles\": a request may have 65536 bytes";
    assert!(said.message().starts_with(words), "{said:?}");
}

#[test]
fn a_backend_whose_secret_may_not_be_read_is_not_ready() {
    let id = secret_id(9).to_string();
    let relation = backend().remote(&[("endpoints", "127.0.0.1:1"), ("secret-user", &id)]);
    let event = relation.changed(None).unwrap();
    let ran = run(world().leader().relation(relation), &event);
    assert_eq!(ran.world.status(), Some(Status::waiting(NO_CONTAINER)));
}

#[test]
fn nonsense_from_a_client_is_named_and_heals_when_it_is_mended() {
    let client = |requested: &str| {
        Relation::new(7, "database", "waltz")
            .unit("waltz/0", &[])
            .remote(&[("database", "waltz"), ("requested-secrets", requested)])
    };
    let bad = client("{\"username\": ");
    let event = bad.changed(None).unwrap();
    let ran = run(world().leader().relation(bad), &event);
    let blocked = ran.world.status().unwrap();
    let words = "Failed to initialize relation database: waltz (relation 7): ";
    assert!(blocked.message().starts_with(words), "{blocked:?}");
    let logs = format!("{:?}", ran.logs);
    assert!(logs.contains("waltz (relation 7)") && logs.contains("requested-secrets"), "{logs}");
    let good = client("[\"username\", \"password\"]");
    let ran = run(ran.world.without_relation(7).relation(good), &event);
    let waiting = Status::waiting("waiting for backend-database relation to connect");
    assert_eq!(ran.world.status(), Some(waiting));
}

#[test]
fn nonsense_in_the_peers_databag_is_written_anew() {
    let peers = Relation::new(1, "pgb-peers", "pgbouncer-k8s")
        .own_app(&[("pgb_dbs_config", "{"), ("current_port", "many")]);
    let ran = run(world().leader().without_relation(1).relation(peers), &Event::UpdateStatus);
    assert!(ran.world.app_bag(1)["cfg_file"].contains("[pgbouncer]"));
    assert_eq!(ran.world.status(), Some(Status::blocked(NO_BACKEND)));
}

#[test]
fn a_follower_needs_the_leaders_secret() {
    let id = secret_id(9).to_string();
    let offer = [("endpoints", "pg:5432"), ("secret-user", id.as_str())];
    let relation = backend().remote(&offer);
    let event = relation.changed(None).unwrap();
    let follower = world().relation(relation);
    check(follower, &event, Status::blocked(BACKEND_NOT_READY), FIRST);
}

#[test]
fn without_the_backend_the_user_list_goes_from_the_secret() {
    let relation = backend();
    let event = relation.broken().unwrap();
    let peers = Relation::new(1, "pgb-peers", "pgbouncer-k8s")
        .own_app(&[("cfg_file", "[databases]\n[pgbouncer]\nauth_query = x\n")]);
    let label = "pgb-peers.pgbouncer-k8s.app";
    let content = [(secret_keys::AUTH_FILE, "\"u\" \"p\""), (secret_keys::ADMIN_PASSWORD, "kept")];
    let world = world()
        .leader()
        .relation(peers)
        .relation(Relation::new(3, "backend-database", "postgresql-k8s"))
        .own_secret(label, SecretOwner::App, &content);
    let ran = run(world, &event);
    let secret = ran.world.secret(label).unwrap();
    assert_eq!(secret.keys().collect::<Vec<_>>(), [secret_keys::ADMIN_PASSWORD]);
    assert!(!ran.world.app_bag(1)["cfg_file"].contains("auth_query"));
}

#[test]
fn a_new_key_is_asked_for_where_an_issuer_is_related() {
    let event = Event::Action { name: SET_KEY.into(), id: "1".into() };
    let ran = world().run(PgBouncer::default(), &event).unwrap();
    assert_eq!(ran.failure, Some(KeyError::NoIssuer.to_string()));
    let related = world().relation(Relation::new(9, "certificates", "issuer"));
    let asked = |world: World| {
        let ran = world.run(PgBouncer::default(), &event).unwrap();
        assert_eq!(ran.failure, None);
        (ran.world.unit_bag(9)["certificate_signing_requests"].clone(), ran.world)
    };
    let (first, world) = asked(related);
    assert_ne!(asked(world).0, first);
}

fn console(world: World) -> Ran {
    let event = Event::Action { name: "get-console-credentials".into(), id: "1".into() };
    world.run(PgBouncer::default(), &event).unwrap()
}

#[test]
fn the_console_action_shows_its_users() {
    let content =
        [(secret_keys::ADMIN_PASSWORD, "first"), (secret_keys::MONITORING_PASSWORD, "second")];
    let label = "pgb-peers.pgbouncer-k8s.app";
    let ran = console(world().own_secret(label, SecretOwner::App, &content));
    assert_eq!(ran.results["admin.password"], "first");
    assert_eq!(ran.results["statistics.password"], "second");
    assert_eq!(ran.results["admin.username"], "pgbouncer_admin_pgbouncer_k8s");
    assert!(!format!("{:?}", ran.logs).contains("first"));
}

#[test]
fn the_console_action_without_a_backend_says_what_to_do() {
    assert!(console(world()).failure.unwrap().contains("backend-database"));
}

#[test]
fn secret_remove_is_labelled_yes_removes_the_revision() {
    let label = "pgb-peers.pgbouncer-k8s.app";
    let world = world().leader().own_secret(label, SecretOwner::App, &[("admin-password", "kept")]);
    let id = world.secret_id(label).unwrap().clone();
    let event = Event::SecretRemove { id, label: Some(label.into()), revision: 1 };
    assert_eq!(run(world, &event).calls("secret-remove"), 1);
}
