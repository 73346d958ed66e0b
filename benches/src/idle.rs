//! The engine while nothing happens.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{line, mebibytes};

/// How long the engine is watched.
const SECONDS: u64 = 15;

/// Prints memory and processor share of the daemon of `instance`.
pub(crate) fn engine(instance: &str, units: u32) -> Result<()> {
    let process = daemon(instance).context("no daemon of the bench's instance")?;
    let before = ticks(&process)?;
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let used = ticks(&process)? - before;
    // The kernel counts in hundredths of a second.
    let share = used as f64 / begun.elapsed().as_secs_f64();
    line(&format!("engine idle, {units} units: processor"), format!("{share:.2} %"), "0.5 %");
    line(&format!("engine idle, {units} units: memory"), mebibytes(resident(&process)?), "40 MiB");
    Ok(())
}

fn daemon(instance: &str) -> Option<PathBuf> {
    let wanted = ["--instance", instance, "daemon"];
    std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()).find(|process| {
        let line = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        words.get(1..4).is_some_and(|words| words == wanted)
    })
}

fn ticks(process: &std::path::Path) -> Result<u64> {
    let stat = std::fs::read_to_string(process.join("stat"))?;
    let after = stat.rsplit_once(") ").context("cannot read the process's state")?.1;
    let fields: Vec<&str> = after.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

/// The memory of the daemon of `instance`, in bytes.
pub(crate) fn memory(instance: &str) -> Result<u64> {
    resident(&daemon(instance).context("no daemon of the bench's instance")?)
}

fn resident(process: &std::path::Path) -> Result<u64> {
    let status = std::fs::read_to_string(process.join("status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = value.context("no VmRSS")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
