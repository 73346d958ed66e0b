//! Relation tools: who may read and write which databag.

use std::sync::Arc;

use names::{AppName, RelationId, UnitName};

use crate::call::{ToolCall, refused};
use crate::relation::overlay;
use crate::tools::{Answer, Bag, ToolError};
use crate::{Hook, RelationEvent};

/// A relation as the running unit may use it.
pub(crate) struct Seen {
    pub(crate) event: RelationEvent,
    pub(crate) is_peer: bool,
}

fn denied() -> ToolError {
    refused("permission denied")
}

impl ToolCall<'_> {
    /// A relation of the unit's application.
    pub(crate) fn relation(&self, id: RelationId) -> Answer<Seen> {
        let relation = self.model.relations.get(&id);
        let seen = relation.and_then(|relation| {
            let event = relation.event(self.session.run.unit.app())?;
            Some(Seen { event, is_peer: relation.is_peer() })
        });
        let unknown = || format!("invalid value \"{id}\" for option -r: relation not found");
        seen.ok_or_else(|| ToolError::Usage(unknown()))
    }

    /// Relations of an endpoint that the unit is in, without the one that is breaking.
    pub(crate) fn ids_of(&self, endpoint: &str) -> Vec<RelationId> {
        let unit = &self.session.run.unit;
        let breaking = |id| match &self.session.run.hook {
            Hook::RelationBroken { relation } => relation.id == id,
            _ => false,
        };
        let relations = self.model.relations.values();
        relations
            .filter(|relation| relation.scope.contains(unit) && !breaking(relation.id))
            .filter(|relation| {
                relation.end(unit.app()).is_some_and(|end| end.endpoint.as_str() == endpoint)
            })
            .map(|relation| relation.id)
            .collect()
    }

    /// A unit's databag: the own one with buffered writes, another's as first read.
    pub(crate) fn unit_bag(&mut self, id: RelationId, unit: &UnitName) -> Answer<Arc<Bag>> {
        let seen = self.relation(id)?;
        let own = self.own();
        let stored = || {
            let relation = self.model.relations.get(&id)?;
            Some(relation.unit_bags.get(unit)?.values.clone())
        };
        if *unit == own {
            let mut bag = stored().unwrap_or_default();
            if let Some(changes) = self.session.writes.unit_bags.get(&id) {
                overlay(Arc::make_mut(&mut bag), changes);
            }
            return Ok(bag);
        }
        let foreign = unit.app() != own.app();
        if (!foreign && !seen.is_peer) || (foreign && *unit.app() != seen.event.remote_app) {
            return Err(denied());
        }
        let key = (id, unit.clone());
        if let Some(bag) = self.session.reads.unit_bags.get(&key) {
            return Ok(bag.clone());
        }
        let bag = stored().ok_or_else(denied)?;
        self.session.reads.unit_bags.insert(key, bag.clone());
        Ok(bag)
    }

    /// An application's databag. The own one is the leader's alone, except among peers.
    pub(crate) fn app_bag(&mut self, id: RelationId, app: &AppName) -> Answer<Arc<Bag>> {
        let seen = self.relation(id)?;
        let own = self.own().app() == app;
        if own && !seen.is_peer && !self.leads() {
            return Err(denied());
        }
        if !own && *app != seen.event.remote_app {
            return Err(denied());
        }
        let stored = || {
            let relation = self.model.relations.get(&id);
            let bag = relation.and_then(|relation| relation.app_bags.get(app));
            bag.map(|bag| bag.values.clone()).unwrap_or_default()
        };
        let read = self.session.reads.app_bags.entry((id, app.clone()));
        let mut bag = read.or_insert_with(stored).clone();
        if let Some(changes) = self.session.writes.app_bags.get(&id).filter(|_| own) {
            overlay(Arc::make_mut(&mut bag), changes);
        }
        Ok(bag)
    }

    /// Buffers changes to the unit's or its application's bag.
    pub(crate) fn write_bag(&mut self, id: RelationId, app: bool, changes: Bag) -> Answer<()> {
        self.relation(id)?;
        if app && !self.leads() {
            return Err(refused("cannot write relation settings"));
        }
        self.session.make_room_for(&changes)?;
        let writes = &mut self.session.writes;
        let bags = if app { &mut writes.app_bags } else { &mut writes.unit_bags };
        bags.entry(id).or_default().extend(changes);
        Ok(())
    }
}
