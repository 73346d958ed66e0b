//! The order of events: start, relations, removal, pods, failures.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use driver::{World, app, map, unit};
use juju_model::{AgentStatus, HookOutcome, Next};
use juju_names::RelationId;

#[track_caller]
fn check(ran: &[String], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(ran, expected, "\n{}", ran.join("\n"));
}

#[test]
fn a_fresh_leader_starts_in_jujus_order() {
    let mut world = World::new();
    world.deploy("pg", 1);
    check(
        &world.settle(),
        "pg/0 install
         pg/0 database-peers-relation-created
         pg/0 leader-elected
         pg/0 postgresql-pebble-ready
         pg/0 pgdata-storage-attached
         pg/0 config-changed
         pg/0 start",
    );
}

#[test]
fn two_units_join_each_other_and_only_one_leads() {
    let mut world = World::new();
    world.deploy("pgb", 2);
    check(
        &world.settle(),
        "pgb/0 install
         pgb/0 peers-relation-created
         pgb/0 leader-elected
         pgb/0 pgbouncer-pebble-ready
         pgb/0 config-changed
         pgb/0 start
         pgb/1 install
         pgb/1 peers-relation-created
         pgb/0 peers-relation-joined pgb/1
         pgb/0 peers-relation-changed pgb/1
         pgb/1 leader-settings-changed
         pgb/1 pgbouncer-pebble-ready
         pgb/1 config-changed
         pgb/1 start
         pgb/1 peers-relation-joined pgb/0
         pgb/1 peers-relation-changed pgb/0",
    );
}

#[test]
fn a_new_relation_is_created_then_joined_then_changed_on_both_sides() {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    check(
        &world.settle(),
        "client/0 database-relation-created
         pg/0 database-relation-created
         client/0 database-relation-joined pg/0
         client/0 database-relation-changed pg/0
         pg/0 database-relation-joined client/0
         pg/0 database-relation-changed client/0",
    );
}

#[test]
fn a_relation_known_at_start_is_created_before_leader_elected() {
    let mut world = World::new();
    world.deploy("client", 1);
    world.deploy("pg", 1);
    world.model.integrate(world.now, "client", "pg").unwrap();
    let ran = world.settle();
    let at = |line: &str| ran.iter().position(|ran| ran == line).unwrap();
    assert!(at("pg/0 database-relation-created") < at("pg/0 leader-elected"));
    assert!(at("pg/0 start") < at("pg/0 database-relation-joined client/0"));
}

#[test]
fn the_app_bag_written_before_anyone_joined_gives_one_changed_without_a_unit() {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    let ran = world.run(|run, tools| {
        if run.unit == unit("client/0") && run.hook.name() == "database-relation-created" {
            let id = run.hook.relation().unwrap().id;
            tools.relation_set(id, true, map(&[("database", "x")])).unwrap();
        }
        0
    });
    let pg: Vec<_> = ran.iter().filter(|line| line.starts_with("pg/0")).cloned().collect();
    check(
        &pg,
        "pg/0 database-relation-created
         pg/0 database-relation-changed
         pg/0 database-relation-joined client/0
         pg/0 database-relation-changed client/0",
    );
}

#[test]
fn a_removed_relation_departs_then_breaks_on_both_sides() {
    let mut world = World::with(&[("client", 2), ("pg", 1)]);
    let id = world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    check(
        &world.settle(),
        "client/0 database-relation-departed pg/0
         client/0 database-relation-broken
         client/1 database-relation-departed pg/0
         client/1 database-relation-broken
         pg/0 database-relation-departed client/0
         pg/0 database-relation-departed client/1
         pg/0 database-relation-broken",
    );
    assert!(world.model.relation(id).is_none());
}

