//! The edges of the seeds' flowcharts, by subject; "start" stands beside its decision. Where a
//! chart defers, nothing is done and the next hook finds the same facts.

mod backend;
mod client;
mod events;
mod legacy;
mod many;
mod tls;
mod unit;
mod upgrade;
mod watch;

use juju_charm::{Changes, Decision, Event, Own, RelationId, Write};

use crate::effect::Effect;
use crate::facts::{FullFacts, Service};
use crate::fixture::{self, PEERS, ready, step};

/// The effects that begin so, in their order.
pub(super) fn list(decision: &Decision<Effect>, begin: &str) -> Vec<String> {
    let texts = decision.effects.iter().map(|effect| format!("{effect:?}"));
    texts.filter(|text| text.starts_with(begin)).collect()
}

pub(super) fn has(decision: &Decision<Effect>, begin: &str) -> bool {
    !list(decision, begin).is_empty()
}

/// Where the first effect stands that begins so.
#[track_caller]
pub(super) fn position(decision: &Decision<Effect>, begin: &str) -> usize {
    let texts = list(decision, "");
    let found = texts.iter().position(|text| text.starts_with(begin));
    found.unwrap_or_else(|| panic!("no {begin} in {texts:#?}"))
}

/// What a decision writes into an own bag of a relation.
pub(super) fn written(decision: &Decision<Effect>, id: RelationId, which: Own) -> Option<&Changes> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::Juju(Write::Bag { relation, own, changes }) => {
            (*relation == id && *own == which).then_some(changes)
        }
        _ => None,
    })
}

/// The value that a decision writes into an own bag of the peer relation.
pub(super) fn reported<'a>(decision: &'a Decision<Effect>, own: Own, key: &str) -> Option<&'a str> {
    let bags = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Juju(Write::Bag { relation: PEERS, own: which, changes }) if *which == own => {
            Some(changes)
        }
        _ => None,
    });
    let mut values = bags.flat_map(Changes::iter).filter(|(name, _)| *name == key);
    values.next().map(|(_, value)| value)
}

pub(super) fn touches_container(decision: &Decision<Effect>) -> bool {
    let kinds = ["push", "replan", "reload", "restart", "remove file"];
    kinds.iter().any(|kind| has(decision, kind))
}

#[track_caller]
pub(super) fn check_settled(facts: FullFacts) {
    for event in [Event::UpdateStatus, Event::ConfigChanged] {
        let again = fixture::settle(fixture::copy(&facts), &Decision::new());
        assert_eq!(step(&event, again).1.effects, [], "after {}", event.name());
    }
}

pub(super) fn follower() -> FullFacts {
    let mut facts = ready();
    facts.common.leader = false;
    facts.common.unit = fixture::unit(1);
    facts.service = Service::Unread;
    let backend = facts.backend.as_mut().unwrap();
    backend.login = None;
    backend.server = None;
    step(&Event::UpdateStatus, facts).0
}
