//! What can happen to a primary.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{APP, Cluster};

/// How long a frozen or unreachable primary stays so, unless another one leads before.
const ABSENCE: Duration = Duration::from_secs(40);

/// Something that happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The lead is handed over as planned.
    Switchover,
    /// PostgreSQL is killed.
    PostmasterKilled,
    /// PostgreSQL and Patroni are killed.
    AllKilled,
    /// Every process of PostgreSQL and Patroni stands still until another member leads.
    Frozen,
    /// The pod is deleted and made anew.
    PodDeleted,
    /// The pod reaches nobody until another member leads.
    NetworkCut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 6] = [
        Fault::Switchover,
        Fault::PostmasterKilled,
        Fault::AllKilled,
        Fault::Frozen,
        Fault::PodDeleted,
        Fault::NetworkCut,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchover => "planned switchover",
            Self::PostmasterKilled => "postmaster killed",
            Self::AllKilled => "Patroni and postmaster killed",
            Self::Frozen => "primary frozen",
            Self::PodDeleted => "pod deleted",
            Self::NetworkCut => "network cut",
        })
    }
}

/// Ends an unfinished fault, so that no test leaves one behind.
struct Undo<F: FnMut()>(F);

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Cluster {
    /// Does it to the primary `pod`; a fault that lasts is over when this returns.
    pub(super) fn inject(&self, fault: Fault, pod: &str) -> Result<()> {
        match fault {
            Fault::Switchover => {
                let unit = Self::unit(pod)?;
                self.engine.call(&["run", &unit, "switchover"]).map(drop)
            }
            Fault::PostmasterKilled => signal("KILL", &self.processes(pod, Process::Postmaster)?),
            Fault::AllKilled => {
                let mut all = self.processes(pod, Process::Patroni)?;
                all.extend(self.processes(pod, Process::Postmaster)?);
                signal("KILL", &all)
            }
            Fault::Frozen => {
                let all = self.processes(pod, Process::Any)?;
                signal("STOP", &all)?;
                let _thaw = Undo(|| drop(signal("CONT", &all)));
                self.await_another(pod)
            }
            Fault::PodDeleted => self.engine.call(&["delete-pod", &Self::unit(pod)?]).map(drop),
            Fault::NetworkCut => {
                let rules = "table inet fault { chain in { type filter hook input priority -300; \
                             iif != lo drop; }; chain out { type filter hook output priority -300; \
                             oif != lo drop; }; }";
                self.firewall(pod, &format!("add {rules}"))?;
                let _mend = Undo(|| drop(self.firewall(pod, "delete table inet fault")));
                self.await_another(pod)
            }
        }
    }

    /// Waits until the others follow another primary.
    fn await_another(&self, pod: &str) -> Result<()> {
        let end = Instant::now() + ABSENCE;
        while Instant::now() < end {
            if self.primary().is_ok_and(|primary| primary != pod) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("{pod} stayed the primary")
    }

    fn firewall(&self, pod: &str, rules: &str) -> Result<()> {
        let namespace = format!("tlsm-{}.{pod}", self.instance);
        let done = Command::new("ip").args(["netns", "exec", &namespace, "nft", rules]).output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// The processes of one kind in a pod's workload container.
    fn processes(&self, pod: &str, wanted: Process) -> Result<Vec<u32>> {
        ensure!(pod.starts_with(APP), "{pod} is no pod of {APP}");
        let path = format!("/run/talisman/{}/pods/{pod}/pod.json", self.instance);
        let record: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let first = &record["containers"]["postgresql"]["pid"];
        let own = Path::new("/proc").join(first.to_string()).join("ns/pid");
        let own = std::fs::read_link(own).context("the container does not run")?;
        let all = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
        let inside = all.filter(|process| {
            std::fs::read_link(process.join("ns/pid")).is_ok_and(|namespace| namespace == own)
        });
        let found: Vec<u32> = inside.filter_map(|process| wanted.number(&process)).collect();
        ensure!(!found.is_empty(), "{wanted:?} does not run in {pod}");
        Ok(found)
    }
}

/// Which processes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Patroni,
    Postmaster,
    Any,
}

impl Process {
    /// The process's number, if it is one of these.
    fn number(self, process: &Path) -> Option<u32> {
        let line = std::fs::read_to_string(process.join("cmdline")).ok()?;
        let words: Vec<&str> = line.split('\0').collect();
        let patroni = words.iter().any(|word| word.ends_with("patroni.yml"));
        let postmaster = words.first()?.ends_with("/postgres");
        let wanted = match self {
            Self::Patroni => patroni,
            Self::Postmaster => postmaster,
            Self::Any => patroni || postmaster || words.first()?.starts_with("postgres: "),
        };
        process.file_name()?.to_str()?.parse().ok().filter(|_| wanted)
    }
}

fn signal(name: &str, processes: &[u32]) -> Result<()> {
    let numbers = processes.iter().map(u32::to_string);
    let done = Command::new("kill").arg(format!("-{name}")).args(numbers).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
