//! Hooks that outlived the engine that started them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use node::{Pod, PodError, UnitPod};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often the processes are looked through: one may start another before it ends.
const PASSES_MAX: u32 = 200;
/// Between two passes.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends the hooks in the pod's charm container, because their result would be lost.
///
/// A hook's processes carry its context id. Background programs of charms that call the unit
/// from outside a hook do not, and go on.
pub(crate) async fn end(pod: &Pod) {
    for _ in 0..PASSES_MAX {
        let first = match pod.pid(UnitPod::CHARM) {
            Ok(first) => first,
            Err(PodError::NotRunning { .. }) => return,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if offthread::run(|| end_hooks_of(first)) == 0 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends the hook processes of the container whose first process is `first`, and what starts hooks
/// for an engine that is gone. How many there were.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn end_hooks_of(first: i32) -> usize {
    let own = fs::read_link(format!("/proc/{first}/ns/pid")).ok();
    let is_hook = |pid: i32| {
        let folder = Path::new("/proc").join(pid.to_string());
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        let inside = own.is_some() && fs::read_link(folder.join("ns/pid")).ok() == own;
        inside && (has_context(&read("environ")) || is_agent(&read("cmdline")))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_hook(*pid))
        .map(|pid| end_one(pid, is_hook))
        .count()
}

/// Ends a process that is still what was looked for once it is held: meanwhile its number may
/// have become another's.
fn end_one(pid: i32, is_wanted: impl Fn(i32) -> bool) {
    let Some(number) = Pid::from_raw(pid) else { return };
    // One that cannot be held now is met again with the next pass.
    let Ok(handle) = pidfd_open(number, PidfdFlags::empty()) else { return };
    if is_wanted(pid) {
        pidfd_send_signal(&handle, Signal::KILL).ok();
    }
}

/// Whether an environment block is one of a hook.
fn has_context(environment: &[u8]) -> bool {
    environment
        .split(|byte| *byte == 0)
        .any(|entry| entry.strip_prefix(b"JUJU_CONTEXT_ID=").is_some_and(|value| !value.is_empty()))
}

/// Whether a command line is that of the program that starts hooks, or of a hook that it is just
/// about to become.
fn is_agent(line: &[u8]) -> bool {
    line.split(|byte| *byte == 0).next() == Some(node::AGENT.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hooks_carry_a_context() {
        assert!(has_context(b"A=1\0JUJU_CONTEXT_ID=a/0-start-00\0B=2\0"));
        assert!(!has_context(b"A=1\0JUJU_CONTEXT_ID=\0"));
        assert!(!has_context(b"OLD_JUJU_CONTEXT_ID=x\0"));
    }

    #[test]
    fn only_what_is_still_wanted_is_ended() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        end_one(pid, |_| false);
        assert!(child.try_wait().unwrap().is_none());
        end_one(pid, |asked| asked == pid);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn what_starts_hooks_is_told_by_its_name() {
        assert!(is_agent(b"/charm/bin/containeragent\0"));
        assert!(!is_agent(b"/bin/cat\0/charm/bin/containeragent\0"));
        assert!(!is_agent(b""));
    }
}
