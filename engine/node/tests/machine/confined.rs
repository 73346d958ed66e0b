//! What a container may do: as much as kubelet with containerd gives it, however it is entered.

use std::path::Path;
use std::time::Duration;

use node::Pod;

use crate::instance::{Instance, container, pod, shell, until};

/// Tries of a container to get more than it was given.
const ESCAPES: &str = include_str!("../../../../tests/escapes.sh");

/// What the kernel says of a process with containerd's default capabilities and profile.
const CONFINED: &str = "CapInh: 0000000000000000\n\
                        CapPrm: 00000000a80425fb\n\
                        CapEff: 00000000a80425fb\n\
                        CapBnd: 00000000a80425fb\n\
                        CapAmb: 0000000000000000\n\
                        NoNewPrivs: 0\n\
                        Seccomp: 2\n\
                        done";

/// In a folder that container and machine both have.
fn trace() -> String {
    format!("/tmp/trace-of-{}", std::process::id())
}

/// A pod whose container only logs what it can do.
async fn told(own: &Instance) -> Pod {
    let mut spec = pod("one-0", vec![container("db", &own.image)]);
    let script = format!("exec 2>/dev/null\n{ESCAPES}\nexec sleep 1000");
    spec.containers[0].argv = vec!["/bin/bash".to_owned(), "-c".to_owned(), script];
    // Where the machine's own programs, if they had the container's environment, would write.
    for (key, value) in [("LD_DEBUG", "libs"), ("LD_DEBUG_OUTPUT", trace().as_str())] {
        spec.containers[0].env.insert(key.to_owned(), value.to_owned());
    }
    own.node.start_pod(&spec).await.unwrap()
}

#[track_caller]
fn check(said: &str, who: &str) {
    assert_eq!(said.trim(), CONFINED, "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_a_container_of_a_cluster() {
    let own = Instance::open("confined").await;
    let pod = told(&own).await;
    let log = || std::fs::read_to_string(pod.log_file("db")).unwrap_or_default();
    until(|| log().trim_end().ends_with("done")).await;
    check(&log(), "the container's first process");
    check(&own.lines(&pod, ESCAPES).await.join("\n"), "a hook");

    let (words, name) = pod.enter("db").unwrap();
    let entered = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .args([name.as_str(), "/bin/bash", "-c", ESCAPES])
        .output()
        .await
        .unwrap();
    check(&String::from_utf8_lossy(&entered.stdout), "a command of the operator's");

    let all = std::fs::read_dir("/tmp").unwrap().flatten().map(|entry| entry.path());
    let traces: Vec<_> =
        all.filter(|path| path.display().to_string().starts_with(&trace())).collect();
    assert!(traces.is_empty(), "a program of this machine had the container's environment");
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_ends_what_started_it_ends_nothing_else() {
    let own = Instance::open("agent").await;
    let pod = own.start("one-0").await;
    own.answers(&pod, "echo before", "before").await;
    let fatal = shell("kill -9 $PPID; echo after; exec sleep 1000");
    pod.exec("db", &fatal).await.unwrap().wait(|_| {}).await.unwrap_err();
    own.answers(&pod, "echo again", "again").await;
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_nobody_waits_for_is_ended() {
    let own = Instance::open("dropped").await;
    let pod = own.start("one-0").await;
    let running = pod.exec("db", &shell("exec -a dropped sleep 1000 & wait")).await.unwrap();
    let there = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|line| line.starts_with(b"dropped\x001000"))
    };
    until(there).await;
    drop(running);
    until(|| !there()).await;

    let mut missing = shell("true");
    missing.argv = vec!["/none".to_owned()];
    let mut lines = Vec::new();
    let running = pod.exec("db", &missing).await.unwrap();
    let status = running.wait(|line| lines.push(format!("{line:?}"))).await.unwrap();
    assert_eq!(status.code(), Some(127));
    assert!(lines[0].contains("cannot run /none"), "{lines:?}");
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_bounded_and_go_on() {
    let own = Instance::open("logs").await;
    let mut spec = pod("one-0", vec![container("db", &own.image)]);
    let script = "exec 3<>/tmp/go; yes talkative | head -c 30000000; echo first; \
                  read -r <&3; echo last; exec sleep 1000";
    let script = format!("mkfifo /tmp/go; {script}");
    spec.containers[0].argv = vec!["/bin/bash".to_owned(), "-c".to_owned(), script];
    let pod = own.node.start_pod(&spec).await.unwrap();
    let log = pod.log_file("db");
    let ends = |line: &str| {
        std::fs::read(&log).is_ok_and(|bytes| bytes.ends_with(format!("{line}\n").as_bytes()))
    };
    until(|| ends("first")).await;
    own.node.rotate_logs();
    assert_eq!(log.metadata().unwrap().len(), 0);
    assert!(log.with_extension("1").metadata().unwrap().len() <= 10 << 20);
    own.answers(&pod, "echo >/tmp/go", "").await;
    until(|| ends("last")).await;
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "last\n");
    own.close().await;
}

/// A machine that was started anew has nothing in the folder of what runs.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_pods_from_before_a_power_cut_go() {
    let own = Instance::open("power").await;
    let left = own.options.state_dir.join("pods/old-0/containers/db");
    std::fs::create_dir_all(left.join("changes/upper")).unwrap();
    let kept = own.start("one-0").await;
    let own = own.reopen().await;
    assert!(!left.exists());
    assert!(own.node.pod("one-0").unwrap().running().unwrap());
    assert!(Path::new(&kept.log_file("db")).exists());
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_has_the_containers_bounds_and_ends_while_its_children_print() {
    let own = Instance::open("bounds").await;
    let pod = own.start("one-0").await;
    own.answers(&pod, "cat /proc/self/oom_score_adj", "1000").await;
    let counted = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max";
    own.answers(&pod, counted, "4096").await;
    let noisy = pod.exec("db", &shell("while :; do echo noise; done & exit 3")).await.unwrap();
    let mut lines = 0_u64;
    let ended = tokio::time::timeout(Duration::from_secs(60), noisy.wait(|_| lines += 1)).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(3));
    assert!(lines > 0);
    own.close().await;
}
