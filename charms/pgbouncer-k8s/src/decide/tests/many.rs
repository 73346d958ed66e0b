//! What 5,000 clients come to, beside the bounds of Juju 4 and Kubernetes.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{Bag, Event, RelationId, SecretContent, Write};

use crate::effect::{ContainerEffect, Effect};
use crate::facts::{Access, DatabaseRelation, FullFacts, LegacyRelation};
use crate::fixture::{client, ready, step};

const CLIENTS: u32 = 5000;
/// Ids of relations are never given again.
const FIRST: u32 = 100_000;

/// The largest databag, a document of Juju's store.
const BAG_MAX: usize = 16 << 20;
/// The largest secret: Kubernetes keeps it.
const SECRET_MAX: usize = 1 << 20;
/// The largest state of a unit, less what the framework remembers at most.
const STATE_MAX: usize = 1 << 20;
/// The largest file. Nothing bounds it but that each process reads it with each reload.
const FILE_MAX: usize = 4 << 20;

/// The largest of each kind, in bytes.
#[derive(Debug, Default)]
struct Sizes {
    /// The application's bag of the peers.
    peers: usize,
    /// The application's bag of a client.
    client: usize,
    secret: usize,
    state: BTreeMap<String, usize>,
    files: BTreeMap<String, usize>,
}

fn bag(bag: &Bag) -> usize {
    bag.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn secret(content: &SecretContent) -> usize {
    content.keys().map(|key| key.len() + content.expose(key).map_or(0, str::len)).sum()
}

impl Sizes {
    fn note(&mut self, effect: &Effect) {
        let grow = |of: &mut usize, size: usize| *of = size.max(*of);
        match effect {
            Effect::Juju(Write::Secret { content, .. }) => grow(&mut self.secret, secret(content)),
            Effect::Juju(Write::State(key, Some(text))) => {
                grow(self.state.entry(key.clone()).or_default(), text.len());
            }
            Effect::Confirm(confirm) => {
                let longest = confirm.effective.to_text().len().max(confirm.owed.to_text().len());
                grow(self.state.entry("effective".to_owned()).or_default(), longest);
            }
            Effect::Container(ContainerEffect::PushFiles(files)) => {
                for file in files {
                    let size = file.content.expose().len();
                    grow(self.files.entry(file.path.clone()).or_default(), size);
                }
            }
            _ => {}
        }
    }
}

/// Decides until nothing is left to be done; how large everything became.
fn settle(mut facts: FullFacts) -> Sizes {
    let mut sizes = Sizes::default();
    for _ in 0..5 {
        let (next, decision) = step(&Event::UpdateStatus, facts);
        decision.effects.iter().for_each(|effect| sizes.note(effect));
        facts = next;
        if decision.effects.is_empty() {
            break;
        }
    }
    let own = facts.clients.iter().map(|client| bag(&client.own));
    let old = facts.legacy.iter().map(|client| bag(&client.own_app));
    sizes.client = own.chain(old).max().unwrap_or_default();
    assert!(sizes.client > 0, "every client is served");
    sizes.peers = facts.peers.map_or(0, |peers| bag(&peers.app_bag));
    sizes
}

#[track_caller]
fn check(what: &str, sizes: &Sizes) {
    println!("{CLIENTS} {what}: {sizes:#?}");
    assert!(sizes.peers <= BAG_MAX && sizes.client <= BAG_MAX, "{sizes:?}");
    assert!(sizes.secret <= SECRET_MAX, "{sizes:?}");
    assert!(sizes.state.values().sum::<usize>() <= STATE_MAX, "{sizes:?}");
    assert!(sizes.files.values().all(|size| *size <= FILE_MAX), "{sizes:?}");
}

#[test]
fn five_thousand_clients_fit() {
    let one = |number: u32| DatabaseRelation {
        app: format!("client-{number}x").parse().unwrap(),
        ..client(FIRST + number, &format!("a_database_with_an_ordinary_name_{number}"))
    };
    let facts = FullFacts { clients: (0..CLIENTS).map(one).collect(), ..ready() };
    check("clients", &settle(facts));
}

#[test]
fn five_thousand_legacy_clients_fit() {
    let one = |number: u32| LegacyRelation {
        id: RelationId(FIRST + number),
        access: Access::Database,
        app: format!("client-{number}x").parse().unwrap(),
        request: juju_interfaces::pgsql::Request {
            database: Some(format!("a_database_with_an_ordinary_name_{number}")),
            ..Default::default()
        },
        units: BTreeSet::from([format!("client-{number}x/0").parse().unwrap()]),
        subnets: BTreeSet::from(["10.1.0.9/32".to_owned()]),
        own_app: Bag::new(),
        own_unit: Bag::new(),
    };
    let facts = FullFacts { legacy: (0..CLIENTS).map(one).collect(), ..ready() };
    check("legacy clients", &settle(facts));
}
