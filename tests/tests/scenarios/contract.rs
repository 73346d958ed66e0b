//! Rows of Juju's contract that only a real process in a real pod shows.

use std::path::Path;

use anyhow::Result;
use end_to_end::disk::SmallDisk;
use end_to_end::{Talisman, root};
use serde_json::Value;

const INSTANCE: &str = "e2econ";

fn unit(status: &Value, number: u32) -> Value {
    status["applications"]["probe"]["units"][format!("probe/{number}")].clone()
}

fn deploy(engine: &Talisman) -> Result<()> {
    let charm = root().join("tests/charms/shell-probe").display().to_string();
    let image = format!("workload-image={}", root().join("images/charm-base.yaml").display());
    let args = ["deploy", &charm, "probe", "--resource", &image];
    let limits = ["--constraints", "mem=64M cpu-power=500 arch=amd64", "--channel", "edge"];
    let output = engine.output(&[args.as_slice(), &limits].concat())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("--channel has no effect"), "{said}");
    assert!(said.contains("the constraint arch has no effect"), "{said}");
    let refused = engine.refusal(&[args.as_slice(), &["--constraints", "memory=1G"]].concat())?;
    assert!(refused.contains("the engine knows mem and cpu-power"), "{refused}");
    engine.wait_active(90)?;
    Ok(())
}

fn the_process(engine: &Talisman) -> Result<()> {
    let found = engine.action("probe/0", "process")?;
    let agent = "/var/lib/juju/agents/unit-probe-0/charm";
    let tools = "/var/lib/juju/tools/unit-probe-0";
    for (key, want) in [
        ("program", format!("{agent}/dispatch").as_str()),
        ("arguments", "0"),
        ("folder", agent),
        ("stdin", "closed"),
        ("user", "0"),
        ("language", "C.UTF-8"),
        ("terminal", "tmux-256color"),
    ] {
        assert_eq!(found[key], want, "{key}");
    }
    assert!(found["path"].as_str().unwrap().starts_with(&format!("{tools}:/")), "{found}");
    let names = "APT_LISTCHANGES_FRONTEND CHARM_DIR CLOUD_API_VERSION DEBIAN_FRONTEND JUJU_ACTION_NAME JUJU_ACTION_TAG JUJU_ACTION_UUID \
                 JUJU_AGENT_SOCKET_ADDRESS JUJU_AGENT_SOCKET_NETWORK JUJU_API_ADDRESSES \
                 JUJU_AVAILABILITY_ZONE JUJU_CHARM_DIR JUJU_CHARM_FTP_PROXY \
                 JUJU_CHARM_HTTPS_PROXY JUJU_CHARM_HTTP_PROXY JUJU_CHARM_NO_PROXY \
                 JUJU_CONTEXT_ID JUJU_DISPATCH_PATH JUJU_HOOK_NAME JUJU_MACHINE_ID \
                 JUJU_MODEL_NAME JUJU_MODEL_UUID JUJU_PRINCIPAL_UNIT JUJU_SLA JUJU_UNIT_NAME \
                 JUJU_VERSION KUBERNETES_PORT KUBERNETES_PORT_N_TCP KUBERNETES_PORT_N_TCP_ADDR \
                 KUBERNETES_PORT_N_TCP_PORT KUBERNETES_PORT_N_TCP_PROTO KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT \
                 KUBERNETES_SERVICE_PORT_HTTPS LANG PATH PWD TERM ";
    let traces = "JUJU_CHARM_NO_PROXY JUJU_CHARM_TRACE_CONFIG_CA_CERT \
                  JUJU_CHARM_TRACE_CONFIG_GRPC JUJU_CHARM_TRACE_CONFIG_HTTP";
    let names = match std::env::var("TALISMAN_JUJU").as_deref() {
        Ok("4.0") => names.replace("JUJU_SLA ", "").replace("JUJU_CHARM_NO_PROXY", traces),
        _ => names.to_owned(),
    };
    // The shell sets PWD, and some shells two more.
    let own = found["names"].as_str().unwrap().replace("OLDPWD ", "").replace("SHLVL ", "");
    assert_eq!(own, names);
    assert_eq!(found["return-code"], 0);
    assert_eq!(found["stdout"], "out of actions/process\n");
    assert_eq!(found["stderr"], "err of actions/process\n");
    Ok(())
}

fn the_log(engine: &Talisman) -> Result<()> {
    let log = engine.call(&["debug-log", "--no-tail", "--replay", "--level", "DEBUG"])?;
    for (level, line) in [("DEBUG", "out of hooks/install"), ("WARNING", "err of hooks/install")] {
        let found = log.lines().find(|found| found.ends_with(line)).unwrap_or_default();
        assert!(found.contains(level), "{line}: {found:?} in {log}");
        assert!(found.contains("unit-probe-0"), "{found}");
        assert!(found.contains("unit.probe/0.install"), "{found}");
    }
    Ok(())
}

