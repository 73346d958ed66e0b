//! Rows of Juju's contract that the other suites do not name; each test is one rule.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{World, app, charm, map, unit};
use juju_model::tools::Port;
use juju_model::{AgentStatus, Deploy, HookOutcome, Next};
use juju_names::RelationId;

/// An application with a charm of its own.
fn deploy(world: &mut World, name: &str, metadata: &str) {
    let deploy = Deploy {
        app: app(name),
        charm: charm(metadata),
        charm_ref: "./x".to_owned(),
        units: 1,
        config: BTreeMap::new(),
        trust: false,
    };
    world.model.deploy(world.now, deploy).unwrap();
    world.settle();
}

fn port(number: u16, endpoint: &str) -> Port {
    Port { number, protocol: "tcp".to_owned(), endpoint: endpoint.to_owned() }
}

/// Opens (`+`) and closes (`-`) port 80 for endpoints in one hook each; what is open then.
#[track_caller]
fn check_ports(steps: &[&str], want: &[&str]) {
    let mut world = World::with(&[("pg", 1)]);
    for step in steps {
        let (open, endpoint) = (step.starts_with('+'), &step[1..]);
        world.on("pg/0", |tools| {
            let port = port(80, endpoint);
            if open { tools.open_port(port) } else { tools.close_port(port) }.unwrap();
        });
    }
    let ports = world.model.unit(&unit("pg/0")).unwrap().ports.clone();
    let open: Vec<_> = ports.iter().map(|port| port.endpoint.as_str()).collect();
    assert_eq!(open, want, "{steps:?}");
}

#[test]
fn a_port_is_open_for_all_endpoints_or_for_some() {
    check_ports(&["+"], &[""]);
    check_ports(&["+database"], &["database"]);
    check_ports(&["+", "+database"], &[""]);
    check_ports(&["+database", "+"], &[""]);
    check_ports(&["+database", "-"], &[]);
    check_ports(&["+", "-database"], &["database-peers"]);
    check_ports(&["+", "-"], &[]);
    check_ports(&["-"], &[]);
}

#[test]
fn open_then_close_of_a_port_in_one_hook_cancel_each_other() {
    let mut world = World::with(&[("pg", 1)]);
    world.on("pg/0", |tools| {
        tools.open_port(port(80, "")).unwrap();
        assert_eq!(tools.opened_ports().unwrap(), [port(80, "")]);
        tools.close_port(port(80, "")).unwrap();
        assert_eq!(tools.opened_ports().unwrap(), []);
    });
    assert!(world.model.unit(&unit("pg/0")).unwrap().ports.is_empty());
}

const STORES: &str = "
name: stores
storage:
  logs: {type: filesystem, multiple: {range: 1-2}}
  data: {type: filesystem}
";

#[test]
fn storage_add_attaches_up_to_the_range() {
    let mut world = World::new();
    deploy(&mut world, "stores", STORES);
    for (name, count) in [("logs", 2), ("data", 1), ("nope", 1)] {
        let ran = world.on("stores/0", |tools| tools.storage_add(name, count).unwrap());
        assert_eq!(ran, Vec::<String>::new(), "{name} is refused when the hook ends");
    }
    let ran = world.on("stores/0", |tools| {
        assert_eq!(tools.storage_list(Some("logs")).unwrap().len(), 1);
        tools.storage_add("logs", 1).unwrap();
        assert_eq!(tools.storage_list(Some("logs")).unwrap().len(), 1, "buffered");
    });
    assert_eq!(ran, ["stores/0 logs-storage-attached"]);
    world.on("stores/0", |tools| {
        assert_eq!(tools.storage_list(Some("logs")).unwrap().len(), 2);
    });
}

