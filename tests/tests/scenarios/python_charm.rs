//! A charm written in Python with `ops`, as its author would write it, on the engine.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use end_to_end::{Talisman, packed_probe, root};
use serde_json::{Value, json};

const INSTANCE: &str = "e2epy";

fn report(engine: &Talisman, unit: &str) -> Result<Value> {
    let results = engine.action(unit, "report")?;
    let Some(text) = results["report"].as_str() else { bail!("no report: {results}") };
    Ok(serde_json::from_str(text)?)
}

fn events(report: &Value) -> Vec<String> {
    let events = report["events"].as_array().unwrap();
    events.iter().map(|event| event.as_str().unwrap().to_owned()).collect()
}

/// Waits until the unit has noted an event.
fn saw(engine: &Talisman, unit: &str, event: &str) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let report = report(engine, unit)?;
        if events(&report).iter().any(|seen| seen == event) {
            return Ok(report);
        }
        if Instant::now() > deadline {
            let log = engine.call(&["debug-log", "--no-tail"])?;
            bail!("{unit} has not seen {event}: {report}\n{log}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn deploy(engine: &Talisman, name: &str, units: &str) -> Result<()> {
    let charm = packed_probe(engine)?.display().to_string();
    let image = root().join("images/charm-base.yaml").display().to_string();
    let notes = root().join("tests/charms/ops-probe/requirements.txt").display().to_string();
    engine.call(&[
        "deploy",
        &charm,
        name,
        "-n",
        units,
        "--trust",
        "--resource",
        &format!("workload-image={image}"),
        "--resource",
        &format!("notes={notes}"),
    ])?;
    Ok(())
}

/// The unit that leads, and the one that does not.
fn roles(engine: &Talisman) -> Result<(&'static str, &'static str)> {
    let status = engine.status()?;
    let leads = status["applications"]["probe"]["units"]["probe/0"]["leader"] == true;
    Ok(if leads { ("probe/0", "probe/1") } else { ("probe/1", "probe/0") })
}

fn first_events(engine: &Talisman) -> Result<()> {
    let (leader, _) = roles(engine)?;
    let seen = saw(engine, leader, "workload_pebble_ready")?;
    let events = events(&seen);
    let at = |name: &str| events.iter().position(|event| event == name);
    assert_eq!(at("install"), Some(0), "{events:?}");
    assert!(at("cluster_relation_created") < at("leader_elected"), "{events:?}");
    assert!(at("leader_elected") < at("config_changed"), "{events:?}");
    assert!(at("config_changed") < at("start"), "{events:?}");
    assert!(at("data_storage_attached").is_some(), "{events:?}");
    assert_eq!(seen["hostname"], leader.replace('/', "-"));
    assert_eq!(seen["flag"], true, "the charm sees the workload's storage");
    assert_eq!(seen["service"], true);
    assert_eq!(seen["planned"], 2);
    assert_eq!(seen["yaml"], json!({"a": [1, 2]}));
    assert!(seen["notes"].as_str().unwrap().contains("PyYAML"));
    assert_eq!(seen["app"], json!({"loudness": "3"}));
    Ok(())
}

fn peers_and_deferral(engine: &Talisman) -> Result<()> {
    engine.call(&["config", "probe", "greeting=later"])?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while report(engine, "probe/0")?["attempts"].as_u64() < Some(2) {
        assert!(Instant::now() < deadline, "the deferred event did not come again");
    }
    engine.call(&["config", "probe", "greeting=good day"])?;
    engine.wait("the greeting", 30, |status| {
        let units = &status["applications"]["probe"]["units"];
        ["probe/0", "probe/1"]
            .iter()
            .all(|unit| units[unit]["workload-status"]["message"] == "good day")
    })?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = report(engine, "probe/0")?;
        if seen["peers"]["probe/1"]["greeting"] == "good day from probe/1" {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{seen}");
    }
}

fn secrets(engine: &Talisman) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let (leader, other) = roles(engine)?;
    while report(engine, other).is_err() && Instant::now() < deadline {}
    assert_eq!(report(engine, other)?["token"], "first");
    engine.call(&["run", leader, "new-token"])?;
    saw(engine, other, "secret_changed second")?;
    Ok(())
}

fn notices_and_checks(engine: &Talisman) -> Result<()> {
    engine.call(&["run", "probe/0", "notify"])?;
    saw(engine, "probe/0", "notice example.com/probe")?;
    engine.call(&["run", "probe/0", "flag", "up=false"])?;
    saw(engine, "probe/0", "failed flag")?;
    engine.call(&["run", "probe/0", "flag", "up=true"])?;
    saw(engine, "probe/0", "recovered flag")?;
    Ok(())
}

fn from_outside(engine: &Talisman) -> Result<()> {
    engine.call(&["run", "probe/1", "tick"])?;
    saw(engine, "probe/1", "tick")?;
    let failed = engine.output(&["run", "probe/0", "fail", "--format", "json"])?;
    assert!(failed.status.success(), "the action failed, not its process");
    let answer: Value = serde_json::from_slice(&failed.stdout)?;
    assert_eq!(answer["probe/0"]["status"], "failed");
    assert_eq!(answer["probe/0"]["message"], "as asked");
    assert_eq!(answer["probe/0"]["results"]["partly"], "done");
    Ok(())
}