#[test]
fn a_unit_scaled_down_detaches_departs_stops_and_removes() {
    let mut world = World::with(&[("client", 1), ("pg", 2)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    check(
        &world.settle(),
        "pg/1 pgdata-storage-detaching
         pg/1 database-relation-departed client/0
         pg/1 database-relation-broken
         client/0 database-relation-departed pg/1
         pg/1 database-peers-relation-departed pg/0
         pg/1 stop
         pg/0 database-peers-relation-departed pg/1
         pg/1 remove
         pg/1 gone",
    );
}

#[test]
fn the_departing_unit_is_the_local_one_only_when_the_local_one_goes() {
    let mut world = World::with(&[("pgb", 2)]);
    world.model.scale(world.now, &app("pgb"), 1).unwrap();
    let mut seen = Vec::new();
    while let Some(run) = [unit("pgb/1"), unit("pgb/0")].iter().find_map(|unit| {
        match world.model.next(unit, world.now) {
            Next::Hook(run) => Some(run),
            _ => None,
        }
    }) {
        let env = world.model.environment(&run);
        if let Some(departing) = env.get("JUJU_DEPARTING_UNIT") {
            seen.push(format!("{} sees {departing}", run.unit));
        }
        let session = world.model.begin(&run, world.now);
        world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    }
    assert_eq!(seen, ["pgb/1 sees pgb/1", "pgb/0 sees pgb/1"]);
}

#[test]
fn a_removed_application_takes_its_relations_along_and_never_breaks_peers() {
    let mut world = World::with(&[("client", 1), ("pgb", 1)]);
    world.model.integrate(world.now, "client", "pgb:db").unwrap();
    world.settle();
    world.model.remove_application(world.now, &app("pgb")).unwrap();
    check(
        &world.settle(),
        "client/0 database-relation-departed pgb/0
         client/0 database-relation-broken
         pgb/0 db-relation-departed client/0
         pgb/0 db-relation-broken
         pgb/0 stop
         pgb/0 remove
         pgb/0 gone",
    );
    assert!(world.model.application(&app("pgb")).is_none());
    assert_eq!(world.model.relations().count(), 0);
}

#[test]
fn a_relation_removed_before_anyone_joined_is_created_and_broken_only() {
    let mut world = World::with(&[("client", 1), ("pg", 0)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    check(&world.settle(), "client/0 database-relation-created");
    world.model.remove_relation(world.now, "pg", "client").unwrap();
    check(&world.settle(), "client/0 database-relation-broken");
}

#[test]
fn storage_waits_for_a_unit_of_the_same_number() {
    let mut world = World::with(&[("pg", 2)]);
    let ids = |world: &World| {
        let all = world.model.storage().map(|s| format!("{} {}", s.id, s.attached));
        all.collect::<Vec<_>>()
    };
    assert_eq!(ids(&world), ["pgdata/0 true", "pgdata/1 true"]);
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    world.settle();
    assert_eq!(ids(&world), ["pgdata/0 true", "pgdata/1 false"]);
    world.model.scale(world.now, &app("pg"), 2).unwrap();
    assert!(world.settle().contains(&"pg/1 pgdata-storage-attached".to_owned()));
    assert_eq!(ids(&world), ["pgdata/0 true", "pgdata/1 true"]);
    world.model.remove_application(world.now, &app("pg")).unwrap();
    world.settle();
    world.deploy("pg", 1);
    assert_eq!(ids(&world).len(), 3, "a later application gets storage of its own");
}

#[test]
fn a_fresh_pod_upgrades_configures_starts_and_readies() {
    let mut world = World::with(&[("pgb", 1)]);
    world.model.pod_stopping(&unit("pgb/0"));
    check(&world.settle(), "pgb/0 stop");
    world.pod(&unit("pgb/0"), "boot");
    check(
        &world.settle(),
        "pgb/0 upgrade-charm
         pgb/0 config-changed
         pgb/0 start
         pgb/0 pgbouncer-pebble-ready",
    );
}

#[test]
fn a_restarted_agent_starts_and_readies_again() {
    let mut world = World::with(&[("pgb", 1)]);
    world.model.agent_started(&unit("pgb/0"), false);
    world.model.container_booted(&unit("pgb/0"), &"pgbouncer".parse().unwrap(), "boot");
    check(&world.settle(), "pgb/0 start\n pgb/0 pgbouncer-pebble-ready");
}

#[test]
fn a_new_boot_id_readies_once() {
    let mut world = World::with(&[("pgb", 1)]);
    for _ in 0..2 {
        world.model.container_booted(&unit("pgb/0"), &"pgbouncer".parse().unwrap(), "other");
    }
    check(&world.settle(), "pgb/0 pgbouncer-pebble-ready");
    world.model.container_booted(&unit("pgb/0"), &"pgbouncer".parse().unwrap(), "other");
    check(&world.settle(), "");
}

#[test]
fn an_address_that_changes_configures_and_wakes_peers() {
    let mut world = World::with(&[("pgb", 2)]);
    world.model.unit_address(&unit("pgb/0"), Some("10.9.9.9".to_owned()));
    check(&world.settle(), "pgb/0 config-changed\n pgb/1 peers-relation-changed pgb/0");
}

#[test]
fn notices_and_checks_come_in_order_of_arrival_and_once() {
    let mut world = World::with(&[("pgb", 1)]);
    let (unit, container) = (unit("pgb/0"), "pgbouncer".parse().unwrap());
    world.model.container_check(&unit, &container, "up", true);
    for _ in 0..2 {
        world.model.container_notice(&unit, &container, "1", "custom", "example.com/a");
    }
    world.model.container_notice(&unit, &container, "2", "change-update", "4");
    world.model.container_check(&unit, &container, "up", false);
    check(
        &world.settle(),
        "pgb/0 pgbouncer-pebble-check-failed
         pgb/0 pgbouncer-pebble-custom-notice
         pgb/0 pgbouncer-pebble-check-recovered",
    );
}

#[test]
fn a_failed_pebble_ready_is_offered_every_five_seconds_and_holds_nothing() {
    let mut world = World::with(&[("pgb", 1)]);
    let settings = map(&[("automatically-retry-hooks", "false")]);
    world.model.set_model_config(world.now, settings).unwrap();
    world.model.container_booted(&unit("pgb/0"), &"pgbouncer".parse().unwrap(), "other");
    check(&world.run(|_, _| 1), "pgb/0 pgbouncer-pebble-ready !");
    for _ in 0..4 {
        assert_eq!(world.model.unit(&unit("pgb/0")).unwrap().status().status, "error");
        world.pass(4);
        check(&world.settle(), "");
        world.pass(1);
        check(&world.run(|_, _| 1), "pgb/0 pgbouncer-pebble-ready !");
    }
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "11")])).unwrap();
    check(&world.settle(), "pgb/0 config-changed");
    assert_ne!(world.model.unit(&unit("pgb/0")).unwrap().status().status, "error");
    world.pass(5);
    check(&world.settle(), "pgb/0 pgbouncer-pebble-ready");
    world.pass(5);
    check(&world.settle(), "");
}