#[test]
fn a_failed_hook_adds_no_storage() {
    let mut world = World::new();
    deploy(&mut world, "stores", STORES);
    world.model.enqueue_exec(&unit("stores/0"), "x").unwrap();
    world.run(|_, tools| {
        tools.storage_add("logs", 1).unwrap();
        1
    });
    world.on("stores/0", |tools| {
        assert_eq!(tools.storage_list(Some("logs")).unwrap().len(), 1);
    });
}

#[test]
fn every_application_provides_juju_info() {
    let mut world = World::with(&[("pg", 1)]);
    deploy(&mut world, "agent", "{name: agent, requires: {host: {interface: juju-info}}}");
    world.model.integrate(world.now, "agent", "pg").unwrap();
    let ran = world.settle();
    assert!(ran.contains(&"agent/0 host-relation-joined pg/0".to_owned()), "{ran:?}");
    assert!(ran.contains(&"pg/0 juju-info-relation-created".to_owned()), "{ran:?}");
    world.model.remove_relation(world.now, "agent:host", "pg:juju-info").unwrap();
    assert!(world.settle().contains(&"agent/0 host-relation-broken".to_owned()));
    world.model.integrate(world.now, "agent:host", "pg:juju-info").unwrap();
    assert!(world.model.integrate(world.now, "agent", "agent").is_err());
}

#[test]
fn relation_model_get_says_the_models_uuid() {
    let mut world = World::with(&[("pg", 1)]);
    world.on("pg/0", |tools| {
        assert_eq!(tools.relation_model_get(RelationId(0)).unwrap(), "uuid");
        assert!(tools.relation_model_get(RelationId(9)).is_err());
    });
}

#[test]
fn secret_info_says_when_a_secret_rotates() {
    let mut world = World::with(&[("pg", 1)]);
    let rotates = world.now + jiff::SignedDuration::from_hours(1);
    world.on("pg/0", |tools| {
        let metadata = juju_model::tools::SecretMetadata {
            rotate: Some("hourly".to_owned()),
            ..Default::default()
        };
        tools.secret_add(map(&[("key", "dg==")]), metadata).unwrap();
    });
    let id = world.model.secrets().next().unwrap().id.clone();
    world.on("pg/0", |tools| {
        assert_eq!(tools.secret_info_get(Some(&id), None).unwrap().rotates, Some(rotates));
    });
}

/// Fails `hook` of `pg/0` for ever; what runs when the application is removed by force.
#[track_caller]
fn check_forced(hook: &str, force: bool, want_gone: bool) {
    let mut world = World::with(&[("pg", 1)]);
    world.model.remove_application(world.now, &app("pg")).unwrap();
    if force {
        world.model.force_removal(world.now, &app("pg"));
    }
    for _ in 0..3 {
        world.run(|run, _| i32::from(run.hook.name() == hook));
        world.pass(400);
    }
    assert_eq!(world.model.application(&app("pg")).is_none(), want_gone, "{hook} force {force}");
}

#[test]
fn a_forced_removal_does_not_wait_for_hooks_that_fail() {
    for hook in ["stop", "remove", "pgdata-storage-detaching"] {
        check_forced(hook, false, false);
        check_forced(hook, true, true);
    }
}

#[test]
fn a_unit_in_error_leaves_when_its_removal_is_forced() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    world.run(|_, _| 1);
    world.model.remove_application(world.now, &app("pg")).unwrap();
    assert!(world.settle().is_empty(), "the failed hook holds the unit");
    world.model.force_removal(world.now, &app("pg"));
    assert!(world.settle().contains(&"pg/0 stop".to_owned()));
    assert!(world.model.application(&app("pg")).is_none());
}

