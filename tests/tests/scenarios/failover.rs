//! A cluster of three that loses its primary loses no acknowledged number.

use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::failover::{Cluster, Fault};

/// What any client may have to wait; the bench measures how long it is.
const GAP_MAX: Duration = Duration::from_secs(20);
/// The same when only the lock's age shows that the primary is lost.
const LOCK_MAX: Duration = Duration::from_secs(35);

#[test]
fn no_acknowledged_number_is_lost_when_the_primary_changes() -> Result<()> {
    let cluster = Cluster::up("e2eha", 16601)?;
    let planned = cluster.suffer(Fault::Switchover)?;
    ensure!(planned.moved, "the primary is where it was");
    ensure!(planned.gap < GAP_MAX, "{planned:?}");
    let killed = cluster.suffer(Fault::AllKilled)?;
    ensure!(killed.gap < GAP_MAX, "{killed:?}");
    // As it moves again it must not take the lead back from its successor.
    let frozen = cluster.suffer(Fault::Frozen)?;
    ensure!(frozen.moved, "the primary is where it was");
    ensure!(frozen.gap < LOCK_MAX, "{frozen:?}");
    let deleted = cluster.suffer(Fault::PodDeleted)?;
    ensure!(deleted.moved && deleted.gap < LOCK_MAX, "{deleted:?}");
    let cut = cluster.suffer(Fault::NetworkCut)?;
    ensure!(cut.moved && cut.gap < LOCK_MAX, "{cut:?}");
    Ok(())
}

#[test]
fn members_restart_one_by_one() -> Result<()> {
    let cluster = Cluster::up("e2eheal", 16603)?;
    // The members need more first, then the primary less first.
    let more = cluster.reconfigure("experimental_max_connections=200", "max_connections", "200")?;
    ensure!(more.moved && more.gap < GAP_MAX, "{more:?}");
    let less = cluster.reconfigure("experimental_max_connections=150", "max_connections", "150")?;
    ensure!(less.gap < GAP_MAX, "{less:?}");
    // No member restarts for this one. PostgreSQL says in its own words what `on` means.
    cluster.reconfigure("cpu_wal_compression=false", "wal_compression", "off")?;
    cluster.reconfigure("cpu_wal_compression=true", "wal_compression", "pglz")?;
    cluster.counts_standbys()?;
    let lost = cluster.lose_data_and_wal()?;
    ensure!(lost.moved, "{lost:?}");
    cluster.replace_all_pods()?;
    Ok(())
}

#[test]
fn a_former_primary_that_diverged_is_never_active() -> Result<()> {
    Cluster::up("e2ediv", 16610)?.diverge()
}

#[test]
fn a_primary_lost_for_good_is_given_up_by_command() -> Result<()> {
    Cluster::up("e2elost", 16604)?.lose_for_good()
}
