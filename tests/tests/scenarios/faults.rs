//! The engine killed at each of its effects in turn, a disk without room, a store that is spoilt.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use end_to_end::disk::SmallDisk;
use end_to_end::{Talisman, program, root};

/// How many effects lie between two that the suite tries; `TALISMAN_EVERY_EFFECT=1` tries all.
const STRIDE: usize = 9;
/// What is empty once an application is gone.
const LEFT: [(&str, &str); 5] = [
    ("/run", "units"),
    ("/run", "pods"),
    ("/var/lib", "units"),
    ("/var/lib", "pods"),
    ("/var/lib", "charms"),
];
/// More effects than the scenario has.
const EFFECTS_MAX: usize = 400;

fn hello() -> String {
    root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string()
}

/// Starts an engine that kills itself at its `effect`-th effect.
fn up_to_die(instance: &str, effect: usize) -> Result<()> {
    Command::new(program())
        .args(["--instance", instance, "up"])
        .env("TALISMAN_DIE_AT", effect.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

/// Gives a command until it is acknowledged, starting the engine again where it has died. A
/// command that was carried out although its answer was lost may say so.
fn insist(engine: &Talisman, deaths: &mut usize, args: &[&str], done: &str) -> Result<()> {
    for _ in 0..3 {
        let output = engine.output(args)?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() || (!done.is_empty() && words.contains(done)) {
            return Ok(());
        }
        if engine.status().is_ok() {
            bail!("talisman {}: {words}", args.join(" "));
        }
        *deaths += 1;
        engine.call(&["up"])?;
    }
    bail!("talisman {} is never acknowledged", args.join(" "))
}

/// Waits although the engine may die meanwhile.
fn reach(
    engine: &Talisman,
    deaths: &mut usize,
    what: &str,
    ready: impl Fn(&serde_json::Value) -> bool,
) -> Result<()> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(40);
    loop {
        match engine.status() {
            Ok(status) if ready(&status) => return Ok(()),
            Ok(_) => {}
            Err(_) => {
                *deaths += 1;
                engine.call(&["up"])?;
            }
        }
        if std::time::Instant::now() > deadline {
            bail!("waited for {what}\n{}", engine.call(&["debug-log", "--no-tail"])?);
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
}

/// An application's whole life with one death in it. Whether the engine died at all.
fn life(instance: &str, effect: usize) -> Result<bool> {
    let engine = Talisman::new(instance);
    let mut deaths = 0;
    up_to_die(instance, effect)?;
    insist(&engine, &mut deaths, &["deploy", &hello()], "name exists")?;
    insist(&engine, &mut deaths, &["config", "hello", "name=kept"], "")?;
    reach(&engine, &mut deaths, "the greeting", |status| {
        let unit = &status["applications"]["hello"]["units"]["hello/0"];
        unit["workload-status"]["message"] == "Hello, kept" && end_to_end::all_active(status)
    })?;
    insist(&engine, &mut deaths, &["scale-application", "hello", "2"], "")?;
    reach(&engine, &mut deaths, "two units", |status| {
        let units = status["applications"]["hello"]["units"].as_object().map(|units| units.len());
        units == Some(2) && end_to_end::all_active(status)
    })?;
    insist(&engine, &mut deaths, &["remove-application", "hello"], "no application")?;
    reach(&engine, &mut deaths, "the end", |status| {
        status["applications"].as_object().is_some_and(serde_json::Map::is_empty)
    })?;
    for (place, left) in LEFT {
        let folder = format!("{place}/talisman/{instance}/{left}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            assert!(std::time::Instant::now() < deadline, "effect {effect}: {folder} has entries");
            // It may have died after it said that nothing is left, while it put things away.
            if engine.status().is_err() {
                deaths += 1;
                engine.call(&["up"])?;
            }
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    }
    Ok(deaths > 0)
}

#[test]
fn the_engine_may_die_at_any_of_its_effects() -> Result<()> {
    let stride = if std::env::var_os("TALISMAN_EVERY_EFFECT").is_some() { 1 } else { STRIDE };
    for (tried, effect) in (1..EFFECTS_MAX).step_by(stride).enumerate() {
        let died = life("e2efault", effect)
            .map_err(|error| error.context(format!("killed at effect {effect}")))?;
        if !died {
            assert!(tried > 3, "the switch does not work");
            println!("killed at {tried} of about {effect} effects");
            return Ok(());
        }
    }
    bail!("the scenario has more than {EFFECTS_MAX} effects")
}

#[test]
fn a_full_disk_refuses_changes_and_keeps_none() -> Result<()> {
    let engine = Talisman::new("e2efull");
    let disk = SmallDisk::mount("e2efull", 24)?;
    engine.call(&["up"])?;
    engine.call(&["deploy", &hello()])?;
    engine.wait_active(60)?;
    let filler = format!("{}/filler", disk.folder());
    Command::new("dd")
        .args(["if=/dev/zero", &format!("of={filler}"), "bs=64k"])
        .stderr(Stdio::null())
        .status()?;
    // Changes find room until the store has to grow, so they grow too.
    let mut refused = None;
    for round in 0..2_000_usize {
        let name = format!("name={}{round}", "x".repeat(8_000 + 4_000 * round.min(20)));
        let output = engine.output(&["config", "hello", &name])?;
        if !output.status.success() {
            refused = Some((round, String::from_utf8_lossy(&output.stderr).into_owned()));
            break;
        }
    }
    let Some((round, words)) = refused else { bail!("a full disk refuses nothing") };
    assert!(words.contains("cannot write the store"), "{words}");
    let kept = engine.call(&["config", "hello", "name"])?;
    assert!(!kept.trim().ends_with(&format!("x{round}")), "the refused change is in memory");
    std::fs::remove_file(&filler)?;
    engine.call(&["config", "hello", "name=room"])?;
    engine.wait("the greeting", 60, |status| {
        let unit = &status["applications"]["hello"]["units"]["hello/0"];
        unit["workload-status"]["message"] == "Hello, room"
    })?;
    engine.call(&["down"])?;
    engine.call(&["up"])?;
    assert_eq!(engine.call(&["config", "hello", "name"])?.trim(), "room");
    engine.call(&["down", "--destroy-storage"]).ok();
    Ok(())
}

#[test]
fn a_spoilt_store_is_refused_and_left_as_it_is() -> Result<()> {
    let engine = Talisman::new("e2espoil");
    let store = "/var/lib/talisman/e2espoil/model.redb";
    std::fs::create_dir_all("/var/lib/talisman/e2espoil")?;
    std::fs::write(store, "not a store")?;
    let words = engine.refusal(&["up"])?;
    assert!(words.contains("cannot open the store"), "{words}");
    assert_eq!(std::fs::read_to_string(store)?, "not a store");
    std::fs::remove_dir_all("/var/lib/talisman/e2espoil")?;
    Ok(())
}
