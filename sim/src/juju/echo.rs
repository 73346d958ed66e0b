//! The events that Juju sends a unit for its own writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use juju_model::tools::Bag;
use juju_model::{Hook, HookRun, Owner, RelationEvent, Secret};
use juju_names::{RelationId, SecretId, UnitName};

use crate::World;
use crate::world::State;

/// What a unit can write that Juju then sends it an event for.
pub(crate) struct Seen {
    run: HookRun,
    /// The application's databags among peers.
    bags: BTreeMap<RelationId, Arc<Bag>>,
    /// The latest revision of each own secret.
    secrets: BTreeMap<SecretId, u32>,
}

fn is_own(secret: &Secret, unit: &UnitName) -> bool {
    match &secret.owner {
        Owner::App(app) => app == unit.app(),
        Owner::Unit(owner) => owner == unit,
        Owner::Model => false,
    }
}

impl Seen {
    /// As it is now.
    pub(crate) fn of(state: &State, run: &HookRun) -> Self {
        let peers = state.model.relations().filter(|relation| relation.is_peer());
        let bags = peers.filter_map(|relation| {
            Some((relation.id, relation.app_bags.get(run.unit.app())?.values.clone()))
        });
        let own = state.model.secrets().filter(|secret| is_own(secret, &run.unit));
        let secrets = own.map(|secret| (secret.id.clone(), secret.latest));
        Self { run: run.clone(), bags: bags.collect(), secrets: secrets.collect() }
    }

    /// The hooks for what has changed since, and a change of options once more.
    pub(crate) fn echoes(self, world: &World) -> Vec<HookRun> {
        let Self { run, bags, secrets } = self;
        let now = world.look(|state| Self::of(state, &run));
        let again = |hook| {
            let mut echo = run.clone();
            echo.hook = hook;
            echo
        };
        let mut echoes = Vec::new();
        if run.hook == Hook::ConfigChanged {
            echoes.push(run.clone());
        }
        for (id, bag) in now.bags {
            if bags.get(&id) == Some(&bag) {
                continue;
            }
            let event = world.look(|state| {
                let end = state.model.relation(id)?.ends.first()?.clone();
                Some(RelationEvent { id, endpoint: end.endpoint, remote_app: end.app })
            });
            let hear = |relation| again(Hook::RelationChanged { relation, unit: None });
            echoes.extend(event.map(hear));
        }
        for (id, latest) in now.secrets {
            if secrets.get(&id).is_some_and(|before| *before != latest) {
                echoes.push(again(Hook::SecretChanged { id, label: String::new() }));
            }
        }
        echoes
    }
}
