//! What a pod is made of, as plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where something that is mounted comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A folder or file of this machine. It must exist when the pod starts.
    Host(PathBuf),
    /// A folder that containers of the pod share under this name. It is made empty when the
    /// pod starts and goes with the pod.
    Shared(String),
}

/// A folder or file that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it comes from.
    pub source: Source,
    /// Where the container sees it. Made if missing.
    pub target: PathBuf,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl Mount {
    /// A mount that the container may write to.
    pub fn writable(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: Source::Host(source.into()), target: target.into(), read_only: false }
    }

    /// A folder shared between containers of the pod.
    pub fn shared(name: impl Into<String>, target: impl Into<PathBuf>) -> Self {
        Self { source: Source::Shared(name.into()), target: target.into(), read_only: false }
    }

    /// A mount that the container may only read.
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: Source::Host(source.into()), target: target.into(), read_only: true }
    }
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name, unique in the pod.
    pub name: String,
    /// Root file system: an [`Image`](crate::Image)'s `root`. Never written to.
    pub image: PathBuf,
    /// Program and arguments of the first process.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// What it sees of this machine, and of the pod's other containers.
    pub mounts: Vec<Mount>,
    /// The most that it may use.
    #[serde(default)]
    pub limits: Limits,
}

/// The most that a container may use; `None` is all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpu: Option<u32>,
}

/// A pod: containers that share a network address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSpec {
    /// Name, unique in the instance; the pod's host name.
    pub name: String,
    /// Namespace: the Juju model.
    pub namespace: String,
    /// The headless service that gives the pod its full name.
    pub subdomain: Option<String>,
    /// Its containers.
    pub containers: Vec<ContainerSpec>,
}

impl PodSpec {
    /// The name that the pod's own hosts file leads with.
    pub fn full_name(&self) -> String {
        match &self.subdomain {
            Some(service) => {
                format!("{}.{service}.{}.svc.cluster.local", self.name, self.namespace)
            }
            None => self.name.clone(),
        }
    }

    /// Names of the folders that its containers share.
    pub(crate) fn shared(&self) -> BTreeSet<&str> {
        let mounts = self.containers.iter().flat_map(|container| &container.mounts);
        let names = mounts.filter_map(|mount| match &mount.source {
            Source::Shared(name) => Some(name.as_str()),
            Source::Host(_) => None,
        });
        names.collect()
    }
}