fn juju_exec(engine: &Talisman) -> Result<()> {
    let within = ["exec", "--unit", "probe/0", "--", "/usr/bin/juju-exec -u probe/0 true"];
    let refused = engine.output(&within)?;
    assert!(!refused.status.success(), "juju-exec in a hook");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.starts_with("ERROR "), "{said}");
    let command = "/usr/bin/juju-exec -u probe/0 'state-set a=b; echo \"[$JUJU_HOOK_NAME]\" $PWD'";
    let said = engine.call(&["ssh", "probe/0", command])?;
    assert_eq!(said, "[] /var/lib/juju/agents/unit-probe-0/charm\n");
    assert_eq!(engine.call(&["exec", "--unit", "probe/0", "--", "state-get a"])?, "b\n");
    Ok(())
}

/// Who comes into a container finds its environment, Pebble's socket with it.
fn the_way_in(engine: &Talisman) -> Result<()> {
    let ssh = ["ssh", "--container", "workload", "probe/0"];
    let socket =
        engine.call(&[&ssh[..], &["echo $PEBBLE_SOCKET $JUJU_CONTAINER_NAME"]].concat())?;
    assert_eq!(socket, "/charm/container/pebble.socket workload\n");
    let plan = engine.call(&[&ssh[..], &["pebble plan"]].concat())?;
    assert_eq!(plan, "{}\n");
    Ok(())
}

/// The value of the workload's control group, whichever version this machine has.
fn limit(version_1: &str, version_2: &str) -> Option<String> {
    let group = format!("talisman-{INSTANCE}/probe-0/workload");
    let places =
        [("memory", version_1), ("cpu", version_1), ("", version_2), ("unified", version_2)];
    let mut files = places.iter().map(|(hierarchy, file)| {
        Path::new("/sys/fs/cgroup").join(hierarchy).join(&group).join(file)
    });
    let text = files.find_map(|file| std::fs::read_to_string(file).ok())?;
    Some(text.trim().to_owned())
}

/// A workload that wants more than it may have is ended, and nothing else is.
fn limits(engine: &Talisman) -> Result<()> {
    assert_eq!(limit("memory.limit_in_bytes", "memory.max").as_deref(), Some("67108864"));
    let cpu = limit("cpu.cfs_quota_us", "cpu.max").unwrap_or_default();
    assert!(["50000", "50000 100000"].contains(&cpu.as_str()), "{cpu}");
    let greedy =
        "pebble exec -- sh -c 'x=$(head -c 200000000 /dev/zero | tr \"\\\\0\" x)'; echo $?";
    let said = engine.call(&["ssh", "--container", "workload", "probe/0", greedy])?;
    assert!(!said.trim().ends_with("\n0") && said.trim() != "0", "{said}");
    engine.wait_active(90)?;
    Ok(())
}

/// A volume without room is shown, and no more once there is some.
///
/// The disk is filled from outside: it is one of memory, and what the container wrote there
/// would count against the container's own limit.
fn a_full_volume(engine: &Talisman, disk: &SmallDisk) -> Result<()> {
    let full = "the volume data/0 is full";
    let filler = format!("{}/filler", disk.folder());
    let filled = std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(&filler)?);
    assert!(filled.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull));
    let write = "dd if=/dev/zero of=/srv/data/more bs=64k count=1 conv=fsync 2>&1; true";
    let said = engine.call(&["ssh", "--container", "workload", "probe/0", write])?;
    assert!(said.contains("No space left on device"), "{said}");
    engine.wait("the full volume in the status", 60, |status| {
        unit(status, 0)["juju-status"]["message"] == full
    })?;
    assert!(engine.call(&["status"])?.contains(full));
    std::fs::remove_file(filler)?;
    engine.wait("room", 60, |status| unit(status, 0)["juju-status"]["message"].is_null())?;
    Ok(())
}

/// A pod that does not start says why in the status, and starts once it can.
fn a_pod_that_does_not_start(engine: &Talisman, disk: &SmallDisk) -> Result<()> {
    let in_the_way = format!("{}/volumes/probe-1", disk.folder());
    std::fs::write(&in_the_way, "no folder")?;
    engine.call(&["add-unit", "probe"])?;
    engine.wait("the reason in the status", 60, |status| {
        let workload = &unit(status, 1)["workload-status"];
        let words = workload["message"].as_str().unwrap_or_default();
        workload["current"] == "error" && words.contains("cannot start the pod of probe/1")
    })?;
    std::fs::remove_file(in_the_way)?;
    engine.wait_active(90)?;
    Ok(())
}

#[test]
fn the_contract_holds_for_a_real_process() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let disk = SmallDisk::mount(INSTANCE, 64)?;
    engine.call(&["up"])?;
    deploy(&engine)?;
    the_process(&engine)?;
    the_log(&engine)?;
    juju_exec(&engine)?;
    the_way_in(&engine)?;
    limits(&engine)?;
    a_full_volume(&engine, &disk)?;
    a_pod_that_does_not_start(&engine, &disk)?;
    engine.call(&["down", "--destroy-storage"]).ok();
    Ok(())
}
