//! The OCI runtime's description of a container, made from a [`ContainerSpec`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::agent::AGENT;
use crate::seccomp;
use crate::spec::{ContainerSpec, Limits, Mount, Source};

/// What a container of a usual cluster may do as root.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What a container sees nothing of; the runtime passes over what this machine has not got.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where a container stands in its pod.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// Host name.
    pub(crate) hostname: &'a str,
    /// File of the pod's network namespace.
    pub(crate) network: &'a Path,
    /// The container's root file system, mounted.
    pub(crate) root: &'a Path,
    /// Path of its control group, from the root of the hierarchy.
    pub(crate) cgroup: &'a str,
    /// Folder with the pod's `hosts`, `hostname` and `resolv.conf`.
    pub(crate) etc: &'a Path,
    /// Most files that a process may have open.
    pub(crate) open_files: u64,
    /// Folder with the folders that the pod's containers share.
    pub(crate) shared: &'a Path,
    /// The program that starts others in the container.
    pub(crate) agent: &'a Path,
    /// Bytes of memory that this machine has.
    pub(crate) memory: u64,
    /// Whether processes can be counted here.
    pub(crate) pids: bool,
    /// Whether this machine has the control groups of version 2 alone.
    pub(crate) unified: bool,
}

/// The content of `config.json`.
pub(crate) fn config(spec: &ContainerSpec, place: &Place<'_>) -> Value {
    let env: Vec<String> = spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut namespaces = vec![
        json!({"type": "pid"}),
        json!({"type": "ipc"}),
        json!({"type": "uts"}),
        json!({"type": "mount"}),
        json!({"type": "network", "path": place.network}),
    ];
    if place.unified {
        namespaces.push(json!({"type": "cgroup"}));
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": spec.argv,
            "env": env,
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES,
                "effective": CAPABILITIES,
                "permitted": CAPABILITIES,
            },
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": place.open_files, "hard": place.open_files},
            ],
            "noNewPrivileges": false,
            "oomScoreAdj": oom_score(spec.limits, place.memory),
        },
        "root": {"path": place.root, "readonly": false},
        "hostname": place.hostname,
        "mounts": mounts(spec, place),
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": place.cgroup,
            "resources": resources(spec.limits, place.pids),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": seccomp::profile(),
        },
    })
}

/// The span in which a container may use its share of the processors, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// The most processes and threads of a container.
const PIDS_MAX: u32 = 4096;

/// Which containers the kernel ends first where the machine has no memory left, as kubelet says
/// it: those without limits before all others, and those with the larger share last.
fn oom_score(limits: Limits, machine: u64) -> u64 {
    if limits == Limits::default() {
        return 1000;
    }
    let share = limits.memory.unwrap_or(0).saturating_mul(1000) / machine.max(1);
    1000_u64.saturating_sub(share).clamp(3, 999)
}

fn resources(limits: Limits, pids: bool) -> Value {
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if pids {
        resources["pids"] = json!({"limit": PIDS_MAX});
    }
    if let Some(limit) = limits.memory {
        resources["memory"] = json!({"limit": limit});
    }
    if let Some(thousandths) = limits.cpu {
        // The kernel takes no quota below a millisecond.
        let quota = (u64::from(thousandths) * CPU_PERIOD / 1000).max(1000);
        resources["cpu"] = json!({"quota": quota, "period": CPU_PERIOD});
    }
    resources
}

/// The system's own mounts, then the pod's files, then the container's, parents first.
fn mounts(spec: &ContainerSpec, place: &Place<'_>) -> Vec<Value> {
    let system = [
        ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=64k"),
        ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=64m"),
        ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
        ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
        ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
    ];
    let system = system.iter().map(|(target, kind, source, options)| {
        let options: Vec<&str> = options.split(',').collect();
        json!({"destination": target, "type": kind, "source": source, "options": options})
    });
    let files = ["hosts", "hostname", "resolv.conf"]
        .map(|name| Mount::writable(place.etc.join(name), PathBuf::from("/etc").join(name)));
    let agent = Mount::read_only(place.agent, AGENT);
    let mut own: Vec<Mount> =
        files.into_iter().chain([agent]).chain(spec.mounts.iter().cloned()).collect();
    own.sort_by_key(|mount| mount.target.components().count());
    let own = own.iter().map(|mount| {
        let access = if mount.read_only { "ro" } else { "rw" };
        let source = match &mount.source {
            Source::Host(path) => path.clone(),
            Source::Shared(name) => place.shared.join(name),
        };
        json!({
            "destination": mount.target,
            "type": "bind",
            "source": source,
            "options": ["rbind", "rprivate", access],
        })
    });
    system.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(limits: Limits) -> Value {
        let spec = ContainerSpec {
            name: "db".to_owned(),
            image: "/images/db".into(),
            argv: vec!["/bin/db".to_owned()],
            env: [("A".to_owned(), "b c".to_owned())].into(),
            mounts: vec![
                Mount::read_only("/host/token", "/data/secret/token"),
                Mount::writable("/host/data", "/data"),
            ],
            limits,
        };
        let place = Place {
            hostname: "db-0",
            network: Path::new("/run/netns/x"),
            root: Path::new("/run/db/rootfs"),
            cgroup: "/talisman/test/db-0/db",
            etc: Path::new("/run/etc"),
            open_files: 20_000,
            shared: Path::new("/run/shared"),
            agent: Path::new("/lib/agent"),
            memory: 1000,
            pids: true,
            unified: false,
        };
        config(&spec, &place)
    }

    #[test]
    fn mounts_come_parents_first() {
        let targets: Vec<String> = rendered(Limits::default())["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["destination"].as_str().unwrap().to_owned())
            .filter(|target| !target.starts_with("/dev"))
            .collect();
        let expected = "/proc /sys /sys/fs/cgroup /data /etc/hosts /etc/hostname /etc/resolv.conf \
             /charm/bin/containeragent /data/secret/token";
        assert_eq!(targets.join(" "), expected);
    }

    #[track_caller]
    fn scored(memory: Option<u64>, cpu: Option<u32>, expected: u64) {
        let config = rendered(Limits { memory, cpu });
        assert_eq!(config["process"]["oomScoreAdj"], expected);
    }

    #[test]
    fn what_has_no_limits_goes_first_where_memory_ends() {
        scored(None, None, 1000);
        scored(None, Some(250), 999);
        scored(Some(0), None, 999);
        scored(Some(64), None, 936);
        scored(Some(1000), Some(250), 3);
        scored(Some(u64::MAX), None, 3);
    }

    #[test]
    fn limits_are_set_only_when_asked_for() {
        let limited = rendered(Limits { memory: Some(64), cpu: Some(250) });
        let resources = &limited["linux"]["resources"];
        assert_eq!(resources["memory"]["limit"], 64);
        assert_eq!(resources["pids"]["limit"], 4096);
        assert_eq!(resources["cpu"], json!({"quota": 25_000, "period": 100_000}));
        let plain = rendered(Limits::default());
        assert!(plain["linux"]["resources"].get("memory").is_none());
        assert!(plain["linux"]["resources"].get("cpu").is_none());
        assert_eq!(rendered(Limits::default())["process"]["env"][0], "A=b c");
        let mounts = plain["mounts"].as_array().unwrap();
        let shared = mounts.iter().find(|mount| mount["destination"] == "/dev/shm").unwrap();
        assert!(shared["options"].as_array().unwrap().contains(&json!("size=64m")));
    }
}
