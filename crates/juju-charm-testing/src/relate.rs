//! How a given relation comes about: its units enter it, write their databags and get the events.

use juju_model::tools::Bag;
use juju_model::{CharmMeta, Hook, MetadataYaml, RelationEnd, RelationEvent, Role};
use juju_names::{AppName, EndpointName, UnitName};

use crate::Relation;
use crate::world::{NOW, World};

/// Both sides of a relation while it is made.
struct Sides {
    /// As the world's unit sees it.
    own: RelationEvent,
    /// As the units at the other end see it.
    remote: RelationEvent,
}

impl World {
    /// Adds a relation, or puts it in the place of the one with its id.
    #[must_use]
    pub fn relation(mut self, relation: Relation) -> Self {
        self.wrong.extend(relation.wrong.iter().cloned());
        match self.sides(&relation) {
            Ok((sides, ends)) => {
                self.model.given_relation(NOW, relation.id, ends);
                self.fill(&relation, &sides);
            }
            Err(why) => self.wrong.push(why),
        }
        self
    }

    fn sides(&self, relation: &Relation) -> Result<(Sides, Vec<RelationEnd>), String> {
        let name = &relation.endpoint;
        let own = self.unit.app().clone();
        let app = self.model.application(&own);
        let found = app.and_then(|app| app.charm.endpoint(name));
        let (endpoint, meta) =
            found.ok_or_else(|| format!("metadata.yaml declares no endpoint {name:?}"))?;
        let remote: AppName = relation
            .remote_app
            .parse()
            .map_err(|error: juju_names::NameError| error.to_string())?;
        let end = |app: &AppName, role: Role| RelationEnd {
            app: app.clone(),
            endpoint: endpoint.clone(),
            role,
            interface: meta.interface.clone(),
        };
        let ends = match meta.role {
            Role::Peer if remote != own => {
                return Err(format!(
                    "{:?} is no peer in {name:?}: peers are units of one application",
                    remote.as_str()
                ));
            }
            Role::Peer => vec![end(&own, Role::Peer)],
            Role::Provider => vec![end(&remote, Role::Requirer), end(&own, Role::Provider)],
            Role::Requirer => vec![end(&own, Role::Requirer), end(&remote, Role::Provider)],
        };
        let event = |remote_app: &AppName| RelationEvent {
            id: relation.id,
            endpoint: EndpointName::clone(endpoint),
            remote_app: remote_app.clone(),
        };
        Ok((Sides { own: event(&remote), remote: event(&own) }, ends))
    }

    fn fill(&mut self, relation: &Relation, sides: &Sides) {
        let (own, id, remote) = (self.unit.clone(), relation.id, &sides.own.remote_app);
        let units = relation.units.keys().chain(relation.departed.keys());
        for unit in units.clone() {
            if unit.app() != remote {
                let app = remote.as_str();
                self.wrong.push(format!("{unit} is no unit of {app:?} in relation {id}"));
            }
            if *unit == own {
                self.wrong.push(format!("{unit} is not its own peer in relation {id}"));
            }
        }
        let most = units.map(UnitName::number).max().unwrap_or_default();
        self.deploy_remote(remote, most + 1);
        self.play(&own, Hook::RelationCreated { relation: sides.own.clone() }, |_| Ok(()));
        self.write(&own, relation, &relation.own_unit);
        self.write_as_leader(&own, relation, &relation.own_app);
        if remote != own.app() {
            self.write_as_leader(&UnitName::new(remote.clone(), 0), relation, &relation.app);
        }
        for (unit, content) in relation.units.iter().chain(&relation.departed) {
            self.play(unit, Hook::RelationCreated { relation: sides.remote.clone() }, |_| Ok(()));
            self.write(unit, relation, content);
            let joined = Hook::RelationJoined { relation: sides.own.clone(), unit: unit.clone() };
            self.play(&own, joined, |_| Ok(()));
        }
        for unit in relation.departed.keys() {
            let left = Hook::RelationBroken { relation: sides.remote.clone(), nameless: false };
            self.play(unit, left, |_| Ok(()));
            let (relation, departing) = (sides.own.clone(), unit.clone());
            let departed = Hook::RelationDeparted { relation, unit: unit.clone(), departing };
            self.play(&own, departed, |_| Ok(()));
        }
        for unit in &relation.ghosts {
            let scaled = self.model.scale(NOW, unit.app(), unit.number());
            self.note(scaled);
            self.model.unit_gone(unit);
        }
    }

    fn deploy_remote(&mut self, app: &AppName, units: u32) {
        let metadata = serde_saphyr::from_str::<MetadataYaml>(&format!("name: {app}"));
        let charm = metadata.map_err(|error| error.to_string()).and_then(|metadata| {
            CharmMeta::from_parts(metadata, None, None).map_err(|error| error.to_string())
        });
        match charm {
            Ok(charm) => self.deploy(app, charm, units),
            Err(why) => self.wrong.push(why),
        }
    }

    fn write(&mut self, unit: &UnitName, relation: &Relation, content: &Bag) {
        let (id, content) = (relation.id, content.clone());
        self.play(unit, Hook::UpdateStatus, |tools| tools.relation_set(id, false, content));
    }

    fn write_as_leader(&mut self, unit: &UnitName, relation: &Relation, content: &Bag) {
        let (id, content) = (relation.id, content.clone());
        self.as_leader(unit, |tools| tools.relation_set(id, true, content));
    }
}