fn relations(engine: &Talisman) -> Result<()> {
    deploy(engine, "other", "1")?;
    engine.call(&["integrate", "probe:left", "other:right"])?;
    engine.wait_active(90)?;
    let seen = saw(engine, "other/0", "right_relation_changed")?;
    assert_eq!(seen["remote"]["probe/0"]["hello"], "other/0");
    engine.call(&["remove-relation", "probe:left", "other:right"])?;
    saw(engine, "probe/0", "left_relation_broken")?;
    Ok(())
}

/// Ends the first process of a container, as a crash would.
fn crash(container: &str) -> Result<()> {
    let file = format!("/var/lib/talisman/{INSTANCE}/pods/probe-0/containers/{container}/pid");
    let pid = std::fs::read_to_string(file)?;
    Command::new("kill").args(["-9", pid.trim()]).status()?;
    Ok(())
}

/// Waits until the unit has noted an event once more than before.
fn saw_again(engine: &Talisman, event: &str, before: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = report(engine, "probe/0").map(|report| events(&report)).unwrap_or_default();
        if seen.iter().filter(|seen| *seen == event).count() > before {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "no other {event}: {seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn crashes(engine: &Talisman) -> Result<()> {
    let address =
        |status: Value| status["applications"]["probe"]["units"]["probe/0"]["address"].clone();
    let before = address(engine.status()?);
    let seen = events(&report(engine, "probe/0")?);
    let count = |event: &str| seen.iter().filter(|seen| *seen == event).count();
    crash("workload")?;
    saw_again(engine, "workload_pebble_ready", count("workload_pebble_ready"))?;
    crash("charm")?;
    saw_again(engine, "start", count("start"))?;
    assert_eq!(address(engine.status()?), before, "the pod stayed");
    engine.wait_active(30)?;
    Ok(())
}

fn commands(engine: &Talisman) -> Result<()> {
    let said =
        engine.call(&["exec", "--unit", "probe/0", "--", "is-leader", "--format", "json"])?;
    assert!(["true", "false"].contains(&said.trim()), "{said}");
    let failed = engine.output(&["exec", "--unit", "probe/0", "--", "echo out; exit 3"])?;
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(String::from_utf8(failed.stdout)?, "out\n");
    let said =
        engine.call(&["ssh", "--container", "workload", "probe/0", "cat", "/etc/hostname"])?;
    assert_eq!(said, "probe-0\n");
    let here = root().join("target/charms/copied");
    let path = here.display().to_string();
    engine.call(&["scp", "--container", "workload", "probe/0:/etc/hostname", &path])?;
    assert_eq!(std::fs::read_to_string(&here)?, "probe-0\n");
    engine.call(&["scp", &path, "probe/0:/tmp/there"])?;
    assert_eq!(engine.call(&["ssh", "probe/0", "cat", "/tmp/there"])?, "probe-0\n");
    Ok(())
}

fn other_pods(engine: &Talisman) -> Result<()> {
    let address =
        |status: &Value| status["applications"]["probe"]["units"]["probe/1"]["address"].clone();
    let before = address(&engine.status()?);
    engine.delete_pod("probe/0", "probe/1")?;
    engine.wait("another pod", 30, |status| {
        address(status) != before && address(status).as_str().is_some_and(|text| !text.is_empty())
    })?;
    engine.wait_active(60)?;
    let seen = events(&saw(engine, "probe/1", "upgrade_charm")?);
    let stop = seen.iter().position(|event| event == "stop").unwrap();
    let after: Vec<&str> = seen[stop..].iter().map(String::as_str).collect();
    assert_eq!(after[..4], ["stop", "upgrade_charm", "config_changed", "start"], "{seen:?}");
    assert!(after.contains(&"workload_pebble_ready"), "{seen:?}");

    let charm = packed_probe(engine)?.display().to_string();
    engine.call(&["refresh", "probe", "--path", &charm])?;
    saw(engine, "probe/0", "upgrade_charm")?;
    engine.wait_active(60)?;
    assert_eq!(engine.status()?["applications"]["probe"]["charm-rev"], 1);
    Ok(())
}

#[test]
fn a_python_charm_lives_from_install_to_remove() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    engine.call(&["up"])?;
    deploy(&engine, "probe", "2")?;
    engine.wait_active(90)?;
    first_events(&engine)?;
    peers_and_deferral(&engine)?;
    secrets(&engine)?;
    notices_and_checks(&engine)?;
    from_outside(&engine)?;
    relations(&engine)?;
    commands(&engine)?;
    crashes(&engine)?;
    other_pods(&engine)?;
    engine.call(&["remove-application", "other"])?;
    engine.call(&["scale-application", "probe", "1"])?;
    engine.call(&["remove-application", "probe"])?;
    engine.wait("nothing left", 60, |status| {
        status["applications"].as_object().is_some_and(serde_json::Map::is_empty)
    })?;
    Ok(())
}
