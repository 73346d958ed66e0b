//! The contract of the Kubernetes API, on a real kube-apiserver. `make parity` builds what it
//! needs and runs it; `cargo test` alone leaves it out.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::root;

/// How long the kernel may take to end what is in a namespace.
const END_BOUND: Duration = Duration::from_secs(20);

/// The runner with a command for it. The variables that cargo sets for this test would make the
/// command's cargo build anew whatever asked for it.
fn beside(command: &[&str]) -> Command {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_kubernetes"));
    runner.arg("control-plane").args(command).current_dir(root());
    for (name, _) in std::env::vars() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start)) {
            runner.env_remove(name);
        }
    }
    runner
}

#[test]
fn the_contract_holds_on_a_real_server() -> Result<()> {
    let suite = "cargo test --locked --offline --workspace --exclude end-to-end --test contract";
    let status = beside(&suite.split(' ').collect::<Vec<_>>()).status()?;
    ensure!(status.success(), "a rule does not hold on a real server; see above");
    Ok(())
}

#[test]
fn how_the_command_ended_is_how_the_runner_ends() -> Result<()> {
    let status = beside(&["sh", "-c", "test -n \"$KUBE_CONTRACT_TOKEN\" && exit 7"]).status()?;
    ensure!(status.code() == Some(7), "it ended with {status}");
    Ok(())
}

/// Processes whose network is this one.
fn inside(network: &Path) -> Result<usize> {
    let all = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("ns/net"));
    Ok(all.filter(|link| std::fs::read_link(link).is_ok_and(|own| own == network)).count())
}

#[test]
fn nothing_is_left_of_a_runner_that_is_killed() -> Result<()> {
    let line = "readlink /proc/self/ns/net; exec sleep 600";
    let mut runner = beside(&["sh", "-c", line]).stdout(Stdio::piped()).spawn()?;
    let mut network = String::new();
    let read = BufReader::new(runner.stdout.take().context("no output")?).read_line(&mut network);
    runner.kill()?;
    runner.wait()?;
    read?;
    ensure!(network.starts_with("net:"), "the command did not start");
    let (network, end) = (Path::new(network.trim()), Instant::now() + END_BOUND);
    while inside(network)? > 0 {
        ensure!(Instant::now() < end, "{} processes are left", inside(network)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