#[test]
fn a_failed_notice_ends_the_agent_which_reads_all_notices_again() {
    let mut world = World::with(&[("pgb", 1)]);
    let (pgb, container) = (unit("pgb/0"), "pgbouncer".parse().unwrap());
    let notices = |world: &mut World| {
        for id in ["1", "2"] {
            world.model.container_notice(&pgb, &container, id, "custom", id);
        }
    };
    notices(&mut world);
    let Next::Hook(run) = world.model.next(&pgb, world.now) else { panic!("no hook") };
    let session = world.model.begin(&run, world.now);
    world.model.finish(run, session, juju_model::HookOutcome::Exited(1), world.now).unwrap();
    assert_eq!(world.model.unit(&pgb).unwrap().status().status, "error");
    assert_eq!(world.model.next(&pgb, world.now), Next::Restart);
    world.restart(&pgb);
    notices(&mut world);
    check(
        &world.settle(),
        "pgb/0 start
         pgb/0 pgbouncer-pebble-ready
         pgb/0 pgbouncer-pebble-custom-notice
         pgb/0 pgbouncer-pebble-custom-notice",
    );
}

#[test]
fn update_status_is_due_after_the_interval_only() {
    let mut world = World::with(&[("pgb", 1)]);
    world.pass(299);
    check(&world.settle(), "");
    world.pass(1);
    check(&world.settle(), "pgb/0 update-status");
    world.model.set_model_config(world.now, map(&[("update-status-hook-interval", "1m")])).unwrap();
    world.pass(60);
    check(&world.settle(), "pgb/0 update-status");
    let next = world.model.next(&unit("pgb/0"), world.now);
    let until = Some(world.now + jiff::SignedDuration::from_mins(1));
    assert_eq!(next, Next::Idle { until });
}

