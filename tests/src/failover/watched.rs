//! Three members under writers, while something happens to them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::witness::{self, Witnesses};
use super::writer::{self, Writer};
use super::{Fault, HEAL_BOUND, Members, Outcome, UNITS};

impl Members {
    /// The numbers from `first` on that one member has.
    fn numbers(&self, pod: &str, first: u64) -> Result<HashSet<u64>> {
        let text = self.query(pod, &writer::query(first))?;
        text.lines().map(|line| Ok(line.trim().parse()?)).collect()
    }

    /// Checks that every member has every number that was acknowledged, and the same numbers.
    ///
    /// # Errors
    /// When a number is lost, or the members do not converge; it says how long after `begun`
    /// the lost ones were acknowledged.
    fn check_history(
        &self,
        first: u64,
        acknowledged: &[(u64, Instant)],
        begun: Instant,
    ) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let all = (0..UNITS).map(|number| self.numbers(&Self::pod(number), first));
            let all: Vec<HashSet<u64>> = all.collect::<Result<_>>()?;
            let is_lost = |n: &u64| all.iter().any(|has| !has.contains(n));
            let lost = acknowledged.iter().filter(|(n, _)| is_lost(n));
            let lost: Vec<(u64, Duration)> =
                lost.map(|(n, at)| (*n, at.saturating_duration_since(begun))).collect();
            if lost.is_empty() && all.iter().all(|has| *has == all[0]) {
                return Ok(());
            }
            if Instant::now() > end {
                let sizes: Vec<usize> = all.iter().map(HashSet::len).collect();
                bail!(
                    "{} of {} acknowledged numbers are lost, acknowledged so long after the \
                     fault: {:?} to {:?}; the members have {sizes:?}",
                    lost.len(),
                    acknowledged.len(),
                    lost.first(),
                    lost.last(),
                );
            }
        }
    }

    /// Does one fault to the primary under writers, and waits until all is well again.
    ///
    /// # Errors
    /// When an acknowledged number is lost, a second member accepted one, or the cluster does
    /// not heal.
    pub fn suffer(&self, fault: Fault) -> Result<Outcome> {
        self.watched(|pod, _| self.inject(fault, pod)).with_context(|| fault.to_string())
    }

    /// Does something to the cluster under writers; the primary's pod is given, and the writer
    /// that comes through the pooler.
    pub(super) fn watched(&self, act: impl FnOnce(&str, &Writer) -> Result<()>) -> Result<Outcome> {
        self.await_well(HEAL_BOUND)?;
        let (before, timeline) = (self.primary()?, self.timeline()?);
        let writer = Writer::start(&self.url)?;
        let first = writer.first;
        let witnesses = Witnesses::start(self, first)?;
        writer.await_writes(20)?;
        let begun = Instant::now();
        act(&before, &writer)?;
        writer.await_writes(20)?;
        self.await_well(HEAL_BOUND)?;
        let healed = begun.elapsed();
        let report = writer.stop()?;
        let witnessed = witnesses.stop()?;
        let moved = self.primary()? != before;
        witness::check_single(&witnessed, self.timeline()? - timeline)?;
        let mut acknowledged = report.acknowledged.clone();
        acknowledged.extend(witnessed.iter().map(|one| (one.number, one.at)));
        self.check_history(first, &acknowledged, begun)?;
        let gap = report.longest_gap();
        Ok(Outcome { gap, failed: report.failed, acknowledged: acknowledged.len(), healed, moved })
    }
}
