//! The hook tools: what is seen, what is buffered, what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{World, app, map, of, unit};
use juju_model::tools::{Answer, Port};
use juju_model::{ActionStatus, HookOutcome, Juju, Next};
use juju_names::RelationId;
use serde_json::{Map, Value, json};

/// `client:database pg:database` is relation 1 (the peers of pg are 0).
fn related() -> World {
    related_under(Juju::default())
}

fn related_under(juju: Juju) -> World {
    let mut world = World::under(juju, &[("client", 2), ("pg", 2)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world
}

const RELATION: RelationId = RelationId(1);
const PEERS: RelationId = RelationId(0);

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Answer<T>, message: &str) {
    assert_eq!(answer.unwrap_err().to_string(), message);
}

#[track_caller]
fn check(ran: &[String], expected: &[&str]) {
    assert_eq!(ran, expected);
}

#[test]
fn a_unit_bag_starts_with_the_network_keys() {
    let mut world = related();
    world.on("pg/0", |tools| {
        let bag = tools.relation_get(RELATION, &of("client/0")).unwrap();
        let keys: Vec<_> = bag.keys().map(String::as_str).collect();
        assert_eq!(keys, ["egress-subnets", "ingress-address", "private-address"]);
        assert_eq!(bag.get("egress-subnets").unwrap(), "10.1.6.0/32");
    });
}

#[test]
fn a_write_wakes_the_other_side_and_of_peers_the_writer_too() {
    let mut world = related();
    check(
        &world.write("pg/0", 1, true, &[("endpoints", "x")]),
        &["client/0 database-relation-changed", "client/1 database-relation-changed"],
    );
    check(
        &world.write("pg/1", 1, false, &[("a", "b")]),
        &["client/0 database-relation-changed pg/1", "client/1 database-relation-changed pg/1"],
    );
    check(
        &world.write("pg/0", 0, true, &[("k", "v")]),
        &["pg/0 database-peers-relation-changed", "pg/1 database-peers-relation-changed"],
    );
}

#[test]
fn an_unchanged_value_wakes_nobody_and_an_empty_one_deletes() {
    let mut world = related();
    world.write("pg/0", 1, true, &[("endpoints", "x")]);
    check(&world.write("pg/0", 1, true, &[("endpoints", "x"), ("gone", "")]), &[]);
    assert_eq!(world.write("pg/0", 1, true, &[("endpoints", "")]).len(), 2);
    let relation = world.model.relation(RELATION).unwrap();
    assert!(relation.app_bags.get(&app("pg")).unwrap().values.is_empty());
}

#[test]
fn bags_are_read_by_those_who_may() {
    const DENIED: &str = "permission denied";
    const NO_UNIT: &str = "relation unit not found";
    let never = "cannot read settings for unit \"client/9\" in relation \"client:database \
                 pg:database\": unit \"client/9\": settings not found";
    let gone = "getting application \"other\" not found";
    for (reader, relation, whose, old, new) in [
        ("pg/1", RELATION, "client", "", ""),
        ("pg/1", RELATION, "client/1", "", ""),
        ("pg/1", RELATION, "pg/1", "", ""),
        ("pg/1", RELATION, "pg/0", "", ""),
        ("pg/1", RELATION, "pg", DENIED, ""),
        ("pg/0", RELATION, "pg", "", ""),
        ("pg/1", PEERS, "pg", "", ""),
        ("pg/1", PEERS, "pg/0", "", ""),
        ("pg/1", PEERS, "client/0", DENIED, NO_UNIT),
        ("pg/1", RELATION, "client/9", never, NO_UNIT),
        ("pg/1", RELATION, "other", DENIED, gone),
    ] {
        for (juju, want) in [(Juju::V3_6, old), (Juju::V4_0, new)] {
            let mut world = related_under(juju);
            world.on(reader, |tools| {
                let answer = tools.relation_get(relation, &of(whose));
                let said = answer.err().map(|error| error.to_string()).unwrap_or_default();
                assert_eq!(said, want, "{juju}: {reader} reads {whose} in {relation}");
            });
        }
    }
}

#[test]
fn relation_tools_name_what_is_wrong() {
    let mut world = related();
    world.on("pg/1", |tools| {
        refused(
            tools.relation_set(RELATION, true, map(&[("a", "b")])),
            "cannot write relation settings",
        );
        let unknown = "invalid value \"9\" for option -r: relation not found";
        refused(tools.relation_list(RelationId(9)), unknown);
        assert_eq!(tools.relation_ids("database").unwrap(), [RELATION]);
        assert_eq!(tools.relation_ids("nothing").unwrap(), []);
        assert_eq!(tools.relation_list(PEERS).unwrap(), [unit("pg/0")]);
        assert_eq!(tools.relation_remote_app(PEERS).unwrap(), app("pg"));
        assert_eq!(tools.relation_remote_app(RELATION).unwrap(), app("client"));
    });
}

#[test]
fn members_are_those_that_joined_without_the_one_that_departs() {
    let mut world = World::with(&[("client", 2), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    let mut seen = Vec::new();
    let mut watch = |world: &mut World| {
        world.run(|run, tools| {
            if let Some(event) = run.hook.relation().filter(|_| run.unit == unit("pg/0")) {
                let list = tools.relation_list(event.id).unwrap();
                let readable = tools.relation_get(event.id, &of("client/1")).is_ok();
                seen.push(format!("{} {list:?} {readable}", driver::line(run)));
            }
            0
        })
    };
    watch(&mut world);
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    watch(&mut world);
    let expected = [
        "pg/0 database-relation-created [] true",
        "pg/0 database-relation-joined client/0 [client/0] true",
        "pg/0 database-relation-changed client/0 [client/0] true",
        "pg/0 database-relation-joined client/1 [client/0, client/1] true",
        "pg/0 database-relation-changed client/1 [client/0, client/1] true",
        "pg/0 database-relation-departed client/0 [client/1] true",
        "pg/0 database-relation-departed client/1 [] true",
        "pg/0 database-relation-broken [] true",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_failed_hook_drops_its_writes_and_keeps_its_status() {
    let mut world = related();
    world.model.set_config(world.now, &app("pg"), map(&[("size", "11")])).unwrap();
    let ran = world.run(|run, tools| {
        if run.unit != unit("pg/0") {
            return 0;
        }
        tools.relation_set(RELATION, true, map(&[("endpoints", "x")])).unwrap();
        tools
            .open_port(Port { number: 5432, protocol: "tcp".into(), endpoint: String::new() })
            .unwrap();
        tools.state_set(BTreeMap::from([("k".into(), Some("v".into()))])).unwrap();
        tools.secret_add(map(&[("password", "cw==")]), Default::default()).unwrap();
        tools.status_set(false, "blocked", "why").unwrap();
        assert_eq!(tools.relation_get(RELATION, &of("pg")).unwrap().len(), 1);
        assert_eq!(tools.opened_ports().unwrap().len(), 1);
        assert_eq!(tools.state_get().unwrap().len(), 1);
        assert_eq!(tools.secret_ids().unwrap().len(), 1);
        1
    });
    check(&ran, &["pg/0 config-changed !", "pg/1 config-changed"]);
    let pg = world.model.unit(&unit("pg/0")).unwrap();
    assert_eq!((pg.workload.status.as_str(), pg.status().status.as_str()), ("blocked", "error"));
    assert!(pg.ports.is_empty() && pg.state.is_empty());
    assert_eq!(world.model.secrets().count(), 0);
    assert!(world.model.relation(RELATION).unwrap().app_bags.is_empty());
}

#[test]
fn config_is_read_once_per_hook_and_keeps_its_types() {
    let mut world = World::with(&[("pgb", 1)]);
    let values = map(&[("size", "3"), ("ratio", "0.5"), ("tls", "True"), ("mode", "x")]);
    world.model.set_config(world.now, &app("pgb"), values).unwrap();
    let ran = world.run(|_, tools| {
        let config = tools.config_get().unwrap();
        let expected = json!({"empty": null, "mode": "x", "password": null,
            "ratio": 0.5, "size": 3, "tls": true});
        assert_eq!(json!(config), expected);
        0
    });
    check(&ran, &["pgb/0 config-changed"]);
    world.model.reset_config(world.now, &app("pgb"), &["size".to_owned()]).unwrap();
    world.run(|_, tools| {
        assert_eq!(tools.config_get().unwrap()["size"], Some(json!(10)));
        0
    });
}

#[test]
fn statuses_of_an_application_are_its_own_or_the_most_severe() {
    let mut world = World::with(&[("pgb", 2)]);
    let status = |world: &World| world.model.app_status(&app("pgb")).unwrap().status;
    world.on("pgb/0", |tools| tools.status_set(false, "active", "").unwrap());
    world.on("pgb/1", |tools| tools.status_set(false, "blocked", "no backend").unwrap());
    assert_eq!(status(&world), "blocked");
    world.on("pgb/0", |tools| {
        tools.status_set(true, "active", "").unwrap();
        let (own, units) = tools.status_get_application().unwrap();
        assert_eq!(
            (own.status.as_str(), units["pgb/1"].message.as_str()),
            ("active", "no backend")
        );
    });
    assert_eq!(status(&world), "active");
    world.on("pgb/1", |tools| {
        refused(tools.status_set(true, "active", ""), "this unit is not the leader");
        refused(
            tools.status_get_application(),
            "finding application status: this unit is not the leader",
        );
    });
}

#[test]
fn automatic_statuses_are_jujus() {
    let mut world = World::new();
    world.deploy("pgb", 1);
    let mut seen = Vec::new();
    let mut watch = |world: &mut World| {
        world.run(|run, tools| {
            let status = tools.status_get().unwrap();
            seen.push(format!("{} {}: {}", run.hook.name(), status.status, status.message));
            0
        });
        world.model.unit(&unit("pgb/0")).map(|unit| unit.workload.status.clone())
    };
    assert_eq!(watch(&mut world).unwrap(), "unknown");
    world.model.remove_application(world.now, &app("pgb")).unwrap();
    watch(&mut world);
    assert_eq!(seen[0], "install maintenance: installing charm software");
    assert_eq!(
        seen[seen.len() - 2..],
        [
            "stop maintenance: stopping charm software",
            "remove maintenance: cleaning up prior to charm deletion"
        ]
    );
}

#[test]
fn network_ports_and_storage_are_the_units() {
    let mut world = related();
    world.model.service_address(&app("pg"), "10.152.0.1".to_owned());
    world.on("pg/0", |tools| {
        let info = tools.network_get("database", Some(RELATION)).unwrap();
        assert_eq!(
            (info.bind_address.as_str(), info.ingress_address.as_str()),
            ("10.1.2.0", "10.152.0.1")
        );
        refused(tools.network_get("x", None), "no network config found for binding \"x\"");
        let port = Port { number: 1, protocol: "tcp".into(), endpoint: String::new() };
        tools.open_port(port.clone()).unwrap();
        tools.close_port(port).unwrap();
        assert_eq!(tools.opened_ports().unwrap(), []);
        assert_eq!(tools.storage_list(None).unwrap(), ["pgdata/0"]);
        assert_eq!(tools.storage_list(Some("x")).unwrap(), Vec::<String>::new());
        assert_eq!(tools.storage_get("pgdata/0").unwrap().location, "/var/lib/postgresql/data");
        assert!(tools.storage_get("pgdata/1").is_err());
        assert!(
            tools
                .resource_get("image")
                .unwrap()
                .ends_with("/unit-pg-0/resources/image/content.yaml")
        );
        assert!(tools.resource_get("x").is_err());
        let goal = tools.goal_state().unwrap();
        assert_eq!(goal.units.len(), 2);
        assert_eq!(goal.relations["database"].len(), 3);
    });
}

fn params(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn an_action_has_parameters_results_and_a_log() {
    let mut world = World::with(&[("pgb", 1)]);
    let id = world
        .model
        .enqueue_action(world.now, &unit("pgb/0"), "get-password", params(json!({"count": 2})))
        .unwrap();
    let ran = world.run(|_, tools| {
        assert_eq!(tools.action_get().unwrap(), json!({"count": 2, "username": "admin"}));
        tools.action_log("working").unwrap();
        tools.action_set(vec![("a.b".into(), "1".into()), ("a.c".into(), "2".into())]).unwrap();
        assert!(tools.action_set(vec![("A".into(), "1".into())]).is_err());
        assert!(tools.action_set(vec![("stdout".into(), "1".into())]).is_err());
        0
    });
    check(&ran, &["pgb/0 get-password"]);
    let action = world.model.action(id).unwrap();
    assert_eq!(action.status, ActionStatus::Completed);
    assert_eq!(action.results, json!({"a": {"b": "1", "c": "2"}, "return-code": 0}));
    assert_eq!(action.log[0].message, "working");
}

#[test]
fn action_fail_keeps_writes_and_a_failed_process_drops_them() {
    let mut world = World::with(&[("pgb", 1)]);
    for (fail, code, kept, message) in [
        (true, 0, true, "no"),
        (false, 3, false, "exit status 3"),
        (true, 3, false, "exit status 3"),
    ] {
        let id =
            world.model.enqueue_action(world.now, &unit("pgb/0"), "pause", Map::new()).unwrap();
        let key = format!("k{fail}{code}");
        world.run(|_, tools| {
            tools.state_set(BTreeMap::from([(key.clone(), Some("v".into()))])).unwrap();
            tools.action_set(vec![("done".into(), "x".into())]).unwrap();
            if fail {
                tools.action_fail("no").unwrap();
            }
            code
        });
        let action = world.model.action(id).unwrap();
        assert_eq!((action.status, action.message.as_str()), (ActionStatus::Failed, message));
        assert_eq!(action.results, json!({"done": "x", "return-code": code}));
        assert_eq!(world.model.unit(&unit("pgb/0")).unwrap().state.contains_key(&key), kept);
    }
}

#[test]
fn actions_run_in_error_and_their_output_is_a_result() {
    let mut world = World::with(&[("pgb", 1)]);
    world.model.set_config(world.now, &app("pgb"), map(&[("size", "1")])).unwrap();
    world.run(|_, _| 1);
    let id = world.model.enqueue_action(world.now, &unit("pgb/0"), "pause", Map::new()).unwrap();
    let Next::Hook(run) = world.model.next(&unit("pgb/0"), world.now) else { panic!("no hook") };
    let mut session = world.model.begin(&run, world.now);
    session.output(b"hello\n", &[0xff]);
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    let expected = json!({"return-code": 0, "stdout": "hello\n", "stderr": "/w==", "stderr-encoding": "base64"});
    assert_eq!(world.model.action(id).unwrap().results, expected);
    assert_eq!(world.model.unit(&unit("pgb/0")).unwrap().status().status, "error");
}

#[test]
fn an_action_that_the_engine_lost_has_failed() {
    let mut world = World::with(&[("pgb", 1)]);
    let id = world.model.enqueue_action(world.now, &unit("pgb/0"), "pause", Map::new()).unwrap();
    let Next::Hook(run) = world.model.next(&unit("pgb/0"), world.now) else { panic!("no hook") };
    world.model.begin(&run, world.now);
    let stored = serde_json::to_string(&world.model).unwrap();
    world.model = serde_json::from_str(&stored).unwrap();
    world.model.next(&unit("pgb/0"), world.now);
    assert_eq!(world.model.action(id).unwrap().status, ActionStatus::Failed);
}

#[test]
fn the_log_names_the_unit_and_is_taken_once() {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.run(|_, tools| {
        tools.juju_log("INFO", "hello");
        0
    });
    let lines = world.model.take_log();
    let line = lines.iter().find(|line| line.message == "hello").unwrap();
    assert_eq!(
        (line.entity.as_str(), line.module.as_str()),
        ("unit-client-0", "unit.client/0.juju-log")
    );
    assert!(world.model.take_log().is_empty());
}

#[test]
fn the_environment_has_what_jujus_has() {
    let mut world = related();
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    let Next::Hook(run) = world.model.next(&unit("pg/0"), world.now) else { panic!("no hook") };
    let env = world.model.environment(&run);
    let expected = map(&[
        ("JUJU_DISPATCH_PATH", "hooks/database-relation-departed"),
        ("JUJU_HOOK_NAME", "database-relation-departed"),
        ("JUJU_RELATION", "database"),
        ("JUJU_RELATION_ID", "database:1"),
        ("JUJU_REMOTE_APP", "client"),
        ("JUJU_REMOTE_UNIT", "client/0"),
        ("JUJU_DEPARTING_UNIT", "client/0"),
        ("JUJU_UNIT_NAME", "pg/0"),
        ("JUJU_MODEL_NAME", "dev"),
        ("JUJU_VERSION", "3.6.11"),
        ("JUJU_MACHINE_ID", ""),
    ]);
    for (key, value) in expected {
        assert_eq!(env.get(key.as_str()), Some(&value), "{key}");
    }
    let start = "pg/0-database-relation-departed-";
    assert!(
        env["JUJU_CONTEXT_ID"].starts_with(start)
            && env["JUJU_CONTEXT_ID"].len() == start.len() + 32
    );
}