#[test]
fn an_application_stays_until_the_other_side_has_left_its_relations() {
    let mut world = World::with(&[("pg", 1), ("client", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world.model.remove_application(world.now, &app("pg")).unwrap();
    let departs = |hook: &str| hook.starts_with("database-relation-");
    world.run(|run, _| i32::from(run.unit == unit("client/0") && departs(&run.hook.name())));
    assert!(world.model.unit(&unit("pg/0")).is_none());
    let dying = world.model.application(&app("pg")).unwrap();
    assert_eq!(dying.life, juju_model::Life::Dying);
    world.pass(400);
    world.settle();
    assert!(world.model.application(&app("pg")).is_none());
    assert!(world.model.application(&app("client")).is_some());
}

#[test]
fn hooks_of_a_relation_that_is_removed_by_force_may_fail() {
    let mut world = World::with(&[("pg", 1), ("client", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    let id = world.model.remove_relation(world.now, "client", "pg").unwrap();
    world.run(|run, _| i32::from(run.hook.relation().is_some()));
    assert!(world.model.relation(id).is_some(), "both units are in error");
    world.model.force_relation(world.now, id);
    world.run(|run, _| i32::from(run.hook.relation().is_some()));
    assert!(world.model.relation(id).is_none());
    assert!(world.model.all_units().all(|unit| !unit.has_failed()));
    // What lives is not to be forced.
    let id = world.model.integrate(world.now, "client", "pg").unwrap();
    world.model.force_relation(world.now, id);
    assert!(world.run(|_, _| 1).iter().all(|line| line.ends_with('!')));
}

#[test]
fn units_leave_without_a_hook_where_nobody_waits_for_them() {
    let mut world = World::with(&[("pg", 2), ("client", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world.model.agent_stopped(&unit("pg/1"), world.now);
    world.model.remove_application(world.now, &app("pg")).unwrap();
    world.model.force_removal(world.now, &app("pg"));
    world.model.rush_removal(&app("pg"));
    let ran = world.settle();
    let hook = |line: &&String| line.starts_with("pg/") && !line.ends_with(" gone");
    assert_eq!(ran.iter().find(hook), None, "{ran:?}");
    assert!(world.model.application(&app("pg")).is_none());
}

#[test]
fn failed_hooks_wait_for_resolve_when_the_model_says_so() {
    let mut world = World::with(&[("pg", 1)]);
    let option = map(&[("automatically-retry-hooks", "false")]);
    world.model.set_model_config(world.now, option).unwrap();
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    assert_eq!(world.run(|_, _| 1), ["pg/0 config-changed !"]);
    world.pass(10_000);
    assert_eq!(world.model.next(&unit("pg/0"), world.now), Next::Idle { until: None });
    world.model.resolve(&unit("pg/0"), true).unwrap();
    assert_eq!(world.settle()[0], "pg/0 config-changed");
    let odd = map(&[("automatically-retry-hooks", "often")]);
    assert!(world.model.set_model_config(world.now, odd).is_err());
}

/// The order in which one unit gets the events of four relations.
fn order(seed: Option<u64>) -> Vec<String> {
    let mut world = World::with(&[("pg", 1)]);
    world.model.shuffle(seed);
    for name in ["a", "b", "c", "d"] {
        world.deploy(name, 1);
    }
    world.settle();
    for name in ["a", "b", "c", "d"] {
        world.model.integrate(world.now, name, "pg").unwrap();
    }
    let ran = world.settle();
    ran.into_iter().filter(|line| line.starts_with("pg/0 ") && line.contains("joined")).collect()
}

#[test]
fn events_of_different_relations_come_in_a_seeded_order() {
    let plain = order(None);
    assert!(plain.is_sorted(), "{plain:?}");
    let orders: Vec<_> = (0..8).map(|seed| order(Some(seed))).collect();
    assert!(orders.iter().any(|order| *order != plain), "{orders:?}");
    assert_eq!(order(Some(5)), orders[5], "the same seed gives the same order");
    for mut order in orders {
        order.sort();
        assert_eq!(order, plain);
    }
}

#[test]
fn joined_is_followed_by_changed_of_that_relation_however_shuffled() {
    for seed in 0..20 {
        let mut world = World::with(&[("pg", 1)]);
        world.model.shuffle(Some(seed));
        for name in ["a", "b"] {
            world.deploy(name, 2);
        }
        world.settle();
        for name in ["a", "b"] {
            world.model.integrate(world.now, name, "pg").unwrap();
        }
        let ran = world.settle();
        let own: Vec<_> = ran.iter().filter(|line| line.starts_with("pg/0 ")).collect();
        for (at, line) in own.iter().enumerate().filter(|(_, line)| line.contains("joined")) {
            let remote = line.rsplit(' ').next().unwrap();
            let mut later = own[at + 1..].iter().filter(|line| line.ends_with(remote));
            assert!(later.next().unwrap().contains("changed"), "seed {seed}: {own:?}");
        }
    }
}

#[test]
fn a_hook_that_a_signal_ended_runs_again_and_counts_as_an_error() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    let Next::Hook(run) = world.model.next(&unit("pg/0"), world.now) else { panic!("no hook") };
    let session = world.model.begin(&run, world.now);
    world.model.finish(run, session, HookOutcome::Killed, world.now).unwrap();
    let state = world.model.unit(&unit("pg/0")).unwrap();
    assert_eq!(state.agent.status, AgentStatus::Error);
    world.pass(5);
    assert_eq!(world.settle()[0], "pg/0 config-changed");
}

#[test]
fn a_hook_that_the_charm_lacks_counts_as_done_and_an_action_as_failed() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Default::default()).unwrap();
    let Next::Hook(run) = world.model.next(&unit("pg/0"), world.now) else { panic!("no action") };
    let session = world.model.begin(&run, world.now);
    world.model.finish(run, session, HookOutcome::NotImplemented, world.now).unwrap();
    let action = world.model.action(1).unwrap();
    assert_eq!(action.message, "action not implemented on unit \"pg/0\"");
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    let Next::Hook(run) = world.model.next(&unit("pg/0"), world.now) else { panic!("no hook") };
    let session = world.model.begin(&run, world.now);
    world.model.finish(run, session, HookOutcome::NotImplemented, world.now).unwrap();
    assert!(world.settle().is_empty());
}

#[test]
fn the_empty_value_is_legal_in_the_charms_state_and_deletes_in_a_bag() {
    let mut world = World::with(&[("pg", 1)]);
    world.on("pg/0", |tools| {
        tools.state_set(BTreeMap::from([("k".to_owned(), Some(String::new()))])).unwrap();
        tools.relation_set(RelationId(0), false, map(&[("k", "v")])).unwrap();
    });
    world.on("pg/0", |tools| {
        assert_eq!(tools.state_get().unwrap(), map(&[("k", "")]));
        tools.relation_set(RelationId(0), false, map(&[("k", "")])).unwrap();
        let bag = tools.relation_get(RelationId(0), &driver::of("pg/0")).unwrap();
        assert!(!bag.contains_key("k"));
    });
}

#[test]
fn a_resource_that_nobody_gave_is_refused() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.resources_given(&app("pg"), []);
    world.on("pg/0", |tools| assert!(tools.resource_get("image").is_err()));
    world.model.resources_given(&app("pg"), ["image".to_owned()]);
    world.on("pg/0", |tools| assert!(tools.resource_get("image").is_ok()));
}

#[test]
fn state_keys_and_values_have_their_limits() {
    let mut world = World::with(&[("pg", 1)]);
    let change =
        |key: usize, value: usize| BTreeMap::from([("k".repeat(key), Some("v".repeat(value)))]);
    world.on("pg/0", |tools| {
        tools.state_set(change(256, 65_536)).unwrap();
        let key = tools.state_set(change(257, 1)).unwrap_err().to_string();
        assert!(key.contains("max allowed key"), "{key}");
        let value = tools.state_set(change(1, 65_537)).unwrap_err().to_string();
        assert!(value.contains("max allowed value"), "{value}");
    });
}
