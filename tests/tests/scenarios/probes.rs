//! Probes of containers, and what follows a bad answer: traffic, restarts, pauses.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::{Talisman, root};
use serde_json::{Value, json};

const INSTANCE: &str = "e2eprobe";
const UNIT: &str = "shell-probe/0";
const POD: &str = "pods/shell-probe-0";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices\
                      ?labelSelector=kubernetes.io/service-name%3Dshell-probe";

/// Waits until an object of the API is as it should be.
fn until(
    engine: &Talisman,
    what: &str,
    path: &str,
    seconds: u64,
    is: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        // The charm's container, from which the API is asked, may be down itself.
        let seen = engine.kubernetes(UNIT, "GET", path, "");
        match seen {
            Ok(seen) if is(&seen) => return Ok(seen),
            seen => ensure!(Instant::now() < end, "waited {seconds} s for {what}: {seen:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the pod's object says of one of its containers.
fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.and_then(|all| all.iter().find(|one| one["name"] == name)).unwrap_or(&Value::Null)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

fn workload(engine: &Talisman, script: &str) -> Result<String> {
    engine.call(&["ssh", "--container", "workload", UNIT, script])
}

/// Gives the workload's Pebble a check of a level that passes while there is a file.
fn check(engine: &Talisman, level: &str) -> Result<()> {
    let layer = format!(
        "checks: {{{level}: {{override: replace, level: {level}, period: 500ms, timeout: 400ms, \
         threshold: 1, exec: {{command: test -e /tmp/{level}}}}}}}"
    );
    workload(
        engine,
        &format!(
            "set -e; touch /tmp/{level}; echo '{layer}' > /tmp/layer; \
             PEBBLE_SOCKET=/charm/container/pebble.socket \
             /charm/bin/pebble add --combine {level} /tmp/layer"
        ),
    )?;
    Ok(())
}

fn a_pod_is_asked_as_juju_has_it_asked(engine: &Talisman) -> Result<()> {
    let pod = until(engine, "a ready pod", POD, 30, is_ready)?;
    for (at, name) in ["charm", "workload"].iter().enumerate() {
        let spec = &pod["spec"]["containers"][at];
        let port = json!(38812 + at);
        let probe = |kind: &str| {
            let probe = &spec[kind];
            ensure!(probe["httpGet"]["port"] == port, "{name}: {probe}");
            Ok((probe["periodSeconds"].clone(), probe["failureThreshold"].clone()))
        };
        assert_eq!(probe("startupProbe")?, (json!(1), json!(30)));
        assert_eq!(probe("livenessProbe")?, (json!(5), json!(3)));
        assert_eq!(probe("readinessProbe")?, (json!(5), json!(1)));
        let status = container(&pod, name);
        assert_eq!((&status["started"], &status["restartCount"]), (&json!(true), &json!(0)));
    }
    Ok(())
}

fn traffic_follows_readiness(engine: &Talisman) -> Result<()> {
    let leads = |list: &Value, ready: bool| {
        let endpoints = &list["items"][0]["endpoints"];
        endpoints[0]["conditions"]["ready"] == ready
    };
    until(engine, "a slice with the pod", SLICES, 10, |list| leads(list, true))?;
    check(engine, "ready")?;
    workload(engine, "rm /tmp/ready")?;
    let pod = until(engine, "a pod that is not ready", POD, 15, |pod| !is_ready(pod))?;
    assert_eq!(container(&pod, "charm")["ready"], true);
    assert_eq!(container(&pod, "workload")["ready"], false);
    assert_eq!(container(&pod, "workload")["restartCount"], 0);
    until(engine, "a slice without traffic", SLICES, 10, |list| leads(list, false))?;
    let ends = engine.kubernetes(UNIT, "GET", "endpoints/shell-probe", "")?;
    assert!(ends["subsets"][0]["notReadyAddresses"].is_array(), "{ends}");
    workload(engine, "touch /tmp/ready")?;
    until(engine, "a pod that is ready again", POD, 15, is_ready)?;
    until(engine, "a slice with traffic", SLICES, 10, |list| leads(list, true))?;
    Ok(())
}

/// Fails the workload's liveness until it ends.
fn fail(engine: &Talisman, restarts: u64) -> Result<()> {
    check(engine, "alive")?;
    workload(engine, "rm /tmp/alive")?;
    until(engine, "the workload's end", POD, 40, |pod| {
        let status = container(pod, "workload");
        status["started"] == false || status["restartCount"] == restarts
    })?;
    Ok(())
}

fn a_workload_that_is_not_alive_is_restarted(engine: &Talisman) -> Result<()> {
    let again = |restarts: u64| {
        until(engine, "the workload's restart", POD, 30, |pod| {
            let status = container(pod, "workload");
            status["restartCount"] == restarts && status["ready"] == true
        })
    };
    // The first restart is at once, the second after ten seconds.
    fail(engine, 1)?;
    let pod = again(1)?;
    let status = container(&pod, "workload");
    assert!(status["lastState"]["terminated"]["finishedAt"].is_string(), "{status}");
    assert_eq!(container(&pod, "charm")["restartCount"], 0);
    fail(engine, 2)?;
    let pod = until(engine, "the pause", POD, 10, |pod| {
        container(pod, "workload")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })?;
    let message = container(&pod, "workload")["state"]["waiting"]["message"].to_string();
    assert!(message.contains("back-off 10s restarting failed container=workload"), "{message}");
    again(2)?;
    // Each boot of Pebble is an event for the charm.
    ran(engine, "workload-pebble-ready", 3)
}

/// Waits until a hook has run so many times.
fn ran(engine: &Talisman, hook: &str, times: usize) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let log = engine.call(&["debug-log", "--replay", "--no-tail", "--level", "DEBUG"])?;
        let found = log.matches(&format!("out of hooks/{hook}\n")).count();
        if found == times {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{hook} ran {found} times:\n{log}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn a_charm_container_that_is_not_alive_is_restarted(engine: &Talisman) -> Result<()> {
    let address =
        |status: Value| status["applications"]["shell-probe"]["units"][UNIT]["address"].clone();
    let before = address(engine.status()?);
    let pid = format!("/var/lib/talisman/{INSTANCE}/pods/shell-probe-0/containers/charm/pid");
    let pid = std::fs::read_to_string(pid).context("no pid of the container")?;
    let stopped = Command::new("kill").args(["-STOP", pid.trim()]).status()?;
    ensure!(stopped.success(), "cannot stop the charm's Pebble");
    until(engine, "the charm container's restart", POD, 90, |pod| {
        container(pod, "charm")["restartCount"] == 1 && is_ready(pod)
    })?;
    engine.wait_active(30)?;
    assert_eq!(address(engine.status()?), before, "the pod stayed");
    // The agent ends before its container does.
    ran(engine, "stop", 1)?;
    ran(engine, "start", 2)
}

#[test]
fn containers_are_probed_and_restarted_as_kubelet_does() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let charm = root().join("tests/charms/shell-probe").display().to_string();
    let image = root().join("images/charm-base.yaml").display().to_string();
    let resource = format!("workload-image={image}");
    engine.call(&["up"])?;
    engine.call(&["deploy", &charm, "--trust", "--resource", &resource])?;
    engine.wait_active(60)?;
    a_pod_is_asked_as_juju_has_it_asked(&engine)?;
    traffic_follows_readiness(&engine)?;
    a_workload_that_is_not_alive_is_restarted(&engine)?;
    a_charm_container_that_is_not_alive_is_restarted(&engine)
}
