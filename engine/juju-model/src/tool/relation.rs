//! Relation tools: who may read and write which databag.

use std::sync::Arc;

use juju_names::{AppName, EndpointName, RelationId, UnitName};

use crate::entity::relation::{Relation, overlay};
use crate::tool::call::{ToolCall, refused};
use crate::tool::{Answer, Bag, Party, ToolError};
use crate::{Hook, RelationEvent, Rules};

/// A relation as the running unit may use it.
pub(crate) struct Seen {
    pub(crate) event: RelationEvent,
    pub(crate) is_peer: bool,
}

fn denied() -> ToolError {
    refused("permission denied")
}

/// Why the databag of a unit that has never been in the relation cannot be read.
fn no_bag(rules: &Rules, relation: Option<&Relation>, unit: &UnitName) -> ToolError {
    if rules.strangers_unknown {
        return refused("relation unit not found");
    }
    let (unit, relation) = (unit.to_string(), relation.map(Relation::key).unwrap_or_default());
    refused(format!(
        "cannot read settings for unit {unit:?} in relation {relation:?}: \
         unit {unit:?}: settings not found"
    ))
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

    /// Relations of an endpoint that the unit is in, sorted by id, without the one that is
    /// breaking; an unknown endpoint has none.
    ///
    /// # Errors
    /// None so far; so for all that say nothing of theirs.
    pub fn relation_ids(&self, endpoint: &str) -> Answer<Vec<RelationId>> {
        let unit = &self.session.run.unit;
        let breaking = |id| match &self.session.run.hook {
            Hook::RelationBroken { relation, .. } => relation.id == id,
            _ => false,
        };
        let relations = self.model.relations.values();
        let ids = relations
            .filter(|relation| relation.scope.contains(unit) && !breaking(relation.id))
            .filter(|relation| {
                relation.end(unit.app()).is_some_and(|end| end.endpoint.as_str() == endpoint)
            })
            .map(|relation| relation.id);
        Ok(ids.collect())
    }

    /// The endpoint's name of a relation of this unit, for printing `name:id`.
    ///
    /// # Errors
    /// `relation not found`, exit code 2; so for all that take a relation's id.
    pub fn relation_endpoint(&self, id: RelationId) -> Answer<EndpointName> {
        Ok(self.relation(id)?.event.endpoint)
    }

    /// Remote units joined so far from this unit's point of view, sorted.
    ///
    /// # Errors
    /// An unknown relation.
    pub fn relation_list(&self, id: RelationId) -> Answer<Vec<UnitName>> {
        self.relation(id)?;
        let members = self.session.reads.members.get(&id);
        Ok(members.into_iter().flatten().cloned().collect())
    }

    /// The remote application; the own one for peers.
    ///
    /// # Errors
    /// An unknown relation.
    pub fn relation_remote_app(&self, id: RelationId) -> Answer<AppName> {
        Ok(self.relation(id)?.event.remote_app)
    }

    /// The UUID of the model that the relation's other side is in.
    ///
    /// # Errors
    /// An unknown relation.
    pub fn relation_model_get(&self, id: RelationId) -> Answer<String> {
        self.relation(id)?;
        Ok(self.model.uuid.clone())
    }

    /// A databag, with own buffered writes laid over it.
    ///
    /// # Errors
    /// An unknown relation, and a bag that is not this unit's to read.
    pub fn relation_get(&mut self, id: RelationId, of: &Party) -> Answer<Arc<Bag>> {
        match of {
            Party::Unit(unit) => self.unit_bag(id, unit),
            Party::App(app) => self.app_bag(id, app),
        }
    }

    /// A unit's databag: the own one with buffered writes, another's as first read.
    fn unit_bag(&mut self, id: RelationId, unit: &UnitName) -> Answer<Arc<Bag>> {
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
        let rules = self.model.rules();
        let related = unit.app() == own.app() || *unit.app() == seen.event.remote_app;
        if !related && !rules.strangers_unknown {
            return Err(denied());
        }
        let key = (id, unit.clone());
        if let Some(bag) = self.session.reads.unit_bags.get(&key) {
            return Ok(bag.clone());
        }
        // A member's bag is as the agent has read it last, until its next joined or changed.
        let members = self.session.reads.members.get(&id);
        let member = members.is_some_and(|members| members.contains(unit));
        let kept = self.model.memory_of(&own).bags.get(&key).filter(|_| member).cloned();
        let unknown = || no_bag(rules, self.model.relations.get(&id), unit);
        let bag = kept.or_else(stored).ok_or_else(unknown)?;
        if let Some(memory) = self.model.memory.get_mut(&own).filter(|_| member) {
            memory.bags.insert(key.clone(), bag.clone());
        }
        self.session.reads.unit_bags.insert(key, bag.clone());
        Ok(bag)
    }

    /// An application's databag. The own one is the leader's alone, except among peers.
    fn app_bag(&mut self, id: RelationId, app: &AppName) -> Answer<Arc<Bag>> {
        let seen = self.relation(id)?;
        let own = self.own().app() == app;
        let rules = self.model.rules();
        if own && !seen.is_peer && !self.leads() && !rules.own_databag {
            return Err(denied());
        }
        if !own && *app != seen.event.remote_app {
            let unknown = rules.strangers_unknown && !self.model.apps.contains_key(app);
            let name = app.as_str();
            return Err(match unknown {
                true => refused(format!("getting application {name:?} not found")),
                false => denied(),
            });
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

    /// Buffers changes to the unit's or its application's bag. An empty value deletes the key.
    ///
    /// # Errors
    /// An unknown relation, an application's bag of one who does not lead, too much in all.
    pub fn relation_set(&mut self, id: RelationId, app: bool, changes: Bag) -> Answer<()> {
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
