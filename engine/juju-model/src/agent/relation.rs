//! What a unit does next in its relations, and how it enters and leaves them.

use std::sync::Arc;

use juju_names::{RelationId, UnitName};

use crate::entity::relation::Relation;
use crate::entity::uniter::{Membership, Stage};
use crate::tool::Bag;
use crate::{Databag, Hook, Life, Model, Unit};

impl Model {
    /// `relation-created` of the first live relation that the unit does not know yet.
    pub(crate) fn next_created(&self, unit: &Unit) -> Option<Hook> {
        let known = &unit.uniter.relations;
        let fresh = self.relations.values().filter(|relation| {
            relation.life == Life::Alive
                && relation.end(unit.name.app()).is_some()
                && !known.get(&relation.id).is_some_and(|membership| membership.stage != Stage::New)
        });
        let fresh = self.first_in_turn(&unit.name, fresh, |relation| relation.id.to_string());
        let relation = fresh?.event(unit.name.app())?;
        Some(Hook::RelationCreated { relation })
    }

    /// The next joined, changed, departed or broken of any relation, by relation id unless
    /// shuffled; those with peers last, as far as the agent knows that they are.
    pub(crate) fn next_relation(&self, unit: &Unit) -> Option<Hook> {
        let of = |peers: bool| {
            let relations = unit.uniter.relations.iter();
            let due = relations.filter_map(|(id, membership)| {
                let relation = self.relations.get(id)?;
                let last = match membership.stage {
                    Stage::New | Stage::Left => return None,
                    Stage::Created => relation.is_peer(),
                    Stage::Reloaded => false,
                };
                Some((
                    id,
                    (last == peers).then(|| self.next_in(unit, relation, membership)).flatten()?,
                ))
            });
            Some(self.first_in_turn(&unit.name, due, |(id, _)| id.to_string())?.1)
        };
        of(false).or_else(|| of(true))
    }

    fn next_in(&self, unit: &Unit, relation: &Relation, seen: &Membership) -> Option<Hook> {
        let remote_app = &relation.remote(unit.name.app())?.app;
        let event = || relation.event(unit.name.app());
        if let Some(remote) = &seen.changed_due {
            return Some(Hook::RelationChanged { relation: event()?, unit: Some(remote.clone()) });
        }
        let leaving = self.is_leaving(unit, relation);
        let missed = |member| !relation.scope.contains(member) && !seen.ghosts.contains(member);
        let gone = seen.members.keys().find(|member| leaving || missed(*member));
        if let Some(remote) = gone {
            let app_dying =
                self.apps.get(unit.name.app()).is_none_or(|app| app.life == Life::Dying);
            let local = unit.life == Life::Dying || app_dying;
            let departing = if local { unit.name.clone() } else { remote.clone() };
            return Some(Hook::RelationDeparted {
                relation: event()?,
                unit: remote.clone(),
                departing,
            });
        }
        if leaving {
            let nameless = seen.stage == Stage::Reloaded;
            if relation.is_peer() && !nameless {
                return None;
            }
            return Some(Hook::RelationBroken { relation: event()?, nameless });
        }
        let rules = self.rules();
        let app_version = relation.app_bags.get(remote_app).map_or(0, |bag| bag.mark(rules));
        if app_version != seen.app_seen {
            return Some(Hook::RelationChanged { relation: event()?, unit: None });
        }
        let mut remotes =
            relation.scope.iter().filter(|u| **u != unit.name && u.app() == remote_app);
        if let Some(fresh) = remotes.find(|remote| !seen.members.contains_key(*remote)) {
            return Some(Hook::RelationJoined { relation: event()?, unit: fresh.clone() });
        }
        let version =
            |remote| relation.unit_bags.get(remote).map_or(0, |bag: &Databag| bag.mark(rules));
        let changed = seen.members.iter().find(|(remote, seen)| version(*remote) != **seen);
        let (remote, _) = changed?;
        Some(Hook::RelationChanged { relation: event()?, unit: Some(remote.clone()) })
    }

