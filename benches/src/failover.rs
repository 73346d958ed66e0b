//! Faults against the primary, each several times, under a writer behind the pooler.

use anyhow::Result;
use end_to_end::failover::{Cluster, Fault, Outcome};

use crate::say;

/// The port of the bench's own forward.
const PORT: u16 = 16602;

/// Prints for each fault how long writes failed and how many. Fails when an acknowledged number is
/// lost or a second member accepted one.
///
/// `settings` are for the pooler, where its own shall not be measured; `only` has parts of the
/// names of the faults to measure, with commas between.
pub(crate) fn run(rounds: usize, settings: &str, only: &str) -> Result<()> {
    let cluster = Cluster::up("benchha", PORT)?;
    if !settings.is_empty() {
        cluster.tune_pooler(settings)?;
    }
    let chosen = |fault: &Fault| only.split(',').any(|part| fault.to_string().contains(part));
    let mut faults: Vec<(Fault, Vec<Outcome>)> =
        Fault::ALL.into_iter().filter(chosen).map(|fault| (fault, Vec::new())).collect();
    // One after another rather than each many times: a fault may come while the members
    // still bear the marks of the one before.
    let mut done = Ok(());
    'rounds: for _ in 0..rounds {
        for (fault, outcomes) in &mut faults {
            match cluster.suffer(*fault) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    done = Err(error);
                    break 'rounds;
                }
            }
        }
    }
    table(&faults);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    say(&format!("load of the machine at the end: {}", load.trim()));
    if done.is_ok() {
        say("no acknowledged write is lost, and no second member accepted one");
    }
    done
}

fn table(faults: &[(Fault, Vec<Outcome>)]) {
    say(&format!(
        "{:<30} {:>6} {:>6} | gap in s {:>5} {:>6} {:>6} {:>6} {:>6} | failed {:>4} {:>4} {:>4} \
         {:>4} | {:>12} {:>8}",
        "fault",
        "rounds",
        "moved",
        "min",
        "median",
        "p95",
        "max",
        "target",
        "min",
        "med",
        "p95",
        "max",
        "acknowledged",
        "healed"
    ));
    for (fault, outcomes) in faults.iter().filter(|(_, outcomes)| !outcomes.is_empty()) {
        say(&row(*fault, outcomes));
    }
}

/// The write gap that a fault may cause, in seconds; none means that no write may fail.
fn target(fault: Fault) -> &'static str {
    match fault {
        Fault::Switchover => "2",
        Fault::PostmasterKilled => "3",
        Fault::AllKilled | Fault::Frozen | Fault::PodDeleted | Fault::NetworkCut => "27",
        Fault::ApiGone | Fault::EveryoneKilled => "none",
    }
}

/// The least, the middle, the one that 95 of 100 do not exceed, and the greatest.
fn distribution<T: Ord + Copy>(values: impl Iterator<Item = T>) -> [T; 4] {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    let last = sorted.len() - 1;
    [0, last / 2, (sorted.len() * 95).div_ceil(100) - 1, last].map(|at| sorted[at])
}

fn row(fault: Fault, outcomes: &[Outcome]) -> String {
    let gaps = distribution(outcomes.iter().map(|outcome| outcome.gap));
    let [least, median, most, longest] = gaps.map(|gap| gap.as_secs_f64());
    let failed = distribution(outcomes.iter().map(|outcome| outcome.failed));
    let moved = outcomes.iter().filter(|outcome| outcome.moved).count();
    let acknowledged: usize = outcomes.iter().map(|outcome| outcome.acknowledged).sum();
    let healed = outcomes.iter().map(|outcome| outcome.healed).max().unwrap_or_default();
    format!(
        "{fault:<30} {:>6} {moved:>6} | {:>8} {least:>5.2} {median:>6.2} {most:>6.2} \
         {longest:>6.2} {:>6} | {:>6} {:>4} {:>4} {:>4} {:>4} | {acknowledged:>12} {:>6.1} s",
        outcomes.len(),
        "",
        target(fault),
        "",
        failed[0],
        failed[1],
        failed[2],
        failed[3],
        healed.as_secs_f64(),
    )
}
