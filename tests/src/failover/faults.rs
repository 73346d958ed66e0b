//! What can happen to a primary.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::place::firewall;
use super::{APP, Members, UNITS, network};

/// How long a frozen or unreachable primary stays so, unless another one leads before.
const ABSENCE: Duration = Duration::from_secs(40);
/// How long the Kubernetes API is gone.
const API_ABSENCE: Duration = Duration::from_secs(60);
/// How often a frozen member is asked how the cluster is; it keeps no more waiting.
const QUESTIONS: usize = 5;

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
    /// The pod has no network until another member leads.
    NetworkCut,
    /// No member and no charm reaches the Kubernetes API for a minute.
    ApiGone,
    /// PostgreSQL and Patroni of every member are killed at once.
    EveryoneKilled,
}

impl Fault {
    /// Those that the bench measures.
    pub const ALL: [Fault; 7] = [
        Fault::Switchover,
        Fault::PostmasterKilled,
        Fault::AllKilled,
        Fault::Frozen,
        Fault::PodDeleted,
        Fault::NetworkCut,
        Fault::ApiGone,
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
            Self::ApiGone => "Kubernetes API gone for 60 s",
            Self::EveryoneKilled => "every member killed",
        })
    }
}

/// Where the Pebbles of a pod answer probes.
const PROBED: &str = "38812-38829";

/// Ends an unfinished fault, so that no test leaves one behind.
pub(super) struct Undo(Box<dyn FnMut()>);

impl Drop for Undo {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Members {
    /// Does it to the primary `pod`; a fault that lasts is over when this returns.
    pub(super) fn inject(&self, fault: Fault, pod: &str) -> Result<()> {
        match fault {
            Fault::Switchover => self.place.switch_over(pod),
            Fault::PostmasterKilled => signal("KILL", &self.processes(pod, Process::Postmaster)?),
            Fault::AllKilled => self.kill(std::iter::once(pod.to_owned())),
            Fault::EveryoneKilled => self.kill((0..UNITS).map(Self::pod)),
            Fault::Frozen => {
                let all = self.processes(pod, Process::Any)?;
                signal("STOP", &all)?;
                let _thaw = Undo(Box::new(move || drop(signal("CONT", &all))));
                self.monitor(pod)?;
                self.await_another(pod, ABSENCE)
            }
            Fault::PodDeleted => self.replace_pods(&[pod.to_owned()]),
            Fault::NetworkCut => {
                let _mend = self.cut(pod, "iif != lo", "oif != lo")?;
                self.await_another(pod, ABSENCE)
            }
            Fault::ApiGone => {
                let api = self.place.api();
                let (from, to) = (
                    format!("ip saddr {api} meta l4proto tcp"),
                    format!("ip daddr {api} meta l4proto tcp"),
                );
                let pods = (0..UNITS).map(Self::pod);
                let _mend =
                    pods.map(|pod| self.cut(&pod, &from, &to)).collect::<Result<Vec<_>>>()?;
                std::thread::sleep(API_ABSENCE);
                Ok(())
            }
        }
    }

    /// Kills Patroni and PostgreSQL of these members at once.
    fn kill(&self, pods: impl Iterator<Item = String>) -> Result<()> {
        let mut all = Vec::new();
        for pod in pods {
            all.extend(self.processes(&pod, Process::Patroni)?);
            all.extend(self.processes(&pod, Process::Postmaster)?);
        }
        signal("KILL", &all)
    }

    /// Asks a member how the cluster is, as monitoring does, and waits for no answer: a member
    /// that stands still works off what it was asked as soon as it moves again.
    fn monitor(&self, pod: &str) -> Result<()> {
        let address = self.address(pod)?;
        for _ in 0..QUESTIONS {
            drop(network::inside(&self.outlook(), move || network::ask(address, "/cluster"))?);
        }
        Ok(())
    }

    /// Drops what matches on its way into and out of a pod, until the answer is dropped.
    pub(super) fn cut(&self, pod: &str, into: &str, out: &str) -> Result<Undo> {
        // A node that is cut off goes on asking its own containers how they are.
        let rules = format!(
            "add table inet fault {{ chain in {{ type filter hook input priority -300; \
             tcp dport {PROBED} accept; {into} drop; }}; chain out {{ type filter hook output \
             priority -300; tcp sport {PROBED} accept; {out} drop; }}; }}"
        );
        let network = self.place.network(pod)?;
        firewall(&network, &rules)?;
        Ok(Undo(Box::new(move || drop(firewall(&network, "delete table inet fault")))))
    }

    /// The processes of one kind in a pod's workload container.
    fn processes(&self, pod: &str, wanted: Process) -> Result<Vec<u32>> {
        ensure!(pod.starts_with(APP), "{pod} is no pod of {APP}");
        let first = self.place.first_process(pod)?;
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
