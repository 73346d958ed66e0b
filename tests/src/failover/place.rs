//! Where members run: in an engine's pods, or in a real Kubernetes'.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::network;
use crate::kubernetes::asking;
use crate::program;

/// What faults and their checker need of the place.
pub trait Place: Send + Sync {
    /// The address of a pod as it is now.
    ///
    /// # Errors
    /// When there is no such pod.
    fn address(&self, pod: &str) -> Result<Ipv4Addr>;

    /// A network from which every pod is reached, and which no fault concerns: its file.
    fn outlook(&self) -> PathBuf;

    /// A pod's own network: its file.
    ///
    /// # Errors
    /// When there is no such pod.
    fn network(&self, pod: &str) -> Result<PathBuf>;

    /// The first process of a member's workload container.
    ///
    /// # Errors
    /// When it does not run.
    fn first_process(&self, pod: &str) -> Result<u32>;

    /// What a line of shell in a member's workload container prints.
    ///
    /// # Errors
    /// When it fails.
    fn inside(&self, pod: &str, line: &str) -> Result<String>;

    /// Hands the lead over as planned.
    ///
    /// # Errors
    /// When the member refuses.
    fn switch_over(&self, pod: &str) -> Result<()>;

    /// Deletes a pod through the API.
    ///
    /// # Errors
    /// When the API refuses.
    fn delete(&self, pod: &str) -> Result<()>;

    /// The address at which pods reach the Kubernetes API.
    fn api(&self) -> &str;
}

/// The unit of a pod.
pub(super) fn unit(pod: &str) -> Result<String> {
    let (app, number) = pod.rsplit_once('-').context("a pod without number")?;
    Ok(format!("{app}/{number}"))
}

/// Pods of an engine's instance.
pub(super) struct OnEngine {
    pub(super) instance: String,
}

impl OnEngine {
    fn call(&self, args: &[&str]) -> Result<String> {
        let output =
            Command::new(program()).args(["--instance", &self.instance]).args(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "talisman {}: {said}", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the engine notes of a pod.
    fn record(&self, pod: &str) -> Result<Value> {
        let path = format!("/run/talisman/{}/pods/{pod}/pod.json", self.instance);
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }
}

impl Place for OnEngine {
    fn address(&self, pod: &str) -> Result<Ipv4Addr> {
        Ok(self.record(pod)?["address"].as_str().context("no address")?.parse()?)
    }

    fn outlook(&self) -> PathBuf {
        network::of_pod(&self.instance, "pgbouncer-k8s-0")
    }

    fn network(&self, pod: &str) -> Result<PathBuf> {
        Ok(network::of_pod(&self.instance, pod))
    }

    fn first_process(&self, pod: &str) -> Result<u32> {
        let number = &self.record(pod)?["containers"]["postgresql"]["pid"];
        Ok(number.as_u64().context("the container does not run")?.try_into()?)
    }

    fn inside(&self, pod: &str, line: &str) -> Result<String> {
        self.call(&["ssh", "--container", "postgresql", &unit(pod)?, line])
    }

    fn switch_over(&self, pod: &str) -> Result<()> {
        self.call(&["run", &unit(pod)?, "switchover"]).map(drop)
    }

    fn delete(&self, pod: &str) -> Result<()> {
        let line = asking("DELETE", &format!("pods/{pod}"), "");
        self.call(&["ssh", "pgbouncer-k8s/0", &line]).map(drop)
    }

    fn api(&self) -> &str {
        "10.1.255.1"
    }
}

/// Runs a firewall's command in a network.
pub(super) fn firewall(network: &Path, rules: &str) -> Result<()> {
    let within = format!("--net={}", network.display());
    let done = Command::new("nsenter").args([&within, "nft", rules]).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
