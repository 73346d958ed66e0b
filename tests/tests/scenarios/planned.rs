//! What clients of every kind notice of planned events.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::failover::{Cluster, Dies, Planned};

/// The longest pause of the agent, and what the rest of a transaction may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(45 + 10);

/// The turn of one of the scenarios that count how long clients wait: two of them beside each
/// other would measure each other's load.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often each planned event happens; the lane for the full number sets another.
fn rounds() -> Result<usize> {
    std::env::var("TALISMAN_PLANNED").map_or(Ok(1), |text| Ok(text.parse()?))
}

#[test]
fn no_client_notices_a_planned_event() -> Result<()> {
    let _turn = turn();
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

/// Who dies after how many milliseconds: each once, or as often as the lane for the full number
/// says, at ever other times.
fn deaths() -> Result<Vec<(Dies, u64)>> {
    let count = std::env::var("TALISMAN_DEATHS");
    let count = count.map_or(Ok(Dies::ALL.len()), |text| text.parse())?;
    let all = Dies::ALL.into_iter().cycle().zip((0..count as u64).map(|n| 150 + n * 137 % 1500));
    Ok(all.collect())
}

#[test]
fn nobody_waits_too_long_whoever_dies() -> Result<()> {
    let _turn = turn();
    let cluster = Cluster::up("e2edie", 16613)?;
    let waits = cluster.deaths(&deaths()?)?;
    for (dies, after, longest) in &waits {
        println!("{dies:?} dies after {after} ms: the longest wait is {longest:?}");
    }
    let late = waits.iter().find(|(_, _, longest)| *longest > LONGEST);
    ensure!(late.is_none(), "{late:?}");
    Ok(())
}
