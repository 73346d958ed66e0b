//! The start hook: a first configuration, so that the container has one before it runs.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use juju_charm::{Changes, Decision, Status, Write};
use pgbouncer::{Ini, IniError, Version};

use crate::databases::DatabaseMap;
use crate::effect::Effect;
use crate::facts::StartFacts;
use crate::names;
use crate::options::Options;
use crate::render::Shape;
use crate::render::ini::{Local, instances, shared};
use crate::wording;

use super::container;

/// The chart "start": container, then a configuration, then folders and files.
///
/// Nothing is deferred: the pebble-ready hook that follows completes what is missing here.
pub(crate) fn start(facts: &StartFacts) -> Decision<Effect> {
    let common = &facts.common;
    let mut decision = Decision::new();
    if !facts.container {
        return decision.status(Status::waiting(wording::NO_CONTAINER));
    }
    let options = match &common.options {
        Ok(_) if let Some(error) = &common.refused => {
            return decision.status(wording::bad_option(error));
        }
        // The settings are not validated yet, nor is it known what depends on them.
        Ok(options) => &Options { settings: Vec::new(), ..options.clone() },
        Err(error) => return decision.status(wording::bad_option(error)),
    };
    if facts.configured {
        return decision;
    }
    let published = facts.peers.as_ref().and_then(|(_, bag)| bag.cfg_file.clone());
    // A follower without the leader's configuration starts with one without databases.
    let app = common.unit.app();
    // Which PgBouncer runs is asked before it starts; here the image's is assumed.
    let shape = Shape { version: Version::TRIXIE, share: None, readonly: &[] };
    let empty = DatabaseMap::default();
    let ini = match &published {
        Some(text) => text.parse().map_err(|error: IniError| error.to_string()),
        None => shared(app, options, None, &empty, &shape).map_err(|error| error.to_string()),
    };
    let ini: Ini = match ini {
        Ok(ini) => ini,
        Err(error) => return unwritable(&error),
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
    let inis = match instances(&ini, &local) {
        Ok(inis) => inis,
        Err(error) => return unwritable(&error.to_string()),
    };
    let folders = (0u32..).zip(&inis).flat_map(|(index, _)| container::folders(index));
    let files =
        (0u32..).zip(&inis).map(|(index, ini)| container::file(names::ini(index), ini.to_string()));
    decision = decision.effects(container::write(folders.collect(), files.collect()));
    if let (true, None, Some((id, _))) = (common.leader, published, &facts.peers) {
        let changes = Changes::new()
            .set("cfg_file", ini.to_string())
            .set("leader_hostname", names::hostname(&common.unit, &common.model));
        decision = decision.effect(Write::app_bag(*id, changes));
    }
    decision
}

fn unwritable(why: &str) -> Decision<Effect> {
    Decision::new().status(Status::blocked(wording::unwritable(why)))
}

/// Processes that a unit runs on a machine with so many processors.
pub(crate) fn processes(processors: usize) -> NonZeroU32 {
    let clamped = u32::try_from(processors.clamp(2, 4)).unwrap_or(2);
    NonZeroU32::new(clamped).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use juju_charm::RelationId;
    use juju_interfaces::pgb_peers::AppBag;

    use crate::fixture;

    fn facts() -> StartFacts {
        StartFacts {
            common: fixture::common(true),
            container: true,
            configured: false,
            peers: Some((RelationId(1), AppBag::default())),
        }
    }

    fn files(decision: &Decision<Effect>) -> usize {
        fixture::files(decision).count()
    }

    fn bags(decision: &Decision<Effect>) -> usize {
        decision
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Juju(Write::Bag { .. })))
            .count()
    }

    #[test]
    fn start_is_container_no_waits() {
        let decision = start(&StartFacts { container: false, ..facts() });
        assert!(decision.effects.is_empty());
        assert_eq!(decision.status, Some(Status::waiting(wording::NO_CONTAINER)));
    }

    #[test]
    fn start_is_cfg_yes_needs_nothing() {
        let decision = start(&StartFacts { configured: true, ..facts() });
        assert!(decision.effects.is_empty());
    }

    #[test]
    fn start_is_published_yes_renders_it() {
        let mut common = fixture::common(false);
        common.leader = false;
        let cfg_file = Some(fixture::shared_ini().to_string());
        let peers = Some((RelationId(1), AppBag { cfg_file, ..AppBag::default() }));
        let decision = start(&StartFacts { common, peers, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
        let text = fixture::pushed(&decision, &names::ini(0));
        assert!(text.contains("waltz = host="), "{text}");
    }

    #[test]
    fn start_is_published_yes_names_what_it_cannot_read() {
        let cfg_file = Some("nonsense".to_owned());
        let peers = Some((RelationId(1), AppBag { cfg_file, ..AppBag::default() }));
        let decision = start(&StartFacts { peers, ..facts() });
        let status = decision.status.unwrap();
        assert_eq!((status.word(), decision.effects.len()), ("blocked", 0), "{status:?}");
    }

    #[test]
    fn start_is_leader_yes_generates_and_publishes() {
        let decision = start(&facts());
        assert_eq!((files(&decision), bags(&decision)), (2, 1));
    }

    #[test]
    fn start_is_leader_no_renders_without_databases() {
        let common = fixture::common(false);
        let decision = start(&StartFacts { common, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
    }

    #[test]
    fn start_without_peer_relation_renders() {
        let decision = start(&StartFacts { peers: None, ..facts() });
        assert_eq!((files(&decision), bags(&decision)), (2, 0));
    }

    #[test]
    fn processes_are_two_to_four() {
        let counts: Vec<u32> = [0, 1, 2, 3, 4, 64].map(|n| processes(n).get()).to_vec();
        assert_eq!(counts, [2, 2, 2, 3, 4, 4]);
    }
}
