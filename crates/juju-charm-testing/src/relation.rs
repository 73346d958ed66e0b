//! A relation in a world.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{Bag, Event, RelationEvent, RelationKind};
use juju_names::{AppName, EndpointName, NameError, RelationId, UnitName};

use crate::world::bag;

/// A relation in a world: its units and databags.
#[derive(Clone)]
pub struct Relation {
    pub(crate) wrong: Vec<String>,
    pub(crate) id: RelationId,
    pub(crate) endpoint: String,
    pub(crate) remote_app: String,
    pub(crate) units: BTreeMap<UnitName, Bag>,
    pub(crate) departed: BTreeMap<UnitName, Bag>,
    pub(crate) ghosts: BTreeSet<UnitName>,
    pub(crate) app: Bag,
    pub(crate) own_unit: Bag,
    pub(crate) own_app: Bag,
}

impl Relation {
    /// A relation without units and with empty databags.
    pub fn new(id: u32, endpoint: &str, remote_app: &str) -> Self {
        Self {
            wrong: Vec::new(),
            id: RelationId(id),
            endpoint: endpoint.to_owned(),
            remote_app: remote_app.to_owned(),
            units: BTreeMap::new(),
            departed: BTreeMap::new(),
            ghosts: BTreeSet::new(),
            app: Bag::new(),
            own_unit: Bag::new(),
            own_app: Bag::new(),
        }
    }

    /// Adds a remote unit (of peers: another unit) that has joined.
    #[must_use]
    pub fn unit(mut self, name: &str, content: &[(&str, &str)]) -> Self {
        match name.parse() {
            Ok(name) => drop(self.units.insert(name, bag(content))),
            Err(error) => self.wrong.push(NameError::to_string(&error)),
        }
        self
    }

    /// Adds a remote unit that has departed; its databag can still be read.
    #[must_use]
    pub fn departed(mut self, name: &str, content: &[(&str, &str)]) -> Self {
        match name.parse() {
            Ok(name) => drop(self.departed.insert(name, bag(content))),
            Err(error) => self.wrong.push(NameError::to_string(&error)),
        }
        self
    }

    /// Adds a peer that is gone without a `relation-departed`, and that Juju goes on listing: it is
    /// planned no more.
    #[must_use]
    pub fn ghost(mut self, name: &str, content: &[(&str, &str)]) -> Self {
        self = self.unit(name, content);
        self.ghosts.extend(name.parse().ok());
        self
    }

    /// Fills the remote application's databag. Peers share the own application's.
    #[must_use]
    pub fn remote(mut self, content: &[(&str, &str)]) -> Self {
        self.app = bag(content);
        self
    }

    /// Fills the own unit's databag.
    #[must_use]
    pub fn own_unit(mut self, content: &[(&str, &str)]) -> Self {
        self.own_unit = bag(content);
        self
    }

    /// Fills the own application's databag.
    #[must_use]
    pub fn own_app(mut self, content: &[(&str, &str)]) -> Self {
        self.own_app = bag(content);
        self
    }

    /// The event that the relation exists.
    ///
    /// # Errors
    /// When the endpoint's or the application's name is malformed; so for all events.
    pub fn created(&self) -> Result<Event, NameError> {
        self.event(RelationKind::Created, None, None)
    }

    /// The event that a remote unit came.
    ///
    /// # Errors
    /// As [`Relation::created`].
    pub fn joined(&self, unit: &str) -> Result<Event, NameError> {
        self.event(RelationKind::Joined, Some(unit), None)
    }

    /// The event that a remote unit's databag changed, or the application's.
    ///
    /// # Errors
    /// As [`Relation::created`].
    pub fn changed(&self, unit: Option<&str>) -> Result<Event, NameError> {
        self.event(RelationKind::Changed, unit, None)
    }

    /// The event that a remote unit went, because `departing` leaves.
    ///
    /// # Errors
    /// As [`Relation::created`].
    pub fn departing(&self, unit: &str, departing: &str) -> Result<Event, NameError> {
        self.event(RelationKind::Departed, Some(unit), Some(departing))
    }

    /// The event that the relation is over.
    ///
    /// # Errors
    /// As [`Relation::created`].
    pub fn broken(&self) -> Result<Event, NameError> {
        self.event(RelationKind::Broken, None, None)
    }

    /// The same as Juju sends it where the unit's agent has restarted since the relation was
    /// made: the application is left out.
    ///
    /// # Errors
    /// As [`Relation::created`].
    pub fn broken_after_restart(&self) -> Result<Event, NameError> {
        let mut event = self.broken()?;
        if let Event::Relation(relation) = &mut event {
            relation.remote_app = None;
        }
        Ok(event)
    }

    fn event(
        &self,
        kind: RelationKind,
        unit: Option<&str>,
        departing: Option<&str>,
    ) -> Result<Event, NameError> {
        Ok(Event::Relation(RelationEvent {
            kind,
            endpoint: self.endpoint.parse::<EndpointName>()?,
            id: self.id,
            remote_app: Some(self.remote_app.parse::<AppName>()?),
            remote_unit: unit.map(str::parse).transpose()?,
            departing_unit: departing.map(str::parse).transpose()?,
        }))
    }
}
