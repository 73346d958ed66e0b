//! Patroni as the charm sets it up, on a real Kubernetes, with what the failover bench does to
//! it. `make test-kubernetes` builds what it needs and runs it; `cargo test` alone leaves it out.
#![allow(clippy::print_stdout, reason = "the gaps are what one wants to know of a run")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::failover::{Fault, Made, Members};
use end_to_end::root;

/// What any client may have to wait.
const GAP_MAX: Duration = Duration::from_secs(35);
/// The variable by which this program knows that it runs on the node.
const ON_NODE: &str = "TALISMAN_ON_NODE";

#[test]
fn no_acknowledged_number_is_lost_on_a_real_node() -> Result<()> {
    if std::env::var_os(ON_NODE).is_some() {
        return suffer_all();
    }
    let status = Command::new(env!("CARGO_BIN_EXE_kubernetes"))
        .arg("node")
        .arg(std::env::current_exe()?)
        .args(["--exact", "no_acknowledged_number_is_lost_on_a_real_node", "--nocapture"])
        .env(ON_NODE, "1")
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "it does not hold on a real node; see above");
    Ok(())
}

/// What kubelet and kube-proxy would set for the whole machine, and the node's control groups.
fn machine(runner: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"] {
        found.push(format!("{name} {}", std::fs::read_to_string(format!("/proc/sys/{name}"))?));
    }
    let group = format!("talisman-kubernetes-{runner}");
    let all = std::fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path());
    let all = all.chain(["/sys/fs/cgroup".into()]).map(|hierarchy| hierarchy.join(&group));
    found.extend(all.filter(|group| group.exists()).map(|group| group.display().to_string()));
    Ok(found)
}

#[test]
fn pods_run_and_the_machine_is_as_it_was() -> Result<()> {
    // Its log is read through kubelet, which has to know who asks.
    let line = "kubectl run one --image=talisman.local/pause:1 && \
                kubectl wait --for=condition=Ready pod/one --timeout=90s && kubectl logs one";
    let mut runner =
        Command::new(env!("CARGO_BIN_EXE_kubernetes")).args(["node", "sh", "-ec", line]).spawn()?;
    let (number, before) = (runner.id(), machine(0)?);
    let status = runner.wait()?;
    ensure!(status.success(), "no pod ran; see above");
    ensure!(machine(number)? == before, "{:?} instead of {before:?}", machine(number)?);
    Ok(())
}

fn suffer_all() -> Result<()> {
    let members = Members::on_node(&Made::on_engine("e2enode")?)?;
    for fault in Fault::ALL {
        let outcome = members.suffer(fault)?;
        println!(
            "{fault:32} gap {:5.2} s, {} of {} attempts failed, healed in {:.1} s",
            outcome.gap.as_secs_f64(),
            outcome.failed,
            outcome.acknowledged + outcome.failed,
            outcome.healed.as_secs_f64(),
        );
        ensure!(outcome.gap < GAP_MAX, "{fault}: {outcome:?}");
    }
    Ok(())
}