#[test]
fn a_failed_hook_holds_the_unit_and_pauses_double() {
    let mut world = World::with(&[("pgb", 1)]);
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "11")])).unwrap();
    check(&world.run(|_, _| 1), "pgb/0 config-changed !");
    let status = world.model.unit(&unit("pgb/0")).unwrap().status();
    assert_eq!(
        (status.status.as_str(), status.message.as_str()),
        ("error", "hook failed: \"config-changed\"")
    );
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "12")])).unwrap();
    world.pass(4);
    check(&world.settle(), "");
    world.pass(1);
    check(&world.run(|_, _| 1), "pgb/0 config-changed !");
    world.pass(9);
    check(&world.settle(), "");
    world.pass(1);
    check(&world.settle(), "pgb/0 config-changed");
    assert_eq!(world.model.unit(&unit("pgb/0")).unwrap().agent.status, AgentStatus::Idle);
}

#[test]
fn resolve_runs_the_hook_again_or_counts_it_as_done() {
    let mut world = World::with(&[("pgb", 1)]);
    assert!(world.model.resolve(&unit("pgb/0"), true).is_err());
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "11")])).unwrap();
    world.run(|_, _| 1);
    world.model.resolve(&unit("pgb/0"), true).unwrap();
    check(&world.run(|_, _| 1), "pgb/0 config-changed !");
    world.model.resolve(&unit("pgb/0"), false).unwrap();
    check(&world.settle(), "");
}