    fn is_leaving(&self, unit: &Unit, relation: &Relation) -> bool {
        unit.life == Life::Dying || relation.life == Life::Dying
    }

    /// Puts the unit into the scope of all live relations of its application.
    pub(crate) fn enter_scopes(&mut self, unit: &UnitName) {
        let keys = self.network_keys(unit);
        for relation in self.relations.values_mut() {
            let here = relation.end(unit.app()).is_some() && relation.life == Life::Alive;
            if here && relation.scope.insert(unit.clone()) {
                let bag = relation.unit_bags.entry(unit.clone()).or_default();
                bag.values = Arc::new(keys.clone());
                bag.changed();
            }
        }
    }

    /// Writes the unit's addresses into its bags where they differ.
    pub(crate) fn refresh_network_keys(&mut self, unit: &UnitName) {
        let keys = self.network_keys(unit);
        for relation in self.relations.values_mut() {
            if relation.scope.contains(unit) {
                relation.unit_bags.entry(unit.clone()).or_default().apply(&keys);
            }
        }
    }

    /// The keys that Juju itself keeps in every unit bag: the service's address, so that another
    /// pod of the unit causes no event.
    fn network_keys(&self, unit: &UnitName) -> Bag {
        let own = self.units.get(unit).and_then(|unit| unit.address.clone()).unwrap_or_default();
        let service = self.apps.get(unit.app()).and_then(|app| app.address.clone());
        let ingress = service.unwrap_or(own);
        let subnet = if ingress.is_empty() { String::new() } else { format!("{ingress}/32") };
        let private = self.rules().private_address.then(|| ("private-address", ingress.clone()));
        let keys = [("ingress-address", ingress), ("egress-subnets", subnet)];
        keys.into_iter().chain(private).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// A leaving unit drops out of peer relations that its agent knows without a `broken`, and out of relations
    /// that end before their `created` has run. While a hook of it has failed it stays where it is:
    /// the hook runs again in the relation that it is of.
    pub(crate) fn leave_quietly(&mut self, unit: &UnitName) {
        let state = self.units.get(unit).filter(|state| state.uniter.failed.is_none());
        let Some(state) = state else { return };
        let idle = |membership: &Membership| {
            membership.stage == Stage::Created
                && membership.members.is_empty()
                && membership.changed_due.is_none()
        };
        let leaving: Vec<RelationId> = state
            .uniter
            .relations
            .iter()
            .filter(|(_, membership)| idle(membership))
            .filter_map(|(id, _)| self.relations.get(id))
            .filter(|relation| relation.is_peer() && self.is_leaving(state, relation))
            .map(|relation| relation.id)
            .collect();
        let unseen = |relation: &&Relation| {
            let known = state.uniter.relations.get(&relation.id);
            relation.scope.contains(unit)
                && known.is_none_or(|membership| membership.stage == Stage::New)
        };
        let ended = self.relations.values().filter(|relation| self.is_leaving(state, relation));
        let ended = ended.filter(unseen);
        let ended: Vec<RelationId> = ended.map(|relation| relation.id).collect();
        for id in leaving.into_iter().chain(ended) {
            self.leave(unit, id, false);
        }
    }

    /// Takes the unit out of a relation, and the relation out of the model after its last unit.
    /// Peers may get no event for one that left without a `broken`.
    pub(crate) fn leave(&mut self, unit: &UnitName, id: RelationId, aloud: bool) {
        if let Some(state) = self.units.get_mut(unit) {
            state.uniter.relations.entry(id).or_default().stage = Stage::Left;
        }
        let peer = self.relations.get(&id).is_some_and(Relation::is_peer);
        if peer && !self.rules().departed_told {
            for state in self.units.values_mut().filter(|other| other.name.app() == unit.app()) {
                let Some(seen) = state.uniter.relations.get_mut(&id) else { continue };
                match aloud {
                    true => drop(seen.ghosts.remove(unit)),
                    false if seen.members.contains_key(unit) => {
                        seen.ghosts.insert(unit.clone());
                    }
                    false => {}
                }
            }
        }
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.scope.remove(unit);
        }
        self.drop_if_empty(id);
    }
}
