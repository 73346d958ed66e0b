//! A machine's /run as it is everywhere: small, without programs, and empty after a power cut.

use std::process::Command;

use anyhow::Result;
use end_to_end::{Talisman, program, root};

/// What happens on such a /run, seen from within: `$1` is the program, `$2` a bundle.
const LIFE: &str = r#"
set -euo pipefail
talisman() { "$program" --instance e2erun "$@"; }
program=$1
fail() { echo "$*" >&2; talisman debug-log --no-tail >&2 || true; exit 1; }
left() { find /run/talisman/e2erun /run/netns /var/lib/talisman/e2erun/pods /var/lib/talisman/e2erun/units -mindepth 1 2>/dev/null || true; }
pids() { cat /sys/fs/cgroup/{,*/}talisman-e2erun/$1/*/cgroup.procs 2>/dev/null | sort -u || true; }
# The brackets keep this very script from being found.
power_cut() {
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -q -- '--instance e2erun d[a]emon'; then
      kill -9 "${process##*/}"
    fi
  done
  pids '*' | xargs -r kill -9
}

# Every hook runs, in a first life and in one after an orderly stop.
talisman up "$2" --timeout 90 >/dev/null
[ "$(talisman exec --unit hello/0 -- echo ran)" = ran ] || fail "no hook runs"
talisman down >/dev/null
[ -z "$(left)" ] || fail "down leaves $(left)"
talisman up --timeout 90 >/dev/null

# Nothing large is there, and nothing that is meant to be run or that a container may write to.
[ "$(du -sk /run/talisman | cut -f1)" -lt 512 ] || fail "/run holds $(du -ak /run/talisman)"
programs=$(find /run/talisman -type f -perm /111)
[ -z "$programs" ] || fail "programs: $programs"
[ -n "$(pids hello-0)" ] || fail "the pod has no control group"
mounts=$(for pid in $(pids hello-0); do
  awk '$5 !~ /^\/(proc|sys)/ && $4 ~ /^\/talisman\/e2erun/ && $6 ~ /^rw/ {print $4 " at " $5}' "/proc/$pid/mountinfo" || true
done | sort -u)
[ -z "$mounts" ] || fail "containers write to $mounts"

# The power goes: every process of the instance, the network, what is mounted, what is in /run.
power_cut
for namespace in $(ip netns list | grep -o '^tlsm-e2erun[^ ]*'); do ip netns del "$namespace"; done
awk '$5 ~ /^\/var\/lib\/talisman\/e2erun\// {print $5}' /proc/self/mountinfo | tac | xargs -r umount --lazy
mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=10% tmpfs /run

# The model comes back whole, and all of it goes at the end.
talisman up --timeout 90 >/dev/null
[ "$(talisman exec --unit hello/0 -- echo ran)" = ran ] || fail "no hook runs after a power cut"

# Down works after a power cut as well.
power_cut
mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=10% tmpfs /run
talisman down >/dev/null
[ -z "$(left)" ] || fail "down leaves $(left)"
echo whole
"#;

#[test]
fn hooks_run_where_nothing_below_run_may() -> Result<()> {
    drop(Talisman::new("e2erun"));
    let folder = tempfile::tempdir()?;
    let bundle = folder.path().join("bundle.yaml");
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm");
    let text = format!(
        "bundle: kubernetes\napplications:\n  hello:\n    charm: {}\n    scale: 1\n",
        charm.display()
    );
    std::fs::write(&bundle, text)?;
    // However the life ends, nothing of it stays where this test could not reach it any more.
    let line = "mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=10% tmpfs /run || exit 1
        trap '\"$2\" --instance e2erun down --destroy-storage >/dev/null 2>&1' EXIT
        timeout 300 bash -c \"$1\" bash \"$2\" \"$3\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", line, "bash", LIFE])
        .arg(program())
        .arg(&bundle)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "whole", "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
