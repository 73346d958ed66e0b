//! Starts and removes single containers through the OCI runtime.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::command::{CommandError, find, run};
use crate::network::{namespace_file, pod_namespace};
use crate::oci::{Place, config};
use crate::options::NodeOptions;
use crate::process::Process;
use crate::spec::{ContainerSpec, PodSpec};
use crate::{cgroups, mounts};

/// A container that could not be started or removed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its files could not be prepared.
    #[error("cannot prepare the container {container} of {pod}: {source}")]
    Prepare {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The runtime refused it.
    #[error("cannot start the container {container} of {pod}: {complaint}")]
    Start {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// What the runtime or the first process wrote.
        complaint: String,
    },
    /// The runtime could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The runtime, with its records in the instance's own folder.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    program: PathBuf,
    records: PathBuf,
}

impl Runtime {
    pub(crate) fn new(options: &NodeOptions) -> Result<Self, CommandError> {
        Ok(Self { program: find("runc")?, records: options.runtime() })
    }

    /// The runtime's program with its records; what it is to do is to be added.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.records);
        command
    }

    /// The same as words.
    pub(crate) fn words(&self) -> [String; 3] {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [text(&self.program), "--root".to_owned(), text(&self.records)]
    }

    async fn run(&self, args: &[&str]) -> Result<String, CommandError> {
        let records = self.records.to_string_lossy();
        run(&self.program, &[&["--root", &records], args].concat(), None).await
    }

    /// Ids of all containers that the runtime knows.
    pub(crate) async fn list(&self) -> Result<Vec<String>, CommandError> {
        if !self.records.is_dir() {
            return Ok(Vec::new());
        }
        let ids = self.run(&["list", "--quiet"]).await?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// Ends a container and forgets it. Does nothing when the runtime does not know it.
    pub(crate) async fn delete(&self, id: &str) -> Result<(), CommandError> {
        if self.records.join(id).exists() {
            self.run(&["delete", "--force", id]).await?;
        }
        Ok(())
    }

    /// Starts a container of `pod` on a fresh root file system.
    pub(crate) async fn start(
        &self,
        options: &NodeOptions,
        pod: &PodSpec,
        spec: &ContainerSpec,
    ) -> Result<Process, ContainerError> {
        let id = id(&pod.name, &spec.name);
        let bundle = options.bundle(&pod.name, &spec.name);
        self.delete(&id).await?;
        let log = offthread::run(|| prepare(options, pod, spec, &bundle)).map_err(|source| {
            ContainerError::Prepare { pod: pod.name.clone(), container: spec.name.clone(), source }
        })?;
        let refused = |complaint: String| ContainerError::Start {
            pod: pod.name.clone(),
            container: spec.name.clone(),
            complaint,
        };
        let pid_file = bundle.join("pid");
        let (out, err) = log;
        let status = self
            .command()
            .args(["run", "--detach", "--bundle"])
            .arg(&bundle)
            .arg("--pid-file")
            .arg(&pid_file)
            .arg(&id)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .await
            .map_err(|source| CommandError::Start { program: "runc".to_owned(), source })?;
        let pid = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.parse().ok());
        let process = match pid.filter(|_| status.success()) {
            Some(pid) => Process::find(pid).map_err(|error| refused(error.to_string()))?,
            None => None,
        };
        process.ok_or_else(|| refused(last_lines(&bundle.join("log"))))
    }
}

/// The runtime's name for a container.
pub(crate) fn id(pod: &str, container: &str) -> String {
    format!("{pod}.{container}")
}

/// Names of the containers that have files in a pod's folder.
pub(crate) fn with_files(disk: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(disk.join("containers")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Makes the bundle: a fresh overlay, the description, and the log, open twice for appending.
fn prepare(
    options: &NodeOptions,
    pod: &PodSpec,
    spec: &ContainerSpec,
    bundle: &Path,
) -> io::Result<(File, File)> {
    let root = bundle.join("rootfs");
    mounts::unmount_below(&root)?;
    mounts::remove_tree(&bundle.join("changes"))?;
    mounts::overlay(&spec.image, &bundle.join("changes"), &root)?;
    let cgroup = format!("/{}/{}/{}", options.cgroup(), pod.name, spec.name);
    let folder = options.disk(&pod.name);
    let place = Place {
        hostname: &pod.name,
        network: &namespace_file(&pod_namespace(&options.instance, &pod.name)),
        root: &root,
        cgroup: &cgroup,
        etc: &folder.join("etc"),
        open_files: open_files(),
        shared: &folder.join("shared"),
        agent: &options.agent,
        memory: memory(&std::fs::read_to_string("/proc/meminfo")?)?,
        pids: cgroups::counts_processes(),
        unified: cgroups::unified(),
    };
    std::fs::write(bundle.join("config.json"), serde_json::to_vec(&config(spec, &place))?)?;
    let log = File::options().create(true).append(true).open(bundle.join("log"))?;
    Ok((log.try_clone()?, log))
}

/// Bytes of memory in the kernel's table.
fn memory(table: &str) -> io::Result<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes
        .and_then(|number: u64| number.checked_mul(1 << 10))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo names no memory"))
}

/// As many open files as a cluster's node allows, but no more than this process may hand on:
/// raising the hard limit needs a privilege.
fn open_files() -> u64 {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    hard.unwrap_or(u64::MAX).min(1 << 20)
}

/// How much of a log is read for its last lines; a container decides how long it is.
const LAST_BYTES: u64 = 16 << 10;

fn last_lines(log: &Path) -> String {
    let mut text = Vec::new();
    // What cannot be read adds no words.
    let _ = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
        file.take(LAST_BYTES).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.reverse();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        let table = "MemFree:  1 kB\nMemTotal:        2048 kB\nBuffers: 1 kB\n";
        assert_eq!(memory(table).unwrap(), 2 << 20);
        memory("MemTotal: much\n").unwrap_err();
        memory("").unwrap_err();
    }
}
