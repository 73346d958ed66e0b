//! Planned events under clients of every kind, and how many of those notice one.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{APP, Cluster, Fault, HEAL_BOUND};
use crate::pgbench::{Load, Outcome, Target};

/// A planned event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// The lead is handed over.
    Switchover,
    /// A parameter is changed for which every member restarts.
    Parameter,
    /// Patroni on the primary gets a signal to end, and starts again.
    Terminated,
    /// The primary's pod is deleted.
    PodDeleted,
    /// The charm is refreshed, with which every pod is replaced.
    Refresh,
}

impl Planned {
    /// Those in a round; a refresh has a scenario of its own.
    pub const ALL: [Self; 4] =
        [Self::Switchover, Self::Parameter, Self::Terminated, Self::PodDeleted];
}

/// Clients' loads, by what they are called.
const LOADS: [(&str, &[&str]); 3] = [
    ("steady", &["-b", "simple-update", "-c", "8", "-j", "2"]),
    ("reconnecting", &["-b", "simple-update", "-C", "-c", "6", "-j", "6"]),
    ("prepared", &["-b", "simple-update", "-M", "prepared", "-c", "4", "-j", "1"]),
];

impl Cluster {
    /// Does planned events, one after the other, under loads of every kind, and tells what became
    /// of each load, by its name.
    ///
    /// # Errors
    /// When a load ends early, an acknowledged number is lost, or the cluster does not heal.
    pub fn planned(&self, events: &[Planned]) -> Result<Vec<(&'static str, Outcome)>> {
        // A session's server connection ends with its server whatever holds the client.
        self.engine.call(&["config", "pgbouncer-k8s", "pool_mode=transaction"])?;
        // A restart that a busy machine put off comes with the next event.
        self.engine.call(&["model-config", "update-status-hook-interval=10s"])?;
        self.engine.wait_active(60)?;
        let target = Target::parse(&self.url)?;
        target.prepare()?;
        let start =
            |(name, flags): &(&'static str, &[&str])| anyhow::Ok((*name, target.load(flags)?));
        let mut loads: Vec<(&str, Load)> = LOADS.iter().map(start).collect::<Result<_>>()?;
        for (round, event) in events.iter().enumerate() {
            self.plan(*event, round).with_context(|| format!("{event:?}"))?;
            loads.iter_mut().try_for_each(|(name, load)| {
                load.still_runs().with_context(|| format!("{name}, after {event:?}"))
            })?;
        }
        loads.into_iter().map(|(name, load)| Ok((name, load.end()?))).collect()
    }

    /// Does one event, and waits until all is well again.
    pub(super) fn plan(&self, event: Planned, round: usize) -> Result<()> {
        match event {
            Planned::Switchover => self.suffer(Fault::Switchover).map(drop),
            Planned::PodDeleted => self.suffer(Fault::PodDeleted).map(drop),
            Planned::Refresh => self.watched(|_, _| self.refresh().map(drop)).map(drop),
            Planned::Parameter => {
                let connections = (200 + round).to_string();
                let option = format!("experimental_max_connections={connections}");
                self.reconfigure(&option, "max_connections", &connections).map(drop)
            }
            Planned::Terminated => {
                self.await_well(HEAL_BOUND)?;
                let primary = self.primary()?;
                self.pebble(&primary, "restart")?;
                self.await_well(HEAL_BOUND + Duration::from_secs(30))?;
                self.engine.wait_active(90)?;
                Ok(())
            }
        }
        .with_context(|| format!("cannot plan it for {APP}"))
    }
}
