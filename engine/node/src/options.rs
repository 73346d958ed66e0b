//! Where an instance keeps its things.

use std::path::PathBuf;

/// What distinguishes one instance of the engine from another. Two instances share nothing but, if
/// they wish, the folder of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// Name: 1 to 24 lower-case letters, digits and hyphens.
    pub instance: String,
    /// What is large, what containers write to and what runs: volumes, pods' root file systems
    /// with their changes, shared folders, logs. Programs must be allowed to run there.
    pub state_dir: PathBuf,
    /// What is small and gone with the machine's power: descriptions of running pods. Nothing
    /// of it can be written by a container.
    pub run_dir: PathBuf,
    /// Built images. May be shared between instances.
    pub images_dir: PathBuf,
    /// The program that starts others in containers: `containeragent`, linked statically.
    pub agent: PathBuf,
}

impl NodeOptions {
    /// Whether the instance's name can be part of the names of links, namespaces and groups.
    pub(crate) fn valid_name(&self) -> bool {
        let name = self.instance.as_bytes();
        let good = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        (1..=24).contains(&name.len()) && name.iter().all(good)
    }

    /// Folder of a pod's description.
    pub(crate) fn pod(&self, pod: &str) -> PathBuf {
        self.pods().join(pod)
    }

    /// Folder of all pods' descriptions.
    pub(crate) fn pods(&self) -> PathBuf {
        self.run_dir.join("pods")
    }

    /// Folder of a pod's files: the containers' bundles, what they share, `etc`.
    pub(crate) fn disk(&self, pod: &str) -> PathBuf {
        self.disks().join(pod)
    }

    /// Folder of all pods' files.
    pub(crate) fn disks(&self) -> PathBuf {
        self.state_dir.join("pods")
    }

    /// Folder of a container: its description, root file system, log.
    pub(crate) fn bundle(&self, pod: &str, container: &str) -> PathBuf {
        self.disk(pod).join("containers").join(container)
    }

    /// Folder of the OCI runtime's own records.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.run_dir.join("runc")
    }

    /// Folder of one of a unit's volumes.
    pub(crate) fn volume(&self, unit: &str, storage: &str) -> PathBuf {
        self.state_dir.join("volumes").join(unit).join(storage)
    }

    /// Name of the control group of all containers.
    pub(crate) fn cgroup(&self) -> String {
        format!("talisman-{}", self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(instance: &str, valid: bool) {
        let folder = PathBuf::from("/x");
        let options = NodeOptions {
            instance: instance.to_owned(),
            state_dir: folder.clone(),
            run_dir: folder.clone(),
            agent: folder.clone(),
            images_dir: folder,
        };
        assert_eq!(options.valid_name(), valid);
    }

    #[test]
    fn names_of_instances() {
        check("default", true);
        check("t-1", true);
        check("", false);
        check("a.b", false);
        check("A", false);
        check(&"a".repeat(25), false);
    }
}
