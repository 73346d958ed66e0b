//! Whether every unit serves what is about to be published to a new client.

use juju_charm::Write;

use crate::facts::FullFacts;
use crate::state_keys::BARRIER;

use super::Next;

/// The units whose PgBouncer does not serve the map yet; no client gets credentials
/// before all do, because the Service may send it to any of them.
pub(crate) fn behind(facts: &FullFacts, next: &Next) -> Option<String> {
    let digests = facts.peers.as_ref().map(|peers| &peers.digests)?;
    let behind = digests.iter().filter(|(_, theirs)| theirs.as_ref() != Some(&next.digest));
    let behind: Vec<String> = behind.map(|(unit, _)| unit.to_string()).collect();
    (!behind.is_empty()).then(|| behind.join(", "))
}

/// How long units that do not answer keep new clients waiting, in seconds.
const BARRIER_MAX: u64 = 300;

/// Whether new clients may have their credentials: all units serve the map, or those that
/// do not were waited for long enough.
pub(super) fn is_done(facts: &FullFacts, next: &Next) -> bool {
    behind(facts, next).is_none() || is_overdue(facts, next)
}

fn is_overdue(facts: &FullFacts, next: &Next) -> bool {
    let since = facts.barrier.as_ref().filter(|(digest, _)| *digest == next.digest);
    since.is_some_and(|(_, since)| facts.now.saturating_sub(*since) >= BARRIER_MAX)
}

/// Remembers since when clients wait for units that are behind, until none waits; returns the units
/// that it stopped waiting for.
pub(super) fn barrier(facts: &FullFacts, next: &Next) -> Option<Write> {
    if !next.valid.waits(facts) {
        return facts.barrier.is_some().then(|| Write::State(BARRIER.to_owned(), None));
    }
    let units = behind(facts, next).filter(|_| next.ready())?;
    let digest = next.digest.clone();
    if is_overdue(facts, next) {
        let text = format!("clients are let in although {units} does not serve all databases");
        return Some(Write::warning(text));
    }
    let known = facts.barrier.as_ref().is_some_and(|(known, _)| *known == digest);
    let since = serde_json::json!([digest, facts.now]).to_string();
    (!known).then(|| Write::State(BARRIER.to_owned(), Some(since)))
}
