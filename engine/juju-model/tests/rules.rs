//! More rows of Juju's contract, each test one rule: environments, the order of resolvers, what
//! a hook sees of others and of itself.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{World, app, line, map, of, unit};
use juju_model::tools::{Revision, SecretMetadata};
use juju_model::{ActionStatus, AgentStatus, Hook, HookOutcome, HookRun, Next};
use juju_names::{RelationId, SecretId};
use serde_json::{Map, json};

const RELATION: RelationId = RelationId(1);

/// `client` and `pg` with relation 1 between them.
fn related(units: u32) -> World {
    let mut world = World::with(&[("client", units), ("pg", units)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world
}

#[track_caller]
fn next(world: &mut World, name: &str) -> HookRun {
    match world.model.next(&unit(name), world.now) {
        Next::Hook(run) => run,
        other => panic!("{other:?}"),
    }
}

fn secret(world: &mut World, label: &str, granted: bool) -> SecretId {
    let mut id = None;
    world.on("pg/0", |tools| {
        let metadata = SecretMetadata { label: Some(label.to_owned()), ..Default::default() };
        let added = tools.secret_add(map(&[("key", "b25l")]), metadata).unwrap();
        if granted {
            tools.secret_grant(&added, RELATION, None).unwrap();
        }
        id = Some(added);
    });
    id.unwrap()
}

fn set(world: &mut World, id: &SecretId, value: &str) -> Vec<String> {
    world.on("pg/0", |tools| {
        tools.secret_set(id, Some(map(&[("key", value)])), SecretMetadata::default()).unwrap();
    })
}

/// The hooks of a life with one of each kind, and the variables that only some hooks have.
fn specific() -> BTreeMap<String, String> {
    let mut world = World::new();
    let mut runs = Vec::new();
    let mut settle = |world: &mut World| {
        world.run(|run, _| {
            runs.push(run.clone());
            0
        });
    };
    world.deploy("pg", 1);
    world.deploy("client", 1);
    world.model.integrate(world.now, "client", "pg").unwrap();
    settle(&mut world);
    let container = "postgresql".parse().unwrap();
    world.model.container_notice(&unit("pg/0"), &container, "5", "custom", "example.com/a");
    world.model.container_check(&unit("pg/0"), &container, "up", true);
    world.model.container_check(&unit("pg/0"), &container, "up", false);
    world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
    world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    settle(&mut world);
    let id = secret(&mut world, "own", false);
    world.on("pg/0", |tools| {
        let expire = Some(tools.now() + jiff::SignedDuration::from_secs(1));
        let rotate = Some("hourly".to_owned());
        let metadata = SecretMetadata { expire, rotate, ..Default::default() };
        tools.secret_set(&id, Some(map(&[("key", "dHdv")])), metadata).unwrap();
    });
    world.pass(3601);
    settle(&mut world);
    world.model.remove_application(world.now, &app("pg")).unwrap();
    settle(&mut world);
    let label = "theirs".to_owned();
    for hook in [
        Hook::SecretChanged { id: id.clone(), label: label.clone() },
        Hook::SecretRemove { id: id.clone(), label, revision: 1 },
    ] {
        let mut run = runs[0].clone();
        (run.unit, run.hook) = (unit("pg/0"), hook);
        runs.push(run);
    }
    let mut found = BTreeMap::new();
    for run in runs.iter().filter(|run| run.unit == unit("pg/0")) {
        let common = ["_UNIT_NAME", "_MODEL_", "_VERSION", "_CONTEXT_ID", "_API_", "_PROXY"];
        let own = world.model.environment(run);
        let own = own.into_iter().filter(|(key, value)| {
            let quiet =
                value.is_empty() && !key.starts_with("JUJU_REMOTE") && key != "JUJU_HOOK_NAME"
                    || key == "JUJU_SLA";
            let own = key.starts_with("JUJU_") && key != "JUJU_DISPATCH_PATH";
            own && !quiet && !common.iter().any(|part| key.contains(part))
        });
        let text: Vec<String> = own
            .map(|(key, value)| format!("{}={value}", key.trim_start_matches("JUJU_")))
            .collect();
        found.insert(line(run), text.join(" ").replace(id.bare(), "xid"));
    }
    found
}

#[test]
fn every_kind_of_hook_has_its_variables() {
    let found = specific();
    let plain = |hook: &String| hook.trim_start_matches("pg/0 ").to_owned();
    let all: Vec<_> = found.iter().map(|(hook, own)| format!("{}: {own}", plain(hook))).collect();
    insta::assert_snapshot!(all.join("\n"), @r"
    config-changed: HOOK_NAME=config-changed
    database-peers-relation-created: HOOK_NAME=database-peers-relation-created RELATION=database-peers RELATION_ID=database-peers:0 REMOTE_APP=pg REMOTE_UNIT=
    database-relation-broken: HOOK_NAME=database-relation-broken RELATION=database RELATION_ID=database:1 REMOTE_APP=client REMOTE_UNIT=
    database-relation-changed client/0: HOOK_NAME=database-relation-changed RELATION=database RELATION_ID=database:1 REMOTE_APP=client REMOTE_UNIT=client/0
    database-relation-created: HOOK_NAME=database-relation-created RELATION=database RELATION_ID=database:1 REMOTE_APP=client REMOTE_UNIT=
    database-relation-departed client/0: DEPARTING_UNIT=pg/0 HOOK_NAME=database-relation-departed RELATION=database RELATION_ID=database:1 REMOTE_APP=client REMOTE_UNIT=client/0
    database-relation-joined client/0: HOOK_NAME=database-relation-joined RELATION=database RELATION_ID=database:1 REMOTE_APP=client REMOTE_UNIT=client/0
    install: HOOK_NAME=install
    leader-elected: HOOK_NAME=leader-elected
    pause: ACTION_NAME=pause ACTION_TAG=action-1 ACTION_UUID=1 HOOK_NAME=
    pgdata-storage-attached: HOOK_NAME=pgdata-storage-attached STORAGE_ID=pgdata/0 STORAGE_KIND=filesystem STORAGE_LOCATION=/var/lib/postgresql/data
    pgdata-storage-detaching: HOOK_NAME=pgdata-storage-detaching STORAGE_ID=pgdata/0 STORAGE_KIND=filesystem STORAGE_LOCATION=/var/lib/postgresql/data
    postgresql-pebble-check-failed: HOOK_NAME=postgresql-pebble-check-failed PEBBLE_CHECK_NAME=up WORKLOAD_NAME=postgresql
    postgresql-pebble-check-recovered: HOOK_NAME=postgresql-pebble-check-recovered PEBBLE_CHECK_NAME=up WORKLOAD_NAME=postgresql
    postgresql-pebble-custom-notice: HOOK_NAME=postgresql-pebble-custom-notice NOTICE_ID=5 NOTICE_KEY=example.com/a NOTICE_TYPE=custom WORKLOAD_NAME=postgresql
    postgresql-pebble-ready: HOOK_NAME=postgresql-pebble-ready WORKLOAD_NAME=postgresql
    remove: HOOK_NAME=remove
    run-commands: ACTION_NAME=juju-exec ACTION_TAG=action-1 ACTION_UUID=1 HOOK_NAME=
    secret-changed: HOOK_NAME=secret-changed SECRET_ID=secret:xid SECRET_LABEL=theirs
    secret-expired: HOOK_NAME=secret-expired SECRET_ID=secret:xid SECRET_LABEL=own SECRET_REVISION=2
    secret-remove: HOOK_NAME=secret-remove SECRET_ID=secret:xid SECRET_LABEL=theirs SECRET_REVISION=1
    secret-rotate: HOOK_NAME=secret-rotate SECRET_ID=secret:xid SECRET_LABEL=own
    start: HOOK_NAME=start
    stop: HOOK_NAME=stop
    update-status: HOOK_NAME=update-status
    ");
}

#[test]
fn one_thing_at_a_time_for_each_unit() {
    let mut world = World::with(&[("pg", 2)]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
    let run = next(&mut world, "pg/0");
    let session = world.model.begin(&run, world.now);
    let idle = Next::Idle { until: None };
    assert_eq!(world.model.next(&unit("pg/0"), world.now), idle);
    assert_eq!(next(&mut world, "pg/1").hook.name(), "config-changed");
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    next(&mut world, "pg/0");
}

#[test]
fn a_refused_flush_fails_an_action() {
    let mut world = World::with(&[("pg", 1)]);
    let id = world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
    let ran = world.run(|_, tools| {
        tools.secret_set(&SecretId::from_bytes([1; 12]), None, SecretMetadata::default()).unwrap();
        0
    });
    assert_eq!(ran, ["pg/0 pause !"]);
    let action = world.model.action(id).unwrap();
    assert_eq!(action.status, ActionStatus::Failed);
    assert_eq!(action.message, "committing requested changes failed");
    assert_eq!(action.results, json!({"return-code": 1}));
    assert_eq!(world.model.unit(&unit("pg/0")).unwrap().status().status, "unknown");
}

#[test]
fn update_status_is_not_shown_as_executing() {
    let mut world = World::with(&[("pg", 1)]);
    world.pass(300);
    for (hook, shown) in
        [("update-status", AgentStatus::Idle), ("config-changed", AgentStatus::Executing)]
    {
        let run = next(&mut world, "pg/0");
        assert_eq!(run.hook.name(), hook);
        let session = world.model.begin(&run, world.now);
        assert_eq!(world.model.unit(&unit("pg/0")).unwrap().agent.status, shown, "{hook}");
        world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
        world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    }
}

#[test]
fn statuses_and_versions_are_seen_at_once() {
    let mut world = World::with(&[("pg", 1)]);
    world.on("pg/0", |tools| tools.status_set(false, "active", "up").unwrap());
    let before = world.model.unit(&unit("pg/0")).unwrap().workload.since;
    world.pass(7);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    let run = next(&mut world, "pg/0");
    let mut session = world.model.begin(&run, world.now);
    let mut tools = world.model.tools(&mut session, world.now);
    tools.status_set(false, "active", "up").unwrap();
    tools.status_set(true, "waiting", "all").unwrap();
    tools.application_version_set("16.4").unwrap();
    tools.juju_log("INFO", "halfway");
    let shown = world.model.unit(&unit("pg/0")).unwrap().workload.clone();
    assert_eq!(shown.status, "active");
    assert!(shown.since > before, "the same status again is newer");
    assert_eq!(world.model.app_status(&app("pg")).unwrap().status, "waiting");
    assert!(world.model.take_log().iter().any(|line| line.message == "halfway"));
    world.model.finish(run, session, HookOutcome::Exited(1), world.now).unwrap();
    assert_eq!(
        world.model.application(&app("pg")).unwrap().version,
        "16.4",
        "and outlive a failure"
    );
}

#[test]
fn removing_a_secret_takes_back_what_the_hook_did_to_it() {
    let mut world = related(1);
    let id = secret(&mut world, "own", false);
    world.on("pg/0", |tools| {
        tools.secret_set(&id, Some(map(&[("key", "dHdv")])), SecretMetadata::default()).unwrap();
        tools.secret_grant(&id, RELATION, None).unwrap();
        tools.secret_remove(&id, None).unwrap();
        let fresh = tools.secret_add(map(&[("key", "b25l")]), SecretMetadata::default()).unwrap();
        tools.secret_remove(&fresh, None).unwrap();
        assert_eq!(tools.secret_ids().unwrap(), []);
        // The label of what goes is free.
        let metadata = SecretMetadata { label: Some("own".to_owned()), ..Default::default() };
        tools.secret_add(map(&[("key", "b25l")]), metadata).unwrap();
    });
    assert!(world.model.secret(&id).is_none());
    assert_eq!(world.model.secrets().count(), 1);
}

#[test]
fn a_remote_bag_is_read_once_per_hook() {
    let mut world = related(1);
    world.write("client/0", 1, false, &[("a", "1")]);
    world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    let run = next(&mut world, "pg/0");
    let mut session = world.model.begin(&run, world.now);
    let mut bag = |world: &mut World, whose: &str| {
        world.model.tools(&mut session, world.now).relation_get(RELATION, &of(whose)).unwrap()
    };
    assert_eq!(bag(&mut world, "client/0").get("a").unwrap(), "1");
    assert!(bag(&mut world, "client").is_empty());
    world.model.enqueue_exec(&unit("client/0"), "true").unwrap();
    let other = next(&mut world, "client/0");
    let mut writes = world.model.begin(&other, world.now);
    let mut tools = world.model.tools(&mut writes, world.now);
    tools.relation_set(RELATION, false, map(&[("a", "2")])).unwrap();
    tools.relation_set(RELATION, true, map(&[("b", "2")])).unwrap();
    world.model.finish(other, writes, HookOutcome::Exited(0), world.now).unwrap();
    assert_eq!(bag(&mut world, "client/0").get("a").unwrap(), "1", "first read wins");
    assert!(bag(&mut world, "client").is_empty(), "first read wins");
}

#[test]
fn the_resolvers_have_jujus_order() {
    let mut world = related(1);
    let id = secret(&mut world, "own", false);
    world.on("pg/0", |tools| {
        let metadata = SecretMetadata { rotate: Some("hourly".to_owned()), ..Default::default() };
        tools.secret_set(&id, None, metadata).unwrap();
    });
    world.deploy("other", 1);
    world.settle();
    world.pass(3600);
    // All of it is due at one time.
    let pg = unit("pg/0");
    world.model.enqueue_exec(&unit("client/0"), "true").unwrap();
    let run = next(&mut world, "client/0");
    let mut session = world.model.begin(&run, world.now);
    let mut tools = world.model.tools(&mut session, world.now);
    tools.relation_set(RELATION, false, map(&[("a", "2")])).unwrap();
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    world.model.enqueue_action(world.now, &pg, "pause", Map::new()).unwrap();
    world.model.enqueue_exec(&pg, "true").unwrap();
    let container = "postgresql".parse().unwrap();
    world.model.container_notice(&pg, &container, "1", "custom", "example.com/a");
    world.model.integrate(world.now, "other:backend", "pg").unwrap();
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    let ran = world.settle();
    let own: Vec<&str> = ran.iter().filter_map(|line| line.strip_prefix("pg/0 ")).collect();
    insta::assert_snapshot!(own.join("\n"), @r"
    database-relation-created
    postgresql-pebble-custom-notice
    secret-rotate
    pause
    run-commands
    config-changed
    database-relation-changed client/0
    database-relation-joined other/0
    database-relation-changed other/0
    update-status
    ");
}

#[test]
fn what_changes_together_is_told_once() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    world.model.set_config(world.now, &app("pg"), map(&[("mode", "x")])).unwrap();
    world.model.set_trust(&app("pg"), true).unwrap();
    world.model.service_address(&app("pg"), "10.152.0.9".to_owned());
    assert_eq!(world.settle(), ["pg/0 config-changed"]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "3")])).unwrap();
    assert!(world.settle().is_empty(), "nothing is new");
}

#[test]
fn losing_the_lead_ends_what_only_the_leader_hears() {
    let mut world = World::with(&[("client", 1), ("pg", 2)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    let id = secret(&mut world, "own", false);
    world.on("pg/0", |tools| {
        let metadata = SecretMetadata { rotate: Some("hourly".to_owned()), ..Default::default() };
        tools.secret_set(&id, None, metadata).unwrap();
    });
    world.pass(3600);
    // The rotation fails on the leader, who then loses the lead.
    let busy = |line: &&String| !line.ends_with("update-status");
    let ran = world.run(|run, _| i32::from(run.hook.name() == "secret-rotate"));
    assert!(ran.contains(&"pg/0 secret-rotate !".to_owned()), "{ran:?}");
    world.model.lease_passes(&unit("pg/1"));
    let ran = world.settle();
    let ran: Vec<_> = ran.iter().filter(busy).collect();
    assert_eq!(ran, ["pg/0 leader-settings-changed", "pg/1 leader-elected", "pg/1 secret-rotate"]);
    // A write that was begun as the leader is refused at its end.
    world.model.enqueue_exec(&unit("pg/1"), "true").unwrap();
    let run = next(&mut world, "pg/1");
    let mut session = world.model.begin(&run, world.now);
    let mut tools = world.model.tools(&mut session, world.now);
    tools.relation_set(RELATION, true, map(&[("a", "1")])).unwrap();
    world.model.lease_passes(&unit("pg/0"));
    assert!(!world.model.tools(&mut session, world.now).is_leader().unwrap());
    let refused = world.model.finish(run, session, HookOutcome::Exited(0), world.now);
    assert_eq!(refused.unwrap_err().to_string(), "cannot write relation settings");
}

#[test]
fn an_action_waits_for_the_start() {
    let mut world = World::new();
    world.deploy("pg", 1);
    world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
    let ran = world.settle();
    let at = |line: &str| ran.iter().position(|ran| ran == line).unwrap();
    assert!(at("pg/0 start") < at("pg/0 pause"), "{ran:?}");
}

#[test]
fn several_writes_are_one_event() {
    let mut world = related(1);
    world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    let busy = next(&mut world, "pg/0");
    let session = world.model.begin(&busy, world.now);
    for value in ["1", "2", "3"] {
        world.model.enqueue_exec(&unit("client/0"), "true").unwrap();
        let run = next(&mut world, "client/0");
        let mut own = world.model.begin(&run, world.now);
        let mut tools = world.model.tools(&mut own, world.now);
        tools.relation_set(RELATION, false, map(&[("a", value)])).unwrap();
        world.model.finish(run, own, HookOutcome::Exited(0), world.now).unwrap();
    }
    world.model.finish(busy, session, HookOutcome::Exited(0), world.now).unwrap();
    assert_eq!(world.settle(), ["pg/0 database-relation-changed client/0"]);
}

#[test]
fn a_relation_that_ends_is_not_listed() {
    let mut world = related(1);
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    let mut seen = Vec::new();
    world.run(|run, tools| {
        if run.unit == unit("pg/0") {
            let ids = tools.relation_ids("database").unwrap().len();
            let readable = tools.relation_get(RELATION, &of("client/0")).is_ok();
            let all = tools.relation_get(RELATION, &of("client")).is_ok();
            seen.push(format!("{} {ids} {readable} {all}", run.hook.name()));
        }
        0
    });
    let departed = "database-relation-departed 1 true true";
    assert_eq!(seen, [departed, "database-relation-broken 0 true true"]);
    world.on("pg/0", |tools| {
        assert_eq!(tools.relation_ids("database").unwrap(), []);
        assert!(tools.relation_list(RELATION).is_err());
    });
}

#[test]
fn a_secret_that_is_gone_makes_no_event() {
    let mut world = related(1);
    let id = secret(&mut world, "own", true);
    world.on("client/0", |tools| {
        tools.secret_get(Some(&id), None, Revision::Tracked).unwrap();
    });
    assert!(world.on("pg/0", |tools| tools.secret_remove(&id, None).unwrap()).is_empty());
    let missing = format!("secret \"{}\" not found", id.bare());
    world.on("client/0", |tools| {
        let gone = tools.secret_get(Some(&id), None, Revision::Tracked).unwrap_err();
        assert_eq!(gone.to_string(), missing);
    });
}

#[test]
fn the_goal_state_marks_units_that_go() {
    let mut world = related(2);
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    let mut words = Vec::new();
    world.run(|run, tools| {
        if run.hook.name() == "stop" {
            let goal = tools.goal_state().unwrap();
            words = goal.units.iter().map(|(unit, (word, _))| format!("{unit} {word}")).collect();
        }
        0
    });
    assert_eq!(words, ["pg/0 unknown", "pg/1 dying"]);
}

#[test]
fn the_whole_state_has_its_limit() {
    let mut world = World::with(&[("pg", 1)]);
    let part = |n: usize| BTreeMap::from([(format!("k{n}"), Some("v".repeat(65_000)))]);
    world.on("pg/0", |tools| {
        for n in 0..32 {
            tools.state_set(part(n)).unwrap();
        }
    });
    assert_eq!(world.model.unit(&unit("pg/0")).unwrap().state.len(), 32);
    world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    let run = next(&mut world, "pg/0");
    let mut session = world.model.begin(&run, world.now);
    world.model.tools(&mut session, world.now).state_set(part(32)).unwrap();
    let refused = world.model.finish(run, session, HookOutcome::Exited(0), world.now);
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("max allowed size (2097152)"), "{words}");
    assert_eq!(world.model.unit(&unit("pg/0")).unwrap().state.len(), 32);
}

#[test]
fn state_outlives_the_pod_and_goes_with_the_unit() {
    let mut world = World::with(&[("pg", 2)]);
    let state = BTreeMap::from([("k".to_owned(), Some("v".to_owned()))]);
    world.on("pg/1", |tools| tools.state_set(state.clone()).unwrap());
    world.model.agent_stopped(&unit("pg/1"), world.now);
    world.pod(&unit("pg/1"), "other boot");
    world.settle();
    world.on("pg/1", |tools| assert_eq!(tools.state_get().unwrap(), map(&[("k", "v")])));
    for units in [1, 2] {
        world.model.scale(world.now, &app("pg"), units).unwrap();
        world.settle();
    }
    world.on("pg/1", |tools| assert!(tools.state_get().unwrap().is_empty()));
}

#[test]
fn an_application_is_not_granted_over_its_unit() {
    let mut world = related(1);
    let id = secret(&mut world, "own", false);
    world.on("pg/0", |tools| {
        let one = unit("client/0");
        tools.secret_grant(&id, RELATION, Some(&one)).unwrap();
        tools.secret_grant(&id, RELATION, Some(&one)).unwrap();
        let refused = tools.secret_grant(&id, RELATION, None).unwrap_err().to_string();
        assert!(refused.contains("unit level grants need to be revoked"), "{refused}");
    });
    assert_eq!(world.model.secret(&id).unwrap().grants.len(), 1);
}

#[test]
fn peeking_first_tracks_too() {
    let mut world = related(1);
    let id = secret(&mut world, "own", true);
    let read = |world: &mut World, revision, want: &str| {
        world.on("client/0", |tools| {
            let bag = tools.secret_get(Some(&id), None, revision).unwrap();
            assert_eq!(bag, map(&[("key", want)]));
        });
    };
    read(&mut world, Revision::Peek, "b25l");
    assert_eq!(set(&mut world, &id, "dHdv"), ["client/0 secret-changed"]);
    read(&mut world, Revision::Tracked, "b25l");
    read(&mut world, Revision::Peek, "dHdv");
}
