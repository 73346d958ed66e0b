//! Every row of the table: what outlasts which event.

use super::*;
use crate::RelationEvent;

const EVENTS: [&str; 13] = [
    "start",
    "upgrade-charm",
    "config-changed",
    "update-status",
    "leader-elected",
    "db created 4",
    "db changed 4",
    "db broken 4",
    "db broken 5",
    "peers created 1",
    "peers joined 1 app/1",
    "peers joined 1 app/2",
    "peers departed 1 app/1",
];

fn event(text: &str) -> Event {
    let mut words = text.split(' ');
    let mut next = || words.next();
    let (name, kind) = (next().unwrap(), next());
    let Some(kind) = kind else {
        return Event::parse(&[("JUJU_DISPATCH_PATH".into(), format!("hooks/{name}"))].into())
            .unwrap();
    };
    let kinds = [RelationKind::Created, RelationKind::Joined, RelationKind::Changed];
    let mut kinds = kinds.into_iter().chain([RelationKind::Departed, RelationKind::Broken]);
    let own = if name == "peers" { "app" } else { "client" };
    Event::Relation(RelationEvent {
        kind: kinds.find(|known| known.word() == kind).unwrap(),
        endpoint: name.parse().unwrap(),
        id: next().unwrap().parse().unwrap(),
        remote_app: Some(own.parse().unwrap()),
        remote_unit: next().map(|unit| unit.parse().unwrap()),
        departing_unit: None,
    })
}

/// What is remembered by `key` outlasts all of [`EVENTS`] but these, and all of the charm's own
/// causes but these.
#[track_caller]
fn check(key: &str, events: &[&str], causes: &[Cause]) {
    let key = Key::parse(key).unwrap();
    assert_eq!(Key::parse(&key.to_string()), Some(key.clone()));
    let (own, planned) = ("app".parse().unwrap(), ["app/0", "app/1"].map(|u| u.parse().unwrap()));
    let doubted = |text: &&str| key.is_doubted(&key.causes(&event(text), &own, &planned));
    assert_eq!(EVENTS.into_iter().filter(doubted).collect::<Vec<_>>(), events, "{key}");
    let own = [Cause::AnotherLed, Cause::UnknownRelation];
    let doubted = own.into_iter().filter(|cause| key.is_doubted(&[*cause]));
    assert_eq!(doubted.collect::<Vec<_>>(), causes, "{key}");
}

#[test]
fn the_relations_of_an_endpoint_are_listed_anew_at_its_events() {
    let events = ["upgrade-charm", "db created 4", "db changed 4", "db broken 4", "db broken 5"];
    check("cached:relations:db", &events, &[Cause::AnotherLed, Cause::UnknownRelation]);
}

#[test]
fn the_other_application_never_changes() {
    check("cached:app:4", &["db created 4", "db broken 4"], &[]);
}

#[test]
fn juju_writes_into_the_units_bag() {
    let events = ["upgrade-charm", "config-changed", "db created 4", "db broken 4"];
    check("cached:unit-bag:4", &events, &[]);
}

#[test]
fn the_former_leader_wrote_the_applications_bag() {
    let events = ["upgrade-charm", "leader-elected", "db created 4", "db broken 4"];
    check("cached:app-bag:4", &events, &[Cause::AnotherLed]);
}

#[test]
fn planned_units_move_with_peers_that_were_not_known() {
    let moves = ["peers created 1", "peers joined 1 app/2", "peers departed 1 app/1"];
    let events = ["upgrade-charm", "update-status"].into_iter().chain(moves);
    check("cached:planned-units", &events.collect::<Vec<_>>(), &[]);
}

#[test]
fn every_kind_has_one_row() {
    let keys = ["relations:db", "app:4", "unit-bag:4", "app-bag:4", "planned-units"];
    let kinds = keys.map(|key| Key::parse(&format!("{PREFIX}{key}")).unwrap().kind());
    assert_eq!(TABLE.map(|(kind, _)| kind), kinds);
    assert_eq!(Key::parse("cached:other:4"), None);
    assert_eq!(Key::parse("relations:db"), None);
}

#[test]
fn what_is_remembered_of_thousands_of_relations_fits_into_the_state() {
    let bag = |id: u32| (format!("cached:app-bag:{id}"), "x".repeat(1000));
    let mut state: Bag = (0..5000).map(bag).collect();
    let kept = [("deferred", "y".repeat(100)), ("cached:relations:db", "z".repeat(2000))];
    state.extend(kept.map(|(key, text)| (key.to_owned(), text)));
    state.insert("cached:relations:all".to_owned(), "z".repeat(65 << 10));
    bound(&mut state);
    let bytes: usize = state.iter().map(|(key, text)| key.len() + text.len()).sum();
    assert!((MEMORY_BYTES_MAX - 2000..=MEMORY_BYTES_MAX + 200).contains(&bytes), "{bytes}");
    assert!(state.contains_key("deferred") && state.contains_key("cached:relations:db"));
    assert!(!state.contains_key("cached:relations:all"));
    let before = state.clone();
    bound(&mut state);
    assert_eq!(state, before, "the same is remembered by every hook");
}
