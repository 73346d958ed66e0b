//! Faults against the primary, each several times, under a writer behind the pooler.

use std::time::Duration;

use anyhow::Result;
use end_to_end::failover::{Cluster, Fault, Outcome};

use crate::say;

/// The port of the bench's own forward.
const PORT: u16 = 16602;

/// Prints for each fault how long nobody could write and how much failed. Fails when an
/// acknowledged number is lost.
///
/// `settings` are for the pooler, where its own shall not be measured; `only` is a part of the
/// names of the faults to measure.
pub(crate) fn run(rounds: usize, settings: &str, only: &str) -> Result<()> {
    let cluster = Cluster::up("benchha", PORT)?;
    if !settings.is_empty() {
        cluster.tune_pooler(settings)?;
    }
    say(&format!(
        "{:<30} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>9} {:>8}",
        "fault", "rounds", "moved", "gap min", "median", "p90", "max", "target", "failed", "healed"
    ));
    for fault in Fault::ALL.into_iter().filter(|fault| fault.to_string().contains(only)) {
        let outcomes: Result<Vec<Outcome>> = (0..rounds).map(|_| cluster.suffer(fault)).collect();
        match outcomes {
            Ok(outcomes) => say(&row(fault, &outcomes)),
            Err(error) => say(&format!("{fault:<30} {error:#}")),
        }
    }
    Ok(())
}

/// The write gap that a fault may cause, in seconds.
fn target(fault: Fault) -> u64 {
    match fault {
        Fault::Switchover => 2,
        Fault::PostmasterKilled => 3,
        Fault::AllKilled | Fault::Frozen | Fault::PodDeleted | Fault::NetworkCut => 22,
    }
}

fn row(fault: Fault, outcomes: &[Outcome]) -> String {
    let mut gaps: Vec<Duration> = outcomes.iter().map(|outcome| outcome.gap).collect();
    gaps.sort();
    let mut failed: Vec<usize> = outcomes.iter().map(|outcome| outcome.failed).collect();
    failed.sort_unstable();
    let at = |share: usize| gaps[(gaps.len() * share / 100).min(gaps.len() - 1)].as_secs_f64();
    let moved = outcomes.iter().filter(|outcome| outcome.moved).count();
    let healed = outcomes.iter().map(|outcome| outcome.healed).max().unwrap_or_default();
    format!(
        "{fault:<30} {:>6} {moved:>6} {:>6.2} s {:>6.2} s {:>6.2} s {:>6.2} s {:>5} s {:>9} {:>6.1} s",
        outcomes.len(),
        at(0),
        at(50),
        at(90),
        at(100),
        target(fault),
        format!("{}..{}", failed[0], failed[failed.len() - 1]),
        healed.as_secs_f64(),
    )
}