#[test]
fn a_stored_model_resumes_with_the_same_hook() {
    let mut world = World::new();
    world.deploy("pgb", 1);
    world.pods();
    let before = match world.model.next(&unit("pgb/0"), world.now) {
        Next::Hook(run) => run,
        other => panic!("{other:?}"),
    };
    world.model.begin(&before, world.now);
    let stored = serde_json::to_string(&world.model).unwrap();
    world.model = serde_json::from_str(&stored).unwrap();
    assert_eq!(world.model.next(&unit("pgb/0"), world.now), Next::Idle { until: None });
    world.model.agent_started(&unit("pgb/0"), false);
    match world.model.next(&unit("pgb/0"), world.now) {
        Next::Hook(run) => assert_eq!(run.hook, before.hook),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leader_that_is_gone_is_replaced_and_one_that_is_away_keeps_its_lease() {
    let mut world = World::with(&[("pgb", 2)]);
    world.model.agent_stopped(&unit("pgb/0"), world.now);
    world.pass(30);
    world.settle();
    assert!(world.model.is_leader(&unit("pgb/0")));
    world.pass(61);
    check(&world.settle(), "pgb/1 leader-elected");
    world.model.unit_gone(&unit("pgb/1"));
    world.model.agent_started(&unit("pgb/0"), false);
    let ran = world.settle();
    assert!(ran.contains(&"pgb/0 leader-elected".to_owned()), "{ran:?}");
}

#[test]
fn a_dying_unit_that_never_installed_is_gone_at_once() {
    let mut world = World::new();
    world.deploy("pgb", 1);
    world.model.remove_application(world.now, &app("pgb")).unwrap();
    assert_eq!(world.model.next(&unit("pgb/0"), world.now), Next::Gone);
    world.model.unit_gone(&unit("pgb/0"));
    assert_eq!(world.model.applications().count(), 0);
    assert!(world.model.relation(RelationId(0)).is_none());
}

#[test]
fn a_dying_unit_that_never_started_is_removed_without_a_stop() {
    let mut world = World::new();
    world.deploy("client", 1);
    world.pods();
    let Next::Hook(run) = world.model.next(&unit("client/0"), world.now) else { unreachable!() };
    let session = world.model.begin(&run, world.now);
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    world.model.remove_application(world.now, &app("client")).unwrap();
    check(&world.settle(), "client/0 remove\n client/0 gone");
    // Neither is one whose new pod has not started yet.
    let mut world = World::with(&[("client", 1)]);
    world.model.agent_started(&unit("client/0"), true);
    world.model.remove_application(world.now, &app("client")).unwrap();
    check(&world.settle(), "client/0 remove\n client/0 gone");
}

#[test]
fn a_relation_that_ends_before_a_unit_saw_it_goes() {
    let mut world = World::new();
    world.deploy("client", 1);
    world.deploy("pg", 1);
    world.pods();
    world.model.integrate(world.now, "client", "pg").unwrap();
    let pg = unit("pg/0");
    // The first relation-created puts the unit into the scope of all relations.
    for _ in ["install", "database-peers-relation-created"] {
        let Next::Hook(run) = world.model.next(&pg, world.now) else { unreachable!() };
        let session = world.model.begin(&run, world.now);
        let exited = HookOutcome::Exited(0);
        world.model.finish(run, session, exited, world.now).unwrap();
    }
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    let ran = world.settle();
    assert!(!ran.iter().any(|line| line.contains("database-relation-")), "{ran:#?}");
    assert!(world.model.relations().all(juju_model::Relation::is_peer));
}

#[test]
fn a_relation_stays_while_a_hook_of_it_has_failed() {
    let mut world = World::new();
    world.deploy("pg", 1);
    world.pods();
    let pg = unit("pg/0");
    let step = |world: &mut World, code| {
        let Next::Hook(run) = world.model.next(&pg, world.now) else { unreachable!() };
        let session = world.model.begin(&run, world.now);
        let name = run.hook.name().to_string();
        world.model.finish(run, session, HookOutcome::Exited(code), world.now).unwrap();
        name
    };
    assert_eq!(step(&mut world, 0), "install");
    assert_eq!(step(&mut world, 1), "database-peers-relation-created");
    world.model.remove_application(world.now, &app("pg")).unwrap();
    world.pass(600);
    assert_ne!(world.model.next(&pg, world.now), Next::Gone);
    assert!(world.model.relation(RelationId(0)).is_some());
    assert_eq!(step(&mut world, 0), "database-peers-relation-created");
    world.settle();
    assert!(world.model.relation(RelationId(0)).is_none());
}

#[test]
fn an_agent_that_ends_runs_stop_although_a_hook_has_failed() {
    let mut world = World::with(&[("pgb", 1)]);
    let pgb = unit("pgb/0");
    assert!(world.model.has_started(&pgb));
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "11")])).unwrap();
    check(&world.run(|_, _| 1), "pgb/0 config-changed !");
    world.model.pod_stopping(&pgb);
    assert!(!world.model.may_end(&pgb));
    check(&world.run(|_, _| 1), "pgb/0 stop !");
    // One that fails is not waited for.
    assert!(world.model.may_end(&pgb));
    world.pass(5);
    check(&world.settle(), "pgb/0 stop");
    assert!(world.model.may_end(&pgb) && !world.model.has_started(&pgb));
    // What failed is found anew.
    world.restart(&pgb);
    assert!(!world.model.has_started(&pgb), "it owes a start");
    check(&world.settle(), "pgb/0 start\n pgb/0 pgbouncer-pebble-ready\n pgb/0 config-changed");
    assert!(world.model.has_started(&pgb));
}
