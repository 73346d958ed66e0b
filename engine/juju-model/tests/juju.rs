//! What two versions of Juju do differently, and what an agent that has started anew has forgotten.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use driver::{World, app, map, of, unit};
use juju_model::{Hook, InClusterConfig, Juju};
use juju_names::RelationId;
use serde_json::json;

const RELATION: RelationId = RelationId(1);
const PEERS: RelationId = RelationId(0);

fn related(juju: Juju, units: u32) -> World {
    let mut world = World::under(juju, &[("client", 1), ("pg", units)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world
}

/// The lines of one unit.
fn of_unit(ran: &[String], name: &str) -> Vec<String> {
    let own = ran.iter().filter_map(|line| line.strip_prefix(&format!("{name} ")));
    own.map(str::to_owned).collect()
}

/// The values of a variable in the hooks of a unit that a change brings about.
fn variable(world: &mut World, name: &str, variable: &str) -> Vec<(String, Option<String>)> {
    let mut runs = Vec::new();
    world.run(|run, _| {
        runs.push(run.clone());
        0
    });
    let own = runs.iter().filter(|run| run.unit == unit(name));
    own.map(|run| (run.hook.name(), world.model.environment(run).get(variable).cloned())).collect()
}

#[test]
fn an_agent_that_started_anew_breaks_relations_without_a_name_and_peers_too() {
    for juju in Juju::ALL {
        let mut world = related(juju, 2);
        world.restart(&unit("pg/1"));
        world.settle();
        world.model.scale(world.now, &app("pg"), 1).unwrap();
        let some = |text: &str| Some(text.to_owned());
        let hooks = variable(&mut world, "pg/1", "JUJU_REMOTE_APP");
        let want = [
            ("pgdata-storage-detaching", None),
            ("database-peers-relation-departed", some("pg")),
            ("database-peers-relation-broken", some("")),
            ("database-relation-departed", some("client")),
            ("database-relation-broken", some("")),
            ("stop", None),
            ("remove", None),
        ];
        assert_eq!(hooks, want.map(|(hook, app)| (hook.to_owned(), app)), "{juju}");
    }
}

#[test]
fn a_hook_without_a_name_can_ask_for_it() {
    let mut world = related(Juju::V3_6, 1);
    world.restart(&unit("pg/0"));
    world.settle();
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    let mut asked = 0;
    world.run(|run, tools| {
        if run.unit == unit("pg/0") && matches!(run.hook, Hook::RelationBroken { .. }) {
            assert_eq!(tools.hook_relation().remote_app, None);
            assert_eq!(tools.relation_remote_app(RELATION).unwrap(), app("client"));
            asked += 1;
        }
        0
    });
    assert_eq!(asked, 1);
}

/// What `pg/0` runs when `pg/1` goes, which units it lists then, and what it runs when the number
/// comes again.
#[track_caller]
fn check_departure(juju: Juju, restarted: bool, gone: &[&str], listed: usize, again: &[&str]) {
    let mut world = related(juju, 2);
    if restarted {
        world.restart(&unit("pg/1"));
        world.settle();
    }
    // What it leaves behind is not what its successor begins with.
    world.write("pg/1", 0, false, &[("k", "v")]);
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    let ran = world.settle();
    assert_eq!(of_unit(&ran, "pg/0"), gone, "{juju}");
    world.on("pg/0", |tools| {
        assert_eq!(tools.relation_list(PEERS).unwrap().len(), listed, "{juju}");
    });
    world.model.scale(world.now, &app("pg"), 2).unwrap();
    let ran = world.settle();
    assert_eq!(of_unit(&ran, "pg/0"), again, "{juju}");
}

#[test]
fn survivors_may_not_hear_of_a_peer_that_goes() {
    let departed = "database-peers-relation-departed pg/1";
    let joined = "database-peers-relation-joined pg/1";
    let changed = "database-peers-relation-changed pg/1";
    check_departure(Juju::V3_6, false, &[departed], 0, &[joined, changed]);
    check_departure(Juju::V4_0, false, &[], 1, &[changed]);
    // One that breaks its peer relation causes an event.
    check_departure(Juju::V4_0, true, &[departed], 0, &[joined, changed]);
}

#[test]
fn a_survivor_hears_of_lost_peers_when_its_agent_starts() {
    let mut world = related(Juju::V4_0, 3);
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    assert_eq!(of_unit(&world.settle(), "pg/0"), Vec::<String>::new());
    assert!(world.model.has_ghosts());
    world.restart(&unit("pg/0"));
    let ran = of_unit(&world.settle(), "pg/0");
    assert!(!world.model.has_ghosts());
    assert_eq!(
        ran,
        [
            "start",
            "postgresql-pebble-ready",
            "database-peers-relation-departed pg/1",
            "database-peers-relation-departed pg/2"
        ]
    );
}

#[test]
fn options_may_be_told_twice() {
    for (juju, times) in [(Juju::V3_6, 1), (Juju::V4_0, 2)] {
        let mut world = World::under(juju, &[("pg", 1)]);
        let started = world.transcript.iter().filter(|line| line.contains("config-changed"));
        assert_eq!(started.count(), 1, "{juju}: at the start once");
        world.model.set_config(world.now, &app("pg"), map(&[("size", "5")])).unwrap();
        assert_eq!(world.settle(), vec!["pg/0 config-changed"; times], "{juju}");
    }
}

#[test]
fn a_members_bag_is_as_it_was_read_until_its_change_is_told() {
    for juju in Juju::ALL {
        let mut world = related(juju, 2);
        let read = |world: &mut World| {
            let mut seen = None;
            world.on("pg/0", |tools| {
                let bag = tools.relation_get(PEERS, &of("pg/1")).unwrap();
                seen = Some(bag.get("k").cloned());
            });
            seen.unwrap()
        };
        assert_eq!(read(&mut world), None);
        world.model.enqueue_exec(&unit("pg/1"), "true").unwrap();
        let mut seen = Vec::new();
        // Hooks before the event about the change read the old value.
        world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
        world.model.set_config(world.now, &app("pg"), map(&[("size", "5")])).unwrap();
        let mut written = false;
        world.run(|run, tools| {
            let name = run.hook.name();
            if run.unit == unit("pg/1") && name == "run-commands" {
                tools.relation_set(PEERS, false, map(&[("k", "v")])).unwrap();
                written = true;
            }
            if run.unit == unit("pg/0") && written {
                let bag = tools.relation_get(PEERS, &of("pg/1")).unwrap();
                seen.push((name, bag.get("k").cloned()));
            }
            0
        });
        let last = seen.pop().unwrap();
        assert_eq!(last.0, "database-peers-relation-changed");
        assert_eq!(last.1.as_deref(), Some("v"));
        assert!(seen.iter().all(|(_, value)| value.is_none()), "{seen:?}");
        assert_eq!(read(&mut world).as_deref(), Some("v"));
    }
}

#[test]
fn a_bag_that_is_as_it_was_may_tell_nothing() {
    for (juju, told) in [(Juju::V3_6, 1), (Juju::V4_0, 0)] {
        let mut world = related(juju, 2);
        for _ in 0..2 {
            world.model.enqueue_exec(&unit("pg/1"), "true").unwrap();
        }
        // The other unit looks only when all is written.
        world.model.agent_stopped(&unit("pg/0"), world.now);
        let mut value = "x";
        let mut ran = world.run(|run, tools| {
            if run.hook.name() == "run-commands" {
                tools.relation_set(PEERS, false, map(&[("k", value)])).unwrap();
                value = "";
            }
            0
        });
        world.restart(&unit("pg/0"));
        ran.extend(world.settle());
        let changed = of_unit(&ran, "pg/0");
        let changed = changed.iter().filter(|line| line.contains("relation-changed"));
        assert_eq!(changed.count(), told, "{juju}: {ran:?}");
    }
}

#[test]
fn a_status_is_as_the_hook_has_read_it_first() {
    let mut world = World::with(&[("pg", 1)]);
    world.on("pg/0", |tools| {
        assert_eq!(tools.status_get().unwrap().status, "unknown");
        tools.status_set(false, "active", "").unwrap();
        assert_eq!(tools.status_get().unwrap().status, "unknown");
    });
    world.on("pg/0", |tools| assert_eq!(tools.status_get().unwrap().status, "active"));
}

#[test]
fn actions_take_what_they_declare() {
    let params = || json!({"count": 1, "more": 1}).as_object().unwrap().clone();
    for (juju, taken) in [(Juju::V3_6, true), (Juju::V4_0, false)] {
        let mut world = World::under(juju, &[("pg", 1)]);
        let asked = world.model.enqueue_action(world.now, &unit("pg/0"), "pause", params());
        assert_eq!(asked.is_ok(), taken, "{juju}");
        // What says so itself is the same in both.
        let asked = world.model.enqueue_action(world.now, &unit("pg/0"), "get-password", params());
        assert!(asked.is_err(), "{juju}");
    }
}

#[test]
fn secrets_are_named_in_different_ways() {
    for (juju, scheme) in [(Juju::V3_6, "secret:"), (Juju::V4_0, "")] {
        let mut world = World::under(juju, &[("pg", 1)]);
        let mut id = None;
        world.on("pg/0", |tools| {
            let expire = Some(tools.now() + jiff::SignedDuration::from_secs(1));
            let metadata = juju_model::tools::SecretMetadata { expire, ..Default::default() };
            id = Some(tools.secret_add(map(&[("key", "b25l")]), metadata).unwrap());
        });
        world.pass(1);
        let said = variable(&mut world, "pg/0", "JUJU_SECRET_ID");
        let want = format!("{scheme}{}", id.unwrap().bare());
        assert_eq!(said, [("secret-expired".to_owned(), Some(want))], "{juju}");
    }
}

#[test]
fn databags_have_the_services_address_or_no_private_one() {
    for (juju, private) in [(Juju::V3_6, Some("10.2.0.1")), (Juju::V4_0, None)] {
        let mut world = World::new();
        world.model = world.model.under(juju);
        world.deploy("pg", 1);
        world.model.service_address(&app("pg"), "10.2.0.1".to_owned());
        world.settle();
        world.on("pg/0", |tools| {
            let bag = tools.relation_get(PEERS, &of("pg/0")).unwrap();
            assert_eq!(bag.get("private-address").map(String::as_str), private, "{juju}");
            assert_eq!(bag["ingress-address"], "10.2.0.1");
        });
    }
}

#[test]
fn another_pod_of_a_unit_wakes_nobody() {
    let mut world = World::new();
    world.deploy("pg", 2);
    world.model.service_address(&app("pg"), "10.2.0.1".to_owned());
    world.settle();
    world.model.agent_stopped(&unit("pg/1"), world.now);
    world.model.unit_address(&unit("pg/1"), Some("10.1.9.9".to_owned()));
    world.model.agent_started(&unit("pg/1"), true);
    assert_eq!(of_unit(&world.settle(), "pg/0"), Vec::<String>::new());
}

#[test]
fn the_leaders_settings_are_there_for_all_and_made_by_it() {
    let mut world = World::with(&[("pg", 2)]);
    world.on("pg/0", |tools| {
        tools.leader_set(map(&[("a", "1"), ("b", "2")])).unwrap();
        tools.leader_set(map(&[("b", "")])).unwrap();
    });
    world.on("pg/1", |tools| {
        assert_eq!(tools.leader_get().unwrap(), map(&[("a", "1")]));
        let said = tools.leader_set(map(&[("a", "2")])).unwrap_err().to_string();
        assert_eq!(said, "cannot write settings: not the leader");
    });
}

#[test]
fn units_that_do_not_lead_hear_of_the_leaders_settings_under_3_6() {
    let check = |juju: Juju, heard: &[&str]| {
        let mut world = World::under(juju, &[("pg", 2)]);
        let of_settings = |ran: &[String]| -> Vec<String> {
            ran.iter().filter(|line| line.ends_with("settings-changed")).cloned().collect()
        };
        let started = of_settings(&world.transcript);
        let set = |world: &mut World, value: &str| {
            let values = map(&[("a", value)]);
            of_settings(&world.on("pg/0", |tools| {
                tools.leader_set(values.clone()).unwrap();
            }))
        };
        let (new, same) = (set(&mut world, "1"), set(&mut world, "1"));
        world.model.agent_started(&unit("pg/0"), false);
        world.model.agent_started(&unit("pg/1"), false);
        let again = of_settings(&world.settle());
        world.model.lease_passes(&unit("pg/1"));
        let deposed = of_settings(&world.settle());
        assert_eq!([started, new, same, again, deposed].map(|ran| ran.join(" ")), heard);
    };
    let follower = "pg/1 leader-settings-changed";
    check(Juju::V3_6, &[follower, follower, "", follower, "pg/0 leader-settings-changed"]);
    check(Juju::V4_0, &["", "", "", "", ""]);
}

#[test]
fn a_credential_is_for_the_trusted() {
    let mut world = World::with(&[("pg", 1)]);
    let config = InClusterConfig {
        cloud: "localhost".to_owned(),
        host: "https://10.0.0.1:443".to_owned(),
        bearer_token: "token".to_owned(),
        ca_certificate: "certificate".to_owned(),
    };
    assert_eq!(format!("{config:?}"), "InClusterConfig(https://10.0.0.1:443)");
    world.model.pod_in_cluster(&unit("pg/0"), config);
    world.on("pg/0", |tools| {
        let said = tools.credential_get().unwrap_err().to_string();
        let want = "cannot access cloud credentials: getting model credentials: permission denied";
        assert_eq!(said, want);
    });
    world.model.set_trust(&app("pg"), true).unwrap();
    world.model.agent_started(&unit("pg/0"), false);
    let want = json!({
        "type": "kubernetes",
        "name": "localhost",
        "endpoint": "https://10.0.0.1:443",
        "credential": {"auth-type": "oauth2", "attrs": {"Token": "token"}},
        "cacertificates": ["certificate"],
        "is-controller-cloud": true,
    });
    world.on("pg/0", |tools| assert_eq!(tools.credential_get().unwrap(), want));
}

#[test]
fn an_operators_command_is_an_action_to_the_charm() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.enqueue_exec(&unit("pg/0"), "env").unwrap();
    let said = variable(&mut world, "pg/0", "JUJU_ACTION_NAME");
    assert_eq!(said, [("run-commands".to_owned(), Some("juju-exec".to_owned()))]);
    world.on("pg/0", |tools| {
        assert_eq!(tools.action_get().unwrap(), json!({"command": "true", "timeout": 3e11}));
        tools.action_set(vec![("a".to_owned(), "b".to_owned())]).unwrap();
        tools.action_log("x").unwrap();
    });
}

#[test]
fn a_store_from_before_plays_the_default() {
    let world = World::with(&[("pg", 1)]);
    let mut stored = serde_json::to_value(&world.model).unwrap();
    assert_eq!(stored.as_object_mut().unwrap().remove("juju"), Some(json!("3.6")));
    let read: juju_model::Model = serde_json::from_value(stored).unwrap();
    assert_eq!(read.juju(), Juju::V3_6);
    assert_eq!("4.0".parse::<Juju>().unwrap().rules().version, "4.0.15");
    assert!("4.1".parse::<Juju>().is_err());
}

/// A unit on Kubernetes has no machine, so the request for a reboot fails its hook; what one that
/// ended well has written stays.
#[test]
fn a_hook_that_asks_for_a_reboot_fails_after_its_writes_and_runs_again() {
    for juju in Juju::ALL {
        let mut world = related(juju, 1);
        world.model.set_config(world.now, &app("pg"), map(&[("size", "11")])).unwrap();
        let ran = world.run(|run, tools| {
            if run.hook == Hook::ConfigChanged {
                tools.relation_set(RELATION, false, map(&[("a", "b")])).unwrap();
                tools.juju_reboot(false).unwrap();
            }
            0
        });
        assert_eq!(ran, ["pg/0 config-changed", "client/0 database-relation-changed pg/0"]);
        assert_eq!(world.model.unit(&unit("pg/0")).unwrap().status().status, "error", "{juju}");
        world.pass(5);
        let again = of_unit(&world.settle(), "pg/0");
        assert_eq!(again.first().map(String::as_str), Some("config-changed"), "{juju}");
        assert_ne!(world.model.unit(&unit("pg/0")).unwrap().status().status, "error", "{juju}");
    }
}
