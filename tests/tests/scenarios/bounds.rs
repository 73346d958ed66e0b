//! What is too much, or no file at all, is refused by name, and delays no other.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use end_to_end::{Talisman, program, root};
use serde_json::Value;

/// A charm in shell: what it does is the text of its hooks.
const METADATA: &str = "name: probe
summary: A charm in shell.
description: A charm in shell.
requires: {left: {interface: probe}}
provides: {right: {interface: probe}}
";
const DISPATCH: &str = r#"#!/bin/sh
case "$JUJU_DISPATCH_PATH" in
hooks/start) status-set active ;;
hooks/config-changed)
    for id in $(relation-ids right); do
        for key in $(config-get keys); do
            { printf '{"%s": "' "$key"; head -c 9437184 /dev/zero | tr '\0' x; printf '"}'; } >/tmp/bag
            relation-set -r "$id" --file /tmp/bag || exit 1
        done
    done
    ;;
esac
"#;
const CONFIG: &str = "options: {keys: {type: string, default: ''}}\n";

fn charm(folder: &Path) -> Result<String> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("metadata.yaml"), METADATA)?;
    fs::write(folder.join("config.yaml"), CONFIG)?;
    fs::write(folder.join("dispatch"), DISPATCH)?;
    fs::set_permissions(folder.join("dispatch"), fs::Permissions::from_mode(0o755))?;
    Ok(folder.display().to_string())
}

fn pipe(path: &Path) -> Result<String> {
    let made = Command::new("mkfifo").arg(path).status()?;
    assert!(made.success(), "cannot make a named pipe");
    Ok(path.display().to_string())
}

#[track_caller]
fn check(engine: &Talisman, args: &[&str], words: &[&str]) {
    let said = engine.refusal(args).unwrap();
    for word in words {
        assert!(said.contains(word), "{args:?} said: {said}");
    }
}

/// The entries of the instance's folder of charms.
fn charms(instance: &str) -> Vec<PathBuf> {
    let folder = Path::new("/var/lib/talisman").join(instance).join("charms");
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_no_charm_can_hold_is_refused_by_name() -> Result<()> {
    let instance = "e2ebound";
    let engine = Talisman::new(instance);
    engine.call(&["up"])?;
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let good = charm(&at("good"))?;
    engine.call(&["deploy", &good, "good"])?;
    engine.wait_active(60)?;

    let alone = pipe(&at("alone"))?;
    check(&engine, &["deploy", &alone], &["cannot read the charm", "it is a named pipe"]);
    check(&engine, &["deploy", "/dev/zero"], &["cannot read the charm", "it is a device"]);
    let piped = charm(&at("piped"))?;
    fs::create_dir(at("piped/src"))?;
    pipe(&at("piped/src/pipe"))?;
    check(&engine, &["deploy", &piped, "bad"], &["\"src/pipe\" is a named pipe"]);
    check(&engine, &["refresh", "good", "--path", &piped], &["\"src/pipe\" is a named pipe"]);
    fs::remove_file(at("piped/src/pipe"))?;
    std::os::unix::fs::symlink("/etc/passwd", at("piped/src/link"))?;
    check(&engine, &["deploy", &piped, "bad"], &["\"src/link\" is absolute"]);
    fs::remove_file(at("piped/src/link"))?;
    fs::remove_file(at("piped/config.yaml"))?;
    pipe(&at("piped/config.yaml"))?;
    check(&engine, &["deploy", &piped, "bad"], &["config.yaml", "it is a named pipe"]);

    let huge = charm(&at("huge"))?;
    File::create(at("huge/zeros"))?.set_len(3 << 30)?;
    check(&engine, &["deploy", &huge, "bad"], &["its files have more than 1073741824 bytes"]);

    let path = charm(&at("path"))?;
    let resources = "resources: {'../../x': {type: file, filename: y}}\n";
    fs::write(at("path/metadata.yaml"), format!("{METADATA}{resources}"))?;
    let given = format!("../../x={}", at("good/dispatch").display());
    let words = ["charm's resources: \"../../x\" is no name"];
    check(&engine, &["deploy", &path, "bad", "--resource", &given], &words);
    let resources = "resources: {notes: {type: file, filename: notes.txt}}\n";
    fs::write(at("path/metadata.yaml"), format!("{METADATA}{resources}"))?;
    let given = format!("notes={alone}");
    check(&engine, &["deploy", &path, "bad", "--resource", &given], &["it is a named pipe"]);

    assert!(engine.wait_active(10).is_ok());
    let left = charms(instance);
    assert_eq!(left, [Path::new("/var/lib/talisman").join(instance).join("charms/good")]);
    Ok(())
}

#[test]
fn a_dispatch_that_cannot_start_is_refused_and_one_that_was_lost_is_named() -> Result<()> {
    let instance = "e2empty";
    let engine = Talisman::new(instance);
    engine.call(&["up"])?;
    let folder = tempfile::tempdir()?;
    let path = charm(&folder.path().join("probe"))?;
    let dispatch = folder.path().join("probe/dispatch");
    engine.call(&["deploy", &path])?;
    engine.wait_active(60)?;
    fs::write(&dispatch, "")?;
    check(&engine, &["deploy", &path, "other"], &["its dispatch is empty; pack the charm again"]);
    check(&engine, &["refresh", "probe", "--path", &path], &["its dispatch is empty"]);
    fs::write(&dispatch, DISPATCH)?;
    fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o644))?;
    check(&engine, &["refresh", "probe", "--path", &path], &["its dispatch may not be executed"]);
    engine.wait_active(10)?;

    // As a disk may leave it that lost power.
    engine.call(&["down"])?;
    let kept = format!("/var/lib/talisman/{instance}/charms/probe/0/charm/dispatch");
    File::options().write(true).open(&kept)?.set_len(0)?;
    Command::new(program())
        .args(["--instance", instance, "up", "--timeout", "3"])
        .stderr(Stdio::null())
        .status()?;
    engine.wait("the lost charm by name", 30, |status| {
        let unit = &status["applications"]["probe"]["units"]["probe/0"];
        unit.to_string().contains("is empty, as if the disk had lost it; refresh probe")
    })?;
    fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o755))?;
    engine.call(&["refresh", "probe", "--path", &path])?;
    engine.wait_active(60)?;
    Ok(())
}

