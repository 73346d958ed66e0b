//! Namespaces in which a Kubernetes is alone, and which take it with them.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use super::control_plane::SERVICES;
use super::{ADDRESS, FOLDER, groups};

/// How much of a Kubernetes there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The API and the controllers; their files are in memory.
    ControlPlane,
    /// A node as well, on a disk of its own.
    Node,
}

/// The network of both, and a folder in memory.
const PLAIN: &str = "ip link set lo up && ip address add \"$ADDRESS/32\" dev lo && \
     mount -t tmpfs -o mode=700 tmpfs \"$FOLDER\"";

/// What a node needs besides. Its disk is a file without a name, which goes with the last mount
/// of it. Kubelet, containerd and the network plug-ins also write below `/run`, `/var/lib` and
/// `/var/log`, and kubelet sets parameters of the whole machine: all of it is shadowed here. Where
/// nothing leads out, services need a route before kube-proxy is asked where they really are.
const NODE: &str = "
set -eu
umount \"$FOLDER\"
disk=$(mktemp -p /var/tmp)
trap 'rm -f \"$disk\"' EXIT
truncate -s 60G \"$disk\"
mkfs.ext4 -q -m 0 -O ^has_journal \"$disk\"
mount -o loop \"$disk\" \"$FOLDER\"
rm -f \"$disk\"
chmod 700 \"$FOLDER\"
mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs /run
for folder in lib log; do
  mkdir -p \"$FOLDER/shadow/$folder/upper\" \"$FOLDER/shadow/$folder/work\"
  mount -t overlay -o \"lowerdir=/var/$folder,upperdir=$FOLDER/shadow/$folder/upper,workdir=$FOLDER/shadow/$folder/work\" overlay \"/var/$folder\"
done
mkdir -p \"$FOLDER/engine\" \"$FOLDER/tmp\" /var/lib/talisman
mount --bind \"$FOLDER/engine\" /var/lib/talisman
chmod 1777 \"$FOLDER/tmp\"
mount --bind \"$FOLDER/tmp\" /tmp
mkdir \"$FOLDER/sysctl\"
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=$FOLDER/sysctl/${name##*/}
  cat \"/proc/sys/$name\" >\"$copy\"
  mount --bind \"$copy\" \"/proc/sys/$name\"
done
mount --make-rshared /
echo 1 >/proc/sys/net/ipv4/ip_forward
ip route add unreachable default
ip route add \"$SERVICES\" dev lo src \"$ADDRESS\"
trap - EXIT
";

/// Runs this program with `arguments` as the first process of namespaces of its own, and gives
/// its exit code when it has ended and nothing of it is left.
///
/// # Errors
/// When the namespaces cannot be made.
pub fn apart(extent: Extent, arguments: &[OsString]) -> Result<i32> {
    groups::sweep();
    let ready = match extent {
        Extent::ControlPlane => format!("{PLAIN} && exec \"$@\""),
        Extent::Node => format!("{PLAIN} && {{ {NODE} }} && exec \"$@\""),
    };
    let program = std::env::current_exe()?;
    // Killing this program kills `unshare`, with it the first process, and the kernel then all
    // others.
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--pid", "--mount", "--uts", "--ipc"])
        .args(["--fork", "--kill-child", "--mount-proc", "sh", "-c", &ready, "sh"])
        .arg(program)
        .args(arguments)
        .env("ADDRESS", ADDRESS)
        .env("FOLDER", FOLDER)
        .env("SERVICES", SERVICES)
        .env(groups::NAME, format!("{}{}", groups::PREFIX, std::process::id()))
        .status()
        .context("cannot make namespaces; install util-linux and run this as root")?;
    groups::sweep();
    Ok(status.code().unwrap_or(1))
}
