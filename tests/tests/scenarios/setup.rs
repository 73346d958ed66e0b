//! Starting where it cannot work, and leaving nothing behind where it did.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use end_to_end::{Talisman, root};

/// The program, where any user may run it.
fn copied(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("talisman");
    std::fs::copy(root().join("talisman"), &program).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[track_caller]
fn check(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded: {said}");
    for word in words {
        assert!(said.contains(word), "it said: {said}");
    }
}

#[test]
fn without_privilege_it_says_to_use_root() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = copied(folder.path());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program)
        .args(["--instance", "e2enouse", "up"])
        .output()?;
    check(&output, &["cannot", "root"]);
    Ok(())
}

/// Runs a shell line with mounts of its own, so that this machine can seem to lack something.
fn elsewhere(line: &str, folder: &Path) -> Output {
    let program = root().join("talisman");
    let line = format!("{line} && exec \"$2\" --instance e2enot up");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line, "sh"]).arg(folder).arg(program);
    command.env("TALISMAN_CACHE", folder).output().unwrap()
}

#[test]
fn a_missing_program_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = elsewhere("mount --bind /dev/null \"$(command -v runc)\"", folder.path());
    check(&output, &["cannot", "runc", "install"]);
    Ok(())
}

#[test]
fn a_full_disk_is_named_before_anything_starts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = elsewhere("mount -t tmpfs -o size=8m none \"$1\"", folder.path());
    check(&output, &["cannot keep images", "make room"]);
    Ok(())
}

#[test]
fn a_taken_port_is_named_before_anything_starts() -> Result<()> {
    let engine = Talisman::new("e2etaken");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let said = engine.refusal(&["up", "--forward", &format!("{port}:hello:80")])?;
    assert!(said.contains(&port.to_string()) && said.contains("choose another"), "{said}");
    assert!(engine.refusal(&["status"])?.contains("not running"));
    Ok(())
}

#[test]
fn down_leaves_nothing() -> Result<()> {
    let engine = Talisman::new("e2edown");
    engine.call(&["up"])?;
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string();
    engine.call(&["deploy", &charm, "-n", "2"])?;
    engine.wait_active(60)?;
    assert!(traces("e2edown").iter().any(|trace| trace.starts_with("namespace")));
    let said = engine.call(&["down"])?;
    assert!(said.contains("Kept"), "{said}");
    assert_eq!(traces("e2edown"), Vec::<String>::new());
    // The model comes back, with new pods.
    engine.call(&["up"])?;
    engine.wait_active(60)?;
    Ok(())
}

/// What an instance has on this machine: processes, mounts, namespaces, links, groups.
fn traces(instance: &str) -> Vec<String> {
    let mut traces = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if line.contains(&format!("--instance\0{instance}\0daemon")) {
            traces.push(format!("process {line}"));
        }
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let ours = mounts.lines().filter(|line| line.contains(&format!("talisman/{instance}/")));
    traces.extend(ours.map(|line| format!("mount {line}")));
    for (what, args) in [("namespace", &["netns", "list"][..]), ("link", &["-o", "link"][..])] {
        let output = Command::new("ip").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ours = text.lines().filter(|line| line.contains(instance));
        traces.extend(ours.map(|line| format!("{what} {line}")));
    }
    let groups = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    for group in groups.map(|entry| entry.path().join(format!("talisman-{instance}"))) {
        if group.exists() {
            traces.push(format!("group {}", group.display()));
        }
    }
    traces
}
