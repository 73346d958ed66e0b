//! Juju's layout of a unit's pod: the charm's container, the workloads, and what each sees.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use juju_names::{ModelName, UnitName};

use crate::probe::PROBE_PORT;
use crate::spec::{ContainerSpec, Limits, Mount, PodSpec};

/// Name of the container that the charm runs in.
const CHARM: &str = "charm";

/// A service account's three files are seen here.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The program that every hook tool is a link to, as the charm sees it.
const TOOL: &str = "/usr/bin/juju-exec";

/// A storage instance of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Name in the charm's metadata.
    pub name: String,
    /// Full path where the charm sees it.
    pub location: PathBuf,
    /// Folder of this machine with the data.
    pub source: PathBuf,
}

/// A workload container of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Name in the charm's metadata.
    pub name: String,
    /// Root file system of its image.
    pub image: PathBuf,
    /// Where it sees storage: full path by storage name.
    pub storage: Vec<(String, PathBuf)>,
    /// The most that it may use.
    pub limits: Limits,
}

/// A unit of a sidecar charm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPod {
    /// The unit.
    pub unit: UnitName,
    /// Its model.
    pub model: ModelName,
    /// Root file system of the charm's container.
    pub charm_image: PathBuf,
    /// Folder of this machine that holds `charm/`, `resources/` and the agent's socket.
    pub agent_dir: PathBuf,
    /// Folder of this machine with a link per hook tool; see [`link_tools`].
    pub tools_dir: PathBuf,
    /// The hook tools' program on this machine.
    pub hooktool: PathBuf,
    /// Pebble's program on this machine.
    pub pebble: PathBuf,
    /// Folder of this machine with `token`, `ca.crt` and `namespace`.
    pub service_account: Option<PathBuf>,
    /// Address of the Kubernetes API as pods see it.
    pub kubernetes: Option<SocketAddrV4>,
    /// Storage that is attached.
    pub storage: Vec<Storage>,
    /// Workloads, in the order of the charm's metadata.
    pub workloads: Vec<Workload>,
}

impl UnitPod {
    /// Name of the charm's container.
    pub const CHARM: &'static str = CHARM;

    /// The charm's folder as the charm sees it: where hooks start.
    pub fn charm_dir(&self) -> PathBuf {
        self.seen_agent_dir().join("charm")
    }

    /// The tools' folder as the charm sees it: first in a hook's `PATH`.
    pub fn seen_tools_dir(&self) -> PathBuf {
        Path::new("/var/lib/juju/tools").join(self.unit.tag())
    }

    /// The agent's folder as the charm sees it.
    pub fn seen_agent_dir(&self) -> PathBuf {
        Path::new("/var/lib/juju/agents").join(self.unit.tag())
    }

    /// The pod that Juju would make of it.
    pub fn spec(&self) -> PodSpec {
        let workloads = self.workloads.iter().enumerate();
        let workloads = workloads.map(|(index, workload)| self.workload(index, workload));
        PodSpec {
            name: self.unit.pod(),
            namespace: self.model.as_str().to_owned(),
            subdomain: Some(format!("{}-endpoints", self.unit.app().as_str())),
            containers: std::iter::once(self.charm()).chain(workloads).collect(),
        }
    }

