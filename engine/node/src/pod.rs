//! Running pods, and the description of each that survives the engine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::agent::HookCommand;
use crate::agent::ask::Agents;
use crate::container::{Runtime, id};
use crate::exec::Running;
use crate::options::NodeOptions;
use crate::process::Process;
use crate::sockets::SocketFile;
use crate::spec::PodSpec;

/// A container that something cannot be done to.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// There is no such container, or it has ended.
    #[error("cannot reach the container {container} of {pod}: it does not run")]
    NotRunning {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
    },
    /// The system does not say whether it runs.
    #[error("cannot tell whether the container {container} of {pod} runs: {source}; try again")]
    Unknown {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A program could not be started in it.
    #[error("cannot run {program} in the container {container} of {pod}: {source}")]
    Exec {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// The program asked for.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What is kept of a pod in `pod.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) address: Ipv4Addr,
    /// Digest of the specification that it was started from.
    pub(crate) digest: String,
    /// First process by container.
    pub(crate) containers: BTreeMap<String, Process>,
}

impl PodRecord {
    /// The description in the pod's folder, if there is one that makes sense.
    ///
    /// # Errors
    /// When there is one that cannot be read: its pod may run.
    pub(crate) fn load(folder: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(folder.join("pod.json")) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the description, all of it or nothing.
    pub(crate) fn save(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let part = folder.join("pod.json.part");
        std::fs::write(&part, serde_json::to_vec(self)?)?;
        std::fs::rename(part, folder.join("pod.json"))
    }

    /// Containers whose first process runs.
    fn alive(&self) -> std::io::Result<Vec<&str>> {
        let mut alive = Vec::new();
        for (name, process) in &self.containers {
            if process.alive()? {
                alive.push(name.as_str());
            }
        }
        Ok(alive)
    }
}

/// What to do so that a pod runs as specified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Remove what is there, if anything, and start it.
    Create,
    /// Start these containers again; none: it runs.
    Restart(Vec<String>),
}

/// Digest of a specification.
pub(crate) fn digest(spec: &PodSpec) -> String {
    let text = serde_json::to_vec(spec).unwrap_or_default();
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares what runs with what should run.
///
/// # Errors
/// When the system does not say what runs.
pub(crate) fn decide(spec: &PodSpec, found: Option<&PodRecord>) -> std::io::Result<Step> {
    let Some(record) = found.filter(|record| record.digest == digest(spec)) else {
        return Ok(Step::Create);
    };
    let alive = record.alive()?;
    if alive.is_empty() {
        return Ok(Step::Create);
    }
    let names = spec.containers.iter().map(|container| &container.name);
    Ok(Step::Restart(names.filter(|name| !alive.contains(&name.as_str())).cloned().collect()))
}

/// A started pod. It goes on running when this value is dropped.
#[derive(Debug, Clone)]
pub struct Pod {
    pub(crate) record: Arc<PodRecord>,
    pub(crate) entry: Arc<Entry>,
}

/// How containers are reached.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) options: NodeOptions,
    pub(crate) runtime: Runtime,
    pub(crate) agents: Agents,
}

impl Pod {
    /// Name of the pod.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Namespace that it was started in.
    pub fn namespace(&self) -> &str {
        &self.record.namespace
    }

    /// Its address.
    pub fn ip(&self) -> Ipv4Addr {
        self.record.address
    }

    /// Names of its containers.
    pub fn containers(&self) -> impl Iterator<Item = &str> {
        self.record.containers.keys().map(String::as_str)
    }

    /// Whether all containers run.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn running(&self) -> std::io::Result<bool> {
        Ok(self.record.alive()?.len() == self.record.containers.len())
    }

    /// Whether any container runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn lives(&self) -> std::io::Result<bool> {
        Ok(!self.record.alive()?.is_empty())
    }

    /// Number of a container's first process on this machine, while it runs.
    pub fn pid(&self, container: &str) -> Result<i32, PodError> {
        self.first(container).map(|process| process.pid)
    }

    fn first(&self, container: &str) -> Result<Process, PodError> {
        let (pod, name) = (self.record.name.clone(), container.to_owned());
        let Some(process) = self.record.containers.get(container) else {
            return Err(PodError::NotRunning { pod, container: name });
        };
        match process.alive() {
            Ok(true) => Ok(*process),
            Ok(false) => Err(PodError::NotRunning { pod, container: name }),
            Err(source) => Err(PodError::Unknown { pod, container: name, source }),
        }
    }

    /// Waits until a container's first process has ended; returns at once for an unknown one.
    pub async fn ended(&self, container: &str) {
        if let Some(process) = self.record.containers.get(container) {
            process.ended().await;
        }
    }

    /// Asks a container's first process to end, and ends it when `grace` has passed. The container
    /// is started again with [`Node::start_container`](crate::Node::start_container).
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn stop(&self, container: &str, grace: Duration) -> std::io::Result<()> {
        match self.record.containers.get(container) {
            Some(process) => process.stop(grace).await,
            None => Ok(()),
        }
    }

    /// Starts a program in a container, with the rights and bounds of the container.
    pub async fn exec(&self, container: &str, command: &HookCommand) -> Result<Running, PodError> {
        let first = self.first(container)?;
        let Entry { runtime, agents, .. } = &*self.entry;
        let asked = agents.start(runtime, &id(&self.record.name, container), first, command).await;
        asked.map(Running::new).map_err(|source| PodError::Exec {
            pod: self.record.name.clone(),
            container: container.to_owned(),
            program: command.argv.first().cloned().unwrap_or_default(),
            source,
        })
    }

    /// The runtime's command line that enters a container, but for what is to run there: what
    /// comes before the options of `exec`, and the container's name for after them.
    pub fn enter(&self, container: &str) -> Result<(Vec<String>, String), PodError> {
        self.first(container)?;
        let words = self.entry.runtime.words().into_iter().chain(["exec".to_owned()]);
        Ok((words.collect(), id(&self.record.name, container)))
    }

    /// This machine's path of a folder that the pod's containers share. Containers write to it:
    /// read and connect only to what [`socket`](Self::socket) gives.
    pub fn shared_dir(&self, name: &str) -> PathBuf {
        self.entry.options.disk(&self.record.name).join("shared").join(name)
    }

    /// A socket in a folder that the pod's containers share; see [`SocketFile`].
    ///
    /// # Errors
    /// When there is none, or something else in its place.
    pub fn socket(&self, shared: &str, name: &str) -> std::io::Result<SocketFile> {
        SocketFile::open(&self.shared_dir(shared), name)
    }

    /// The file that a container's first process writes its output to.
    pub fn log_file(&self, container: &str) -> PathBuf {
        self.entry.options.bundle(&self.record.name, container).join("log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ContainerSpec;

    fn spec() -> PodSpec {
        let container = |name: &str| ContainerSpec {
            name: name.to_owned(),
            image: "/i".into(),
            argv: vec![],
            env: BTreeMap::new(),
            mounts: vec![],
            limits: Default::default(),
        };
        PodSpec {
            name: "db-0".to_owned(),
            namespace: "demo".to_owned(),
            subdomain: None,
            containers: vec![container("charm"), container("db")],
        }
    }

    #[track_caller]
    fn check(alive: &[&str], changed: bool, expected: Step) {
        let own = Process::find(i32::try_from(std::process::id()).unwrap()).unwrap().unwrap();
        let dead = Process { started: own.started + 1, ..own };
        let process = |name: &str| if alive.contains(&name) { own } else { dead };
        let record = PodRecord {
            name: "db-0".to_owned(),
            namespace: "demo".to_owned(),
            address: Ipv4Addr::LOCALHOST,
            digest: if changed { String::new() } else { digest(&spec()) },
            containers: ["charm", "db"].map(|name| (name.to_owned(), process(name))).into(),
        };
        assert_eq!(decide(&spec(), Some(&record)).unwrap(), expected);
    }

    #[test]
    fn only_what_differs_is_started() {
        assert_eq!(decide(&spec(), None).unwrap(), Step::Create);
        check(&["charm", "db"], false, Step::Restart(vec![]));
        check(&["charm"], false, Step::Restart(vec!["db".to_owned()]));
        check(&[], false, Step::Create);
        check(&["charm", "db"], true, Step::Create);
    }
}
