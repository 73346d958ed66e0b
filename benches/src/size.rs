//! How the engine grows: units, relations, and what a hook and a hook tool cost in it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use end_to_end::{Talisman, all_active, root};

use crate::{idle, line, mebibytes, table};

const INSTANCE: &str = "benchsz";
/// Endpoints of each kind of the charm that is all relations: their square are the relations.
const ENDPOINTS: usize = 32;
/// Relations of the last row.
const RELATIONS: usize = 1_000;
/// Calls of a hook tool in one row.
const CALLS: u32 = 500;
/// How often the charm that does nothing is configured anew.
const CHANGES: u32 = 50;

/// Prints the rows.
pub(crate) fn run() -> Result<()> {
    let folder = root().join("target/charms/bench");
    write_charm(&folder)?;
    let charm = folder.display().to_string();
    units()?;
    let engine = Talisman::new(INSTANCE);
    engine.call(&["up"])?;
    hooks(&engine, &charm)?;
    relations(&engine, &charm)
}

/// A charm without a container that does nothing but say that it is active.
fn write_charm(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).ok();
    std::fs::create_dir_all(folder)?;
    let ends = |name: &str| -> String {
        (0..ENDPOINTS).map(|at| format!("  {name}{at}: {{interface: bench}}\n")).collect()
    };
    let metadata =
        format!("name: bench\nsummary: x\nprovides:\n{}requires:\n{}", ends("give"), ends("take"));
    std::fs::write(folder.join("metadata.yaml"), metadata)?;
    std::fs::write(folder.join("manifest.yaml"), "bases: []\n")?;
    std::fs::write(folder.join("config.yaml"), "options: {x: {type: int, default: 0}}\n")?;
    let dispatch = "#!/bin/sh\n[ \"$JUJU_HOOK_NAME\" != start ] || status-set active\n";
    let file = folder.join("dispatch");
    std::fs::write(&file, dispatch)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    Ok(std::fs::set_permissions(file, mode)?)
}

/// Units of the example charm, to active: time and memory from 5 to 50, and ten of them idle.
fn units() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    engine.call(&["up"])?;
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string();
    engine.call(&["deploy", &charm, "-n", "0"])?;
    for count in [5u32, 10, 50] {
        let begun = Instant::now();
        engine.call(&["scale-application", "hello", &count.to_string()])?;
        engine.wait("all units active", 300, |status| {
            let units = status["applications"]["hello"]["units"].as_object();
            units.is_some_and(|units| units.len() == count as usize) && all_active(status)
        })?;
        let took = format!("{:.1} s", begun.elapsed().as_secs_f64());
        line(&format!("example charm, to {count} units active"), took, "");
        let memory = mebibytes(idle::memory(INSTANCE)?);
        line(&format!("engine with {count} units: memory"), memory, "");
        if count == 10 {
            idle::engine(INSTANCE, count)?;
        }
    }
    Ok(())
}

/// A hook that calls nothing, and a hook tool's round trip with its process.
fn hooks(engine: &Talisman, charm: &str) -> Result<()> {
    engine.call(&["deploy", charm, "a"])?;
    engine.wait_active(60)?;
    for change in 1..=CHANGES {
        engine.call(&["config", "a", &format!("x={change}")])?;
    }
    engine.wait_active(60)?;
    let table = table(engine)?;
    let found = table.iter().find(|line| line["hook"] == "config-changed");
    let hook = found.context("no config-changed ran")?;
    let whole = hook["whole_ms_median"].as_f64().unwrap_or_default();
    let process = hook["wall_ms_median"].as_f64().unwrap_or_default();
    line("hook without a tool call, whole", format!("{whole:.1} ms"), "5 ms");
    line("  of it the process, entered and ended", format!("{process:.1} ms"), "");
    let took = |count: u32| -> Result<f64> {
        let script =
            format!("i=0; while [ $i -lt {count} ]; do is-leader >/dev/null; i=$((i+1)); done");
        let begun = Instant::now();
        engine.call(&["exec", "--unit", "a/0", "--", &script])?;
        Ok(begun.elapsed().as_secs_f64() * 1000.0)
    };
    let each = (took(CALLS)? - took(0)?) / f64::from(CALLS);
    line("hook tool, round trip with its process", format!("{each:.2} ms"), "1 ms");
    Ok(())
}

/// Relations between two applications, until every hook of theirs has run.
fn relations(engine: &Talisman, charm: &str) -> Result<()> {
    engine.call(&["deploy", charm, "b"])?;
    engine.wait_active(60)?;
    let begun = Instant::now();
    for at in 0..RELATIONS {
        let give = format!("a:give{}", at / ENDPOINTS);
        let take = format!("b:take{}", at % ENDPOINTS);
        engine.call(&["integrate", &give, &take])?;
    }
    let made = format!("{:.1} s", begun.elapsed().as_secs_f64());
    line(&format!("{RELATIONS} relations, made"), made, "");
    engine.wait("every relation's hooks", 900, |status| {
        let ran = |prefix: &str| -> u64 {
            let table = table(engine).unwrap_or_default();
            let lines = table.iter().filter(|line| {
                let hook = line["hook"].as_str().unwrap_or_default();
                hook.starts_with(prefix) && hook.ends_with("relation-changed")
            });
            lines.filter_map(|line| line["runs"].as_u64()).sum()
        };
        let wanted = RELATIONS as u64;
        all_active(status) && ran("give") >= wanted && ran("take") >= wanted
    })?;
    let took = begun.elapsed().as_secs_f64();
    line(&format!("{RELATIONS} relations, all hooks run"), format!("{took:.1} s"), "");
    let memory = mebibytes(idle::memory(INSTANCE)?);
    line(&format!("engine with {RELATIONS} relations: memory"), memory, "");
    Ok(())
}
