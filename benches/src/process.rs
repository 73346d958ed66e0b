//! A charm's program started for an event it has no handler for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use end_to_end::root;
use nix::sys::resource::{UsageWho, getrusage};

/// Runs counted, after a few that are not.
const RUNS: usize = 200;

/// The cost of one run.
pub(crate) struct Cost {
    pub(crate) milliseconds: f64,
    pub(crate) resident_bytes: u64,
}

/// Starts the program as Juju would, for a custom event that no charm handles, with no tool in
/// reach: the median time from start to exit, and the largest memory of any run so far.
pub(crate) fn no_op(charm: &str) -> Result<Cost> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    measure(&root().join("target").join(triple).join("charm").join(charm))
}

fn measure(program: &Path) -> Result<Cost> {
    let mut times = Vec::new();
    for run in 0..RUNS + 10 {
        let begun = Instant::now();
        let status = Command::new(program)
            .env_clear()
            .envs([
                ("JUJU_DISPATCH_PATH", "hooks/nothing_to_do"),
                ("JUJU_UNIT_NAME", "bench/0"),
                ("JUJU_MODEL_NAME", "bench"),
                ("JUJU_VERSION", "3.6.11"),
                ("PATH", "/nonexistent"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            bail!("{} ended with {status}", program.display());
        }
        if run >= 10 {
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    Ok(Cost { milliseconds: times[RUNS / 2], resident_bytes: u64::try_from(kib)? * 1024 })
}
