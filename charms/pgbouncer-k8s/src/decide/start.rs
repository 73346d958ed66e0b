//! The start hook: a first configuration, so that the container has one before it runs.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use charm::{Changes, Decision, Own, Status};
use interfaces::pgb_peers::DatabaseMap;
use pgbouncer::{Ini, Version};

use crate::effect::Effect;
use crate::facts::StartFacts;
use crate::options::Options;
use crate::place;
use crate::shared::{Local, Shape, instances, shared};

use super::{status, workload};

/// Flowchart "start": container, then a configuration, then folders and files.
///
/// Nothing is deferred: the pebble-ready hook that follows completes what is missing here.
pub(crate) fn decide(facts: &StartFacts) -> Decision<Effect> {
    let common = &facts.common;
    let mut decision = Decision::new();
    if !facts.container {
        return decision.status(Status::waiting(status::NO_CONTAINER));
    }
    let options = match &common.options {
        Ok(_) if let Some(error) = &common.refused => {
            return decision.status(status::bad_option(error));
        }
        // Nobody has tried the settings yet, nor is it known what goes with them.
        Ok(options) => &Options { settings: Vec::new(), ..options.clone() },
        Err(error) => return decision.status(status::bad_option(error)),
    };
    if facts.configured {
        return decision;
    }
    let published = facts.peers.as_ref().and_then(|(_, bag)| bag.cfg_file.clone());
    let known: Option<Ini> = published.as_ref().and_then(|text| text.parse().ok());
    // A follower without the leader's configuration starts with one without databases.
    let app = common.unit.app();
    // Which PgBouncer runs is asked before it starts; here the image's is assumed.
    let shape = Shape { version: Version::TRIXIE, share: None, readonly: &[], timeline: None };
    let empty = DatabaseMap::default();
    let Some(ini) = known.or_else(|| shared(app, options, None, &empty, &shape).ok()) else {
        return decision;
    };
    let local = Local {
        options,
        processes: common.processes,
        auth_file: None,
        unit: &common.unit,
        model: &common.model,
        others: &BTreeSet::new(),
        version: shape.version,
        verifies: false,
        encrypts: false,
    };
    let inis = instances(&ini, &local).unwrap_or_default();
    let folders = (0u32..).zip(&inis).flat_map(|(index, _)| workload::folders(index));
    let files =
        (0u32..).zip(&inis).map(|(index, ini)| workload::file(place::ini(index), ini.to_string()));
    decision = decision.effects(workload::write(folders.collect(), files.collect()));
    if let (true, None, Some((id, _))) = (common.leader, published, &facts.peers) {
        let changes = Changes::new()
            .set("cfg_file", ini.to_string())
            .set("leader_hostname", place::hostname(&common.unit, &common.model));
        decision = decision.effect(Effect::Bag(*id, Own::App, changes));
    }
    decision
}

/// Processes that a unit runs on a machine with so many processors.
pub(crate) fn processes(processors: usize) -> NonZeroU32 {
    let clamped = u32::try_from(processors.clamp(2, 4)).unwrap_or(2);
    NonZeroU32::new(clamped).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use charm::RelationId;
    use interfaces::pgb_peers::AppBag;

    use crate::testing;

    fn facts() -> StartFacts {
        StartFacts {
            common: testing::common(true),
            container: true,
            configured: false,
            peers: Some((RelationId(1), AppBag::default())),
        }
    }

    fn files(decision: &Decision<Effect>) -> usize {
        testing::files(decision).count()
    }

    fn bags(decision: &Decision<Effect>) -> usize {
        decision.effects.iter().filter(|effect| matches!(effect, Effect::Bag(..))).count()
    }

    #[test]
    fn start_is_container_no_waits() {
        let decision = decide(&StartFacts { container: false, ..facts() });
        assert!(decision.effects.is_empty());
        assert_eq!(decision.status, Some(Status::waiting(status::NO_CONTAINER)));
    }

    #[test]
    fn start_is_cfg_yes_needs_nothing() {
        let decision = decide(&StartFacts { configured: true, ..facts() });
        assert!(decision.effects.is_empty());
    }

    #[test]
    fn start_is_published_yes_renders_it() {
        let mut common = testing::common(false);
        common.leader = false;
        let cfg_file = Some(testing::shared_ini().to_string());
        let peers = Some((RelationId(1), AppBag { cfg_file, ..AppBag::default() }));
        let decision = decide(&StartFacts { common, peers, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
        let text = testing::pushed(&decision, &place::ini(0));
        assert!(text.contains("waltz = host="), "{text}");
    }

    #[test]
    fn start_is_leader_yes_generates_and_publishes() {
        let decision = decide(&facts());
        assert_eq!((files(&decision), bags(&decision)), (2, 1));
    }

    #[test]
    fn start_is_leader_no_renders_without_databases() {
        let common = testing::common(false);
        let decision = decide(&StartFacts { common, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
    }

    #[test]
    fn start_without_peer_relation_renders() {
        let decision = decide(&StartFacts { peers: None, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
    }

    #[test]
    fn processes_are_two_to_four() {
        let counts: Vec<u32> = [0, 1, 2, 3, 4, 64].map(|n| processes(n).get()).to_vec();
        assert_eq!(counts, [2, 2, 2, 3, 4, 4]);
    }
}