/// Starts commands that go on while the test looks.
fn begin(instance: &str, args: &[&str]) -> Result<Child> {
    let mut command = Command::new(program());
    command.args(["--instance", instance]).args(args).current_dir(root());
    Ok(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
}

fn end(child: Child) -> Result<String> {
    let output = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(words) } else { bail!("{words}") }
}

/// More charms are unpacked at once than the daemon has threads, and it answers meanwhile. Then
/// it dies among them, and nothing of them is left.
#[test]
fn nobody_waits_while_charms_are_unpacked() -> Result<()> {
    let instance = "e2eslow";
    let engine = Talisman::new(instance);
    engine.call(&["up"])?;
    let folder = tempfile::tempdir()?;
    let path = charm(&folder.path().join("probe"))?;
    File::create(folder.path().join("probe/zeros"))?.set_len(400 << 20)?;
    let names = ["a", "b", "c", "d"];
    let deploys = names.map(|name| begin(instance, &["deploy", &path, name]));
    let mut deploys = deploys.into_iter().collect::<Result<Vec<_>>>()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while charms(instance).len() < names.len() {
        assert!(Instant::now() < deadline, "the charms are not unpacked");
        std::thread::yield_now();
    }
    engine.status()?;
    for deploy in &mut deploys {
        assert!(deploy.try_wait()?.is_none(), "the answer came after a charm was unpacked");
    }
    let daemon = engine_process(instance).context("the engine does not run")?;
    Command::new("kill").args(["-9", &daemon.to_string()]).status()?;
    for deploy in deploys {
        deploy.wait_with_output()?;
    }
    engine.call(&["up"])?;
    let deployed = engine.status()?["applications"].as_object().map_or(0, |apps| apps.len());
    let deadline = Instant::now() + Duration::from_secs(30);
    while charms(instance).len() > deployed {
        assert!(Instant::now() < deadline, "what was half unpacked stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The number of an instance's engine, found by its command line.
fn engine_process(instance: &str) -> Option<u32> {
    engine_processes(instance).into_iter().next()
}

fn engine_processes(instance: &str) -> Vec<u32> {
    let wanted = ["--instance", instance, "daemon"];
    let is_it = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> =
            line.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok()).collect();
        words.windows(wanted.len()).any(|window| window == wanted)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_it).collect()
}

#[test]
fn of_several_up_at_once_one_starts_and_the_others_wait() -> Result<()> {
    let instance = "e2eups";
    let engine = Talisman::new(instance);
    let folder = tempfile::tempdir()?;
    charm(&folder.path().join("probe"))?;
    fs::write(
        folder.path().join("probe/metadata.yaml"),
        format!("{METADATA}resources: {{notes: {{type: file, filename: notes.txt}}}}\n"),
    )?;
    fs::write(folder.path().join("notes.md"), "a bundle's file\n")?;
    let bundle = folder.path().join("bundle.yaml");
    let text = "applications: {probe: {charm: ./probe, resources: {notes: ./notes.md}}}\n";
    fs::write(&bundle, text)?;
    let bundle = bundle.display().to_string();
    let all: Vec<Child> =
        (0..5).map(|_| begin(instance, &["up", &bundle])).collect::<Result<_>>()?;
    let words = all.into_iter().map(end).collect::<Result<Vec<_>>>()?;
    let started = words.iter().filter(|said| said.contains("engine started")).count();
    assert_eq!(started, 1, "{words:?}");
    assert_eq!(engine_processes(instance).len(), 1);
    let notes = ["exec", "--unit", "probe/0", "--", "sh -c 'cat $(resource-get notes)'"];
    assert!(engine.call(&notes)?.contains("a bundle's file"));
    Ok(())
}

fn store_size(instance: &str) -> u64 {
    fs::metadata(format!("/var/lib/talisman/{instance}/model.redb")).map_or(0, |file| file.len())
}

#[test]
fn a_bag_of_40_mb_fails_its_writer_alone() -> Result<()> {
    let instance = "e2ebag";
    let engine = Talisman::new(instance);
    engine.call(&["up"])?;
    let folder = tempfile::tempdir()?;
    let path = charm(&folder.path().join("probe"))?;
    engine.call(&["deploy", &path, "writer"])?;
    engine.call(&["deploy", &path, "reader"])?;
    engine.call(&["integrate", "writer:right", "reader:left"])?;
    engine.wait_active(60)?;
    engine.call(&["config", "writer", "keys=a b c d"])?;
    let failed = |status: &Value| {
        let unit = &status["applications"]["writer"]["units"]["writer/0"];
        unit["workload-status"]["message"] == "hook failed: \"config-changed\""
    };
    engine.wait("the writer's hook to fail", 60, failed)?;
    let log = engine.call(&["debug-log", "--replay", "--no-tail"])?;
    assert!(log.contains("cannot buffer more than 33554432 bytes in one hook"), "{log}");
    engine.call(&["config", "writer", "keys=a b"])?;
    engine.call(&["resolve", "writer/0"])?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let words = "cannot write the databag of relation 0: it would have 188747";
    while !engine.call(&["debug-log", "--replay", "--no-tail"])?.contains(words) {
        assert!(
            Instant::now() < deadline,
            "{}",
            engine.call(&["debug-log", "--replay", "--no-tail"])?
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let reading = "for id in $(relation-ids left); do relation-get -r $id - writer/0 | wc -c; done";
    let read = ["exec", "--unit", "reader/0", "--", reading];
    assert!(engine.call(&read)?.trim().parse::<u64>()? < 1000);
    let reader = &engine.status()?["applications"]["reader"]["units"]["reader/0"];
    assert_eq!(reader["workload-status"]["current"], "active", "{reader}");
    assert!(store_size(instance) < 16 << 20, "the store has {} bytes", store_size(instance));

    // What fits is kept, read, and leaves no room behind once it is gone.
    engine.call(&["config", "writer", "keys=a"])?;
    engine.call(&["resolve", "writer/0"])?;
    engine.wait_active(60)?;
    assert!(engine.call(&read)?.trim().parse::<u64>()? > 9_437_184);
    assert!(store_size(instance) > 9_437_184);
    // A new pod's hook would write it again.
    engine.call(&["config", "writer", "keys="])?;
    let clearing = "for id in $(relation-ids right); do relation-set -r $id a=; done";
    engine.call(&["exec", "--unit", "writer/0", "--", clearing])?;
    engine.wait_active(60)?;
    engine.call(&["down"])?;
    engine.call(&["up"])?;
    assert!(store_size(instance) < 8 << 20, "the store has {} bytes", store_size(instance));
    Ok(())
}

/// A charm's process that talks to the engine in any way it likes delays no other.
#[test]
fn a_unit_that_says_nothing_or_too_much_holds_up_nobody() -> Result<()> {
    let engine = Talisman::new("e2esock");
    engine.call(&["up"])?;
    let folder = tempfile::tempdir()?;
    let path = charm(&folder.path().join("probe"))?;
    engine.call(&["deploy", &path])?;
    engine.wait_active(60)?;
    // Of two units that start at once, either may lead.
    engine.call(&["add-unit", "probe"])?;
    engine.wait_active(60)?;
    let script = r#"
import os, socket
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["JUJU_AGENT_SOCKET_ADDRESS"])
    return s
s = connect()
s.sendall(b"\xff\xff\xff\xff")
print(s.recv(1000).decode(errors="replace"), flush=True)
idle = [connect() for _ in range(20)]
half = connect()
half.sendall((16 << 20).to_bytes(4, "little") + b"x" * 1000)
os.execvp("sh", ["sh", "-c", "sleep 60"])
"#;
    fs::write(folder.path().join("script.py"), script)?;
    let source = folder.path().join("script.py").display().to_string();
    engine.call(&["scp", &source, "probe/0:/tmp/script.py"])?;
    let run =
        ["exec", "--unit", "probe/0", "--wait", "20s", "--", "timeout 5 python3 /tmp/script.py"];
    let output = engine.output(&run)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot send or take a frame of 4294967295 bytes"), "{said}");
    let other = ["exec", "--unit", "probe/1", "--", "is-leader"];
    assert!(engine.call(&other)?.contains("False"));
    let own = ["exec", "--unit", "probe/0", "--", "is-leader"];
    assert!(engine.call(&own)?.contains("True"), "it takes its tools back");
    Ok(())
}