    fn charm(&self) -> ContainerSpec {
        let mut mounts = vec![
            Mount::writable(&self.agent_dir, self.seen_agent_dir()),
            Mount::read_only(&self.tools_dir, self.seen_tools_dir()),
            Mount::read_only(&self.hooktool, TOOL),
        ];
        mounts.extend(self.workloads.iter().map(|workload| {
            Mount::shared(&workload.name, Path::new("/charm/containers").join(&workload.name))
        }));
        let storage = self.storage.iter();
        mounts.extend(storage.map(|one| Mount::writable(&one.source, &one.location)));
        let container = ContainerSpec {
            name: CHARM.to_owned(),
            image: self.charm_image.clone(),
            argv: pebble(0),
            env: [("PEBBLE", "/var/lib/pebble/default"), ("JUJU_CONTAINER_NAME", CHARM)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            mounts,
            limits: Limits::default(),
        };
        self.common(container)
    }

    fn workload(&self, index: usize, workload: &Workload) -> ContainerSpec {
        let mut mounts = vec![Mount::shared(&workload.name, "/charm/container")];
        for (name, target) in &workload.storage {
            let attached = self.storage.iter().filter(|storage| storage.name == *name);
            mounts.extend(attached.map(|storage| Mount::writable(&storage.source, target)));
        }
        let env = [
            ("JUJU_CONTAINER_NAME", workload.name.as_str()),
            ("PEBBLE", "/charm/container/pebble"),
            ("PEBBLE_SOCKET", "/charm/container/pebble.socket"),
            ("PEBBLE_COPY_ONCE", "/var/lib/pebble/default"),
        ];
        self.common(ContainerSpec {
            name: workload.name.clone(),
            image: workload.image.clone(),
            argv: pebble(index + 1),
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            mounts,
            limits: workload.limits,
        })
    }

    /// What every container of the pod has.
    fn common(&self, mut container: ContainerSpec) -> ContainerSpec {
        container.mounts.push(Mount::read_only(&self.pebble, "/charm/bin/pebble"));
        let account = self.service_account.iter();
        container.mounts.extend(account.map(|folder| Mount::read_only(folder, ACCOUNT)));
        container.env.extend(environment(self.kubernetes));
        container
    }
}

/// What runs in the `at`-th container.
fn pebble(at: usize) -> Vec<String> {
    let http = format!(":{}", usize::from(PROBE_PORT) + at);
    let words = ["/charm/bin/pebble", "run", "--create-dirs", "--hold", "--http", &http];
    words.into_iter().chain(["--verbose"]).map(str::to_owned).collect()
}

fn environment(kubernetes: Option<SocketAddrV4>) -> BTreeMap<String, String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env = BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
    if let Some(address) = kubernetes {
        let port = address.port().to_string();
        env.insert("KUBERNETES_SERVICE_HOST".to_owned(), address.ip().to_string());
        env.insert("KUBERNETES_SERVICE_PORT".to_owned(), port.clone());
        env.insert("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), port);
    }
    env
}

/// Makes `folder` hold exactly one link per tool, each to the program as the charm sees it.
pub fn link_tools(folder: &Path, tools: &[&str]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !tools.iter().any(|tool| entry.file_name() == *tool) {
            std::fs::remove_file(entry.path())?;
        }
    }
    for tool in tools {
        let link = folder.join(tool);
        if std::fs::read_link(&link).ok().as_deref() != Some(Path::new(TOOL)) {
            std::os::unix::fs::symlink(TOOL, link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> UnitPod {
        UnitPod {
            unit: "db/0".parse().unwrap(),
            model: "demo".parse().unwrap(),
            charm_image: "/images/base".into(),
            agent_dir: "/state/agents/db-0".into(),
            tools_dir: "/state/tools".into(),
            hooktool: "/lib/hooktool".into(),
            pebble: "/lib/pebble".into(),
            service_account: Some("/state/accounts/db".into()),
            kubernetes: Some("10.1.255.1:6443".parse().unwrap()),
            storage: vec![Storage {
                name: "data".to_owned(),
                location: "/var/lib/juju/storage/data/3".into(),
                source: "/vol/data".into(),
            }],
            workloads: vec![Workload {
                name: "db".to_owned(),
                image: "/images/db".into(),
                storage: vec![("data".to_owned(), "/var/lib/db".into())],
                limits: Limits::default(),
            }],
        }
    }

    fn described(container: &ContainerSpec) -> String {
        let mut lines = vec![container.argv.join(" ")];
        lines.extend(container.env.iter().map(|(key, value)| format!("{key}={value}")));
        lines.extend(container.mounts.iter().map(|mount| {
            let access = if mount.read_only { "ro" } else { "rw" };
            format!("{:?} {access} {}", mount.source, mount.target.display())
        }));
        lines.join("\n")
    }

    #[test]
    fn the_charm_sees_jujus_paths() {
        insta::assert_snapshot!(described(&unit().spec().containers[0]), @r#"
        /charm/bin/pebble run --create-dirs --hold --http :38812 --verbose
        JUJU_CONTAINER_NAME=charm
        KUBERNETES_SERVICE_HOST=10.1.255.1
        KUBERNETES_SERVICE_PORT=6443
        KUBERNETES_SERVICE_PORT_HTTPS=6443
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        PEBBLE=/var/lib/pebble/default
        Host("/state/agents/db-0") rw /var/lib/juju/agents/unit-db-0
        Host("/state/tools") ro /var/lib/juju/tools/unit-db-0
        Host("/lib/hooktool") ro /usr/bin/juju-exec
        Shared("db") rw /charm/containers/db
        Host("/vol/data") rw /var/lib/juju/storage/data/3
        Host("/lib/pebble") ro /charm/bin/pebble
        Host("/state/accounts/db") ro /var/run/secrets/kubernetes.io/serviceaccount
        "#);
    }

    #[test]
    fn the_workload_is_run_by_pebble() {
        insta::assert_snapshot!(described(&unit().spec().containers[1]), @r#"
        /charm/bin/pebble run --create-dirs --hold --http :38813 --verbose
        JUJU_CONTAINER_NAME=db
        KUBERNETES_SERVICE_HOST=10.1.255.1
        KUBERNETES_SERVICE_PORT=6443
        KUBERNETES_SERVICE_PORT_HTTPS=6443
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        PEBBLE=/charm/container/pebble
        PEBBLE_COPY_ONCE=/var/lib/pebble/default
        PEBBLE_SOCKET=/charm/container/pebble.socket
        Shared("db") rw /charm/container
        Host("/vol/data") rw /var/lib/db
        Host("/lib/pebble") ro /charm/bin/pebble
        Host("/state/accounts/db") ro /var/run/secrets/kubernetes.io/serviceaccount
        "#);
    }

    #[test]
    fn the_pod_has_its_full_name() {
        assert_eq!(unit().spec().full_name(), "db-0.db-endpoints.demo.svc.cluster.local");
    }

    #[test]
    fn tools_are_links_to_one_program() {
        let folder = tempfile::tempdir().unwrap();
        link_tools(folder.path(), &["config-get", "old"]).unwrap();
        link_tools(folder.path(), &["config-get", "status-set"]).unwrap();
        let mut found: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, ["config-get", "status-set"]);
    }
}
