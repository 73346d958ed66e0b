//! What clients of every kind notice of planned events.

use anyhow::{Result, ensure};
use end_to_end::failover::{Cluster, Planned};

/// How often each planned event happens; the lane for the full number sets another.
fn rounds() -> Result<usize> {
    std::env::var("TALISMAN_PLANNED").map_or(Ok(1), |text| Ok(text.parse()?))
}

#[test]
fn no_client_notices_a_planned_event() -> Result<()> {
    let cluster = Cluster::up("e2eplan", 16606)?;
    let rounds = rounds()?;
    let events: Vec<Planned> = (0..rounds).flat_map(|_| Planned::ALL).collect();
    let loads = cluster.planned(&events)?;
    for (name, outcome) in &loads {
        println!(
            "{} planned events, {name}: {} transactions, {} failed, {} clients dropped",
            events.len(),
            outcome.transactions,
            outcome.failed,
            outcome.dropped
        );
    }
    for (name, outcome) in &loads {
        ensure!(outcome.failed == 0 && outcome.dropped == 0, "{name}: {}", outcome.said);
        ensure!(outcome.transactions > 0, "{name} did nothing");
    }
    Ok(())
}
