//! The engine killed at any moment: the model, its hooks and its pods are as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use end_to_end::{Talisman, packed_probe, root};
use serde_json::Value;

const INSTANCE: &str = "e2ecrash";
/// How often the engine is killed, unless `TALISMAN_KILLS` says otherwise.
const KILLS: u64 = 20;
/// How long after a command the engine may live, in milliseconds.
const LIFE_MAX: u64 = 120;

/// The same numbers in every run (xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The number of an instance's engine, found by its command line.
fn engine_process(instance: &str) -> Option<u32> {
    let wanted = ["--instance", instance, "daemon"];
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> =
            line.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok()).collect();
        words.windows(wanted.len()).any(|window| window == wanted)
    })
}

fn kill_engine(instance: &str) -> Result<()> {
    let pid = engine_process(instance).context("the engine does not run")?.to_string();
    Command::new("kill").args(["-9", &pid]).status()?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while engine_process(instance).is_some() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    Ok(())
}

fn addresses(status: &Value) -> BTreeMap<String, String> {
    let units = status["applications"]["hello"]["units"].as_object().unwrap();
    units.iter().map(|(name, unit)| (name.clone(), unit["address"].to_string())).collect()
}

/// The first processes of the instance's containers, by the engine's own records.
fn first_processes() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(format!("/var/lib/talisman/{INSTANCE}/pods"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|pod| std::fs::read_to_string(pod.path().join("containers/charm/pid")).ok())
        .collect();
    found.sort();
    found
}

#[test]
fn nothing_is_lost_when_the_engine_is_killed() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string();
    engine.call(&["up"])?;
    engine.call(&["deploy", &charm, "-n", "3"])?;
    let before = engine.wait_active(60)?;
    engine.call(&["forward", "47391", "hello:65535"])?;
    let pods = first_processes();
    assert_eq!(pods.len(), 3);
    let mut seeded = Seeded(0x9e37_79b9_7f4a_7c15);
    let kills = std::env::var("TALISMAN_KILLS").map_or(KILLS, |number| number.parse().unwrap());
    for round in 0..kills {
        let name = format!("round-{round}");
        let setting = format!("name={name}");
        let life = Duration::from_millis(seeded.below(LIFE_MAX));
        let acknowledged = std::thread::scope(|scope| {
            let config = scope.spawn(|| engine.call(&["config", "hello", &setting]).is_ok());
            let action = scope.spawn(|| engine.output(&["run", "hello/1", "greet"]).is_ok());
            std::thread::sleep(life);
            kill_engine(INSTANCE).unwrap();
            action.join().unwrap();
            config.join().unwrap()
        });
        engine.call(&["up"])?;
        if !acknowledged {
            let known = engine.call(&["config", "hello", "name"])?;
            let last = round.checked_sub(1).map_or("world".to_owned(), |it| format!("round-{it}"));
            assert!([name.as_str(), &last].contains(&known.trim()), "round {round}: {known}");
            engine.call(&["config", "hello", &setting])?;
        }
        let want = format!("Hello, {name}");
        let after = engine.wait(&format!("every unit's {want:?}"), 30, |status| {
            let units = status["applications"]["hello"]["units"].as_object().unwrap();
            end_to_end::all_active(status)
                && units.values().all(|unit| unit["workload-status"]["message"] == *want)
        })?;
        assert_eq!(addresses(&after), addresses(&before), "round {round}");
    }
    assert_eq!(first_processes(), pods, "a pod was started again");
    assert!(std::net::TcpStream::connect("127.0.0.1:47391").is_ok(), "the forward is gone");
    let answer = engine.action("hello/2", "greet")?;
    assert_eq!(answer["greeting"], format!("Hello, round-{}", kills - 1));

    kill_engine(INSTANCE)?;
    engine.call(&["down", "--destroy-storage"])?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    assert!(!mounts.contains(&format!("/talisman/{INSTANCE}/")), "mounts stayed");
    let networks = String::from_utf8(Command::new("ip").args(["netns", "list"]).output()?.stdout)?;
    assert!(!networks.contains(INSTANCE), "networks stayed: {networks}");
    Ok(())
}

/// The hooks of a unit that processes of this machine run, by context; a hook has several
/// processes.
fn hooks_of(unit: &str) -> BTreeSet<String> {
    let mark = format!("JUJU_CONTEXT_ID={unit}-");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = all.map(|entry| std::fs::read(entry.path().join("environ")));
    environments
        .filter_map(Result::ok)
        .filter_map(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.split('\0').find(|one| one.starts_with(&mark)).map(str::to_owned)
        })
        .collect()
}

#[test]
fn a_hook_that_ran_is_run_again() -> Result<()> {
    let instance = "e2ekill";
    let engine = Talisman::new(instance);
    engine.call(&["up"])?;
    let charm = packed_probe(&engine)?.display().to_string();
    let image = format!("workload-image={}", root().join("images/charm-base.yaml").display());
    let notes = format!("notes={}", root().join("clippy.toml").display());
    let resources = ["--resource", &image, "--resource", &notes];
    engine.call(&[["deploy", &charm, "killed"].as_slice(), &resources].concat())?;
    engine.wait_active(60)?;
    engine.call(&["config", "killed", "greeting=later"])?;
    engine.wait_active(30)?;
    let mut seeded = Seeded(0x2545_f491_4f6c_dd1d);
    for round in 10..18 {
        engine.call(&["config", "killed", &format!("loudness={round}")])?;
        std::thread::sleep(Duration::from_millis(seeded.below(400)));
        kill_engine(instance)?;
        engine.call(&["up"])?;
        let running = hooks_of("killed/0");
        assert!(running.len() <= 1, "a hook of the engine before goes on beside this: {running:?}");
    }
    engine.call(&["config", "killed", "greeting=at last"])?;
    let done = |status: &Value| {
        let unit = &status["applications"]["killed"]["units"]["killed/0"];
        unit["workload-status"]["message"] == "at last" && end_to_end::all_active(status)
    };
    engine.wait("the deferred event", 30, done)?;
    let answer = engine.action("killed/0", "report")?;
    let report: Value = serde_json::from_str(answer["report"].as_str().unwrap())?;
    assert_eq!(report["app"]["loudness"], "17");
    assert!(report["attempts"].as_u64() >= Some(8), "{report}");
    assert_eq!(hooks_of("killed/0"), BTreeSet::new());
    Ok(())
}
