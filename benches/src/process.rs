//! A charm's program from its start to its first tool call.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use end_to_end::root;

/// Runs counted, after a few that are not.
const RUNS: usize = 200;

/// Starts the program as Juju would, but with no hook tool in reach, so that it ends at its
/// first call: the median milliseconds from start to exit.
pub(crate) fn no_op(charm: &str) -> Result<f64> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    measure(&root().join("target").join(triple).join("charm").join(charm))
}

fn measure(program: &Path) -> Result<f64> {
    let mut times = Vec::new();
    for run in 0..RUNS + 10 {
        let begun = Instant::now();
        Command::new(program)
            .env_clear()
            .envs([
                ("JUJU_DISPATCH_PATH", "hooks/update-status"),
                ("JUJU_UNIT_NAME", "bench/0"),
                ("JUJU_MODEL_NAME", "bench"),
                ("JUJU_VERSION", "3.6.11"),
                ("PATH", "/nonexistent"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if run >= 10 {
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
