//! The stored form of a unit's agent: what an earlier engine wrote is read, and written as it was.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use driver::{World, unit};
use juju_model::{Model, Next};
use serde_json::{Value, json};

/// A unit that has started and waits for nothing, as earlier engines wrote it.
fn stored_machine() -> Value {
    json!({
        "installed": true,
        "started": true,
        "stopped": false,
        "removed": false,
        "leader_told": true,
        "upgrade_due": false,
        "status_set": false,
        "queued": null,
        "failed": null,
        "forced": false,
        "config_seen": 5,
        "config_again": false,
        "last_update_status": null,
        "relations": {"0": {
            "created": true,
            "members": {},
            "app_seen": 0,
            "changed_due": null,
            "left": false,
            "forgotten": false,
            "ghosts": [],
        }},
        "attached": [],
    })
}

/// The model's JSON with this as the state of its unit's agent.
fn stored(machine: &Value) -> Value {
    let mut model = serde_json::to_value(&World::with(&[("pgb", 1)]).model).unwrap();
    model["units"]["pgb/0"]["machine"] = machine.clone();
    model
}

/// The state, with these changes, is read and written again as it was; once the agent has
/// started on the old pod the hook comes next.
#[track_caller]
fn check(changes: Value, next: &str) {
    let mut machine = stored_machine();
    for (path, value) in changes.as_object().unwrap() {
        *machine.pointer_mut(path).unwrap() = value.clone();
    }
    let mut model: Model = serde_json::from_value(stored(&machine)).unwrap();
    assert_eq!(serde_json::to_value(&model).unwrap()["units"]["pgb/0"]["machine"], machine);
    model.agent_started(&unit("pgb/0"), false);
    let hook = match model.next(&unit("pgb/0"), jiff::Timestamp::UNIX_EPOCH) {
        Next::Hook(run) => run.hook.name(),
        other => format!("{other:?}"),
    };
    assert_eq!(hook, next);
}

#[test]
fn the_lifecycle_is_read() {
    let flags = |installed, started, stopped, removed| {
        json!({"/installed": installed, "/started": started, "/stopped": stopped,
               "/removed": removed})
    };
    check(flags(false, false, false, false), "install");
    check(flags(true, false, false, false), "config-changed");
    check(flags(true, true, false, false), "start");
    check(flags(true, true, true, false), "start");
    check(flags(true, true, true, true), "Gone");
}

#[test]
fn what_must_run_first_is_read() {
    check(json!({"/started": false, "/queued": {"hook": "start"}}), "start");
    check(json!({"/started": false, "/upgrade_due": true}), "upgrade-charm");
    check(json!({"/started": false, "/config_again": true}), "config-changed");
    check(json!({"/started": false, "/config_seen": null}), "config-changed");
}

#[test]
fn a_failed_hook_is_read() {
    let failed = |retry_at: &str| {
        json!({"/failed": {
            "hook": {"hook": "update-status"},
            "attempts": 2,
            "retry_at": retry_at,
            "since": "2026-01-01T00:00:00Z",
        }})
    };
    check(failed("2026-01-01T00:00:10Z"), "update-status");
    check(failed("1970-01-01T00:00:00Z"), "update-status");
}

#[test]
fn relations_are_read() {
    check(json!({"/started": false, "/relations/0/created": false}), "peers-relation-created");
    check(json!({"/relations/0/forgotten": true}), "start");
    check(json!({"/relations/0/left": true}), "start");
}

#[test]
fn what_the_first_engines_did_not_write_is_not_needed() {
    let mut machine = stored_machine();
    for key in ["forced", "config_again"] {
        machine.as_object_mut().unwrap().remove(key).unwrap();
    }
    for key in ["forgotten", "ghosts"] {
        machine["relations"]["0"].as_object_mut().unwrap().remove(key).unwrap();
    }
    let model: Model = serde_json::from_value(stored(&machine)).unwrap();
    assert_eq!(serde_json::to_value(&model).unwrap(), stored(&stored_machine()));
}
