//! The hook by which Juju sends an event, and whether it could in this world.

use juju_charm::{Event, RelationEvent, RelationKind};
use juju_model::{Hook, Owner, Relation, RelationEvent as ModelRelation};
use juju_names::{ContainerName, SecretId, UnitName};
use serde_json::{Map, Value};

use crate::Impossible;
use crate::world::{NOW, World};

impl World {
    /// The hook of an event; of an action, with it queued.
    ///
    /// # Errors
    /// Every reason why this cannot be.
    pub(crate) fn hook(
        &mut self,
        event: &Event,
        params: Map<String, Value>,
    ) -> Result<Hook, Impossible> {
        let mut wrong = std::mem::take(&mut self.wrong);
        let undeclared = self.containers.keys().filter_map(|name| self.no_container(name));
        wrong.extend(undeclared);
        let hook = match event {
            Event::Action { name, .. } => self.action(name, params),
            event => self.plain(event),
        };
        match hook {
            Ok(hook) if wrong.is_empty() => {
                self.over(&hook);
                Ok(hook)
            }
            Ok(_) => Err(Impossible(wrong)),
            Err(reasons) => {
                wrong.extend(reasons);
                Err(Impossible(wrong))
            }
        }
    }

    fn action(&mut self, name: &str, params: Map<String, Value>) -> Result<Hook, Vec<String>> {
        let id = self.model.enqueue_action(NOW, &self.unit, name, params);
        let id = id.map_err(|error| vec![error.to_string()])?;
        Ok(Hook::Action { id, action: name.to_owned() })
    }

    fn plain(&self, event: &Event) -> Result<Hook, Vec<String>> {
        let label = |label: &Option<String>| label.clone().unwrap_or_default();
        let (hook, wrong) = match event {
            Event::Install => (Hook::Install, None),
            Event::Start => (Hook::Start, None),
            Event::Stop => (Hook::Stop, None),
            Event::Remove => (Hook::Remove, None),
            Event::ConfigChanged => (Hook::ConfigChanged, None),
            Event::UpdateStatus => (Hook::UpdateStatus, None),
            Event::UpgradeCharm => (Hook::UpgradeCharm, None),
            Event::LeaderElected => (Hook::LeaderElected, self.no_leader()),
            Event::PebbleReady { container } => {
                (Hook::PebbleReady { container: container.clone() }, self.no_container(container))
            }
            Event::PebbleCustomNotice { container, id, key } => {
                let (name, id, key) = (container.clone(), id.clone(), key.clone());
                let hook = Hook::PebbleCustomNotice { container: name, id, key };
                (hook, self.no_container(container))
            }
            Event::PebbleCheckFailed { container, check } => {
                let (name, check) = (container.clone(), check.clone());
                (Hook::PebbleCheckFailed { container: name, check }, self.no_container(container))
            }
            Event::PebbleCheckRecovered { container, check } => {
                let (name, check) = (container.clone(), check.clone());
                let hook = Hook::PebbleCheckRecovered { container: name, check };
                (hook, self.no_container(container))
            }
            Event::Relation(event) => return self.of_relation(event),
            Event::SecretChanged { id, label: l } => {
                (Hook::SecretChanged { id: id.clone(), label: label(l) }, self.no_secret(id, false))
            }
            Event::SecretRotate { id, label: l } => {
                (Hook::SecretRotate { id: id.clone(), label: label(l) }, self.no_secret(id, true))
            }
            Event::SecretExpired { id, label: l, revision } => {
                let (label, revision) = (label(l), *revision);
                let hook = Hook::SecretExpired { id: id.clone(), label, revision };
                (hook, self.no_secret(id, true))
            }
            Event::SecretRemove { id, label: l, revision } => {
                let (label, revision) = (label(l), *revision);
                let hook = Hook::SecretRemove { id: id.clone(), label, revision };
                (hook, self.no_secret(id, true))
            }
            Event::StorageAttached { id, .. } => {
                (Hook::StorageAttached { storage: id.clone() }, self.no_storage(id))
            }
            Event::StorageDetaching { id, .. } => {
                (Hook::StorageDetaching { storage: id.clone() }, self.no_storage(id))
            }
            Event::Action { name, .. } | Event::Custom(name) => {
                return Err(vec![format!("Juju sends no hook {name:?}")]);
            }
        };
        wrong.map_or(Ok(hook), |why| Err(vec![why]))
    }

    fn no_leader(&self) -> Option<String> {
        let leads = self.model.is_leader(&self.unit);
        let why = "leader-elected is for the leader, and this unit does not lead";
        (!leads).then(|| why.to_owned())
    }

    fn no_container(&self, container: &ContainerName) -> Option<String> {
        let app = self.model.application(self.unit.app());
        let known = app.is_some_and(|app| app.charm.containers.contains_key(container));
        (!known).then(|| format!("metadata.yaml declares no container {container}"))
    }

    fn no_storage(&self, id: &str) -> Option<String> {
        let owner = Some(&self.unit);
        let known = self.model.storage().any(|s| s.id == id && s.owner.as_ref() == owner);
        (!known).then(|| format!("the unit has no storage {id}"))
    }

    /// An own secret's events are its owner's, a change causes an event for those who read it.
    fn no_secret(&self, id: &SecretId, own: bool) -> Option<String> {
        let Some(secret) = self.model.secret(id) else { return Some(format!("there is no {id}")) };
        let leads = self.model.is_leader(&self.unit);
        match &secret.owner {
            Owner::Model if own => {
                Some(format!("{id} is another's, and only its owner is notified"))
            }
            Owner::App(_) if own && !leads => {
                Some(format!("{id} is the application's, and only the leader is notified"))
            }
            Owner::Unit(_) | Owner::App(_) | Owner::Model => None,
        }
    }

    fn of_relation(&self, event: &RelationEvent) -> Result<Hook, Vec<String>> {
        let RelationEvent { id, kind, .. } = event;
        let Some(relation) = self.model.relation(*id) else {
            return Err(vec![format!("there is no relation {id}")]);
        };
        let own = self.unit.app();
        let (Some(end), Some(remote)) = (relation.end(own), relation.remote(own)) else {
            return Err(vec![format!("relation {id} is one of other applications")]);
        };
        let mut wrong = Vec::new();
        if end.endpoint != event.endpoint {
            let (is, not) = (end.endpoint.as_str(), &event.endpoint);
            wrong.push(format!("relation {id} is one of {is:?}, not of {not}"));
        }
        match &event.remote_app {
            Some(app) if remote.app != *app => {
                let leads_to = remote.app.as_str();
                wrong.push(format!("relation {id} leads to {leads_to:?}, not to {app}"));
            }
            None if *kind != RelationKind::Broken => {
                wrong.push(format!("only broken may leave out the application of relation {id}"));
            }
            _ => {}
        }
        let (endpoint, remote_app) = (end.endpoint.clone(), remote.app.clone());
        let seen = ModelRelation { id: *id, endpoint, remote_app };
        match self.of_units(event, relation, seen) {
            Ok(hook) if wrong.is_empty() => Ok(hook),
            Ok(_) => Err(wrong),
            Err(why) => {
                wrong.push(why);
                Err(wrong)
            }
        }
    }

    fn of_units(
        &self,
        event: &RelationEvent,
        joined: &Relation,
        relation: ModelRelation,
    ) -> Result<Hook, String> {
        let (id, word) = (event.id, event.kind.word());
        let is_in = |unit: &UnitName| *unit != self.unit && joined.scope.contains(unit);
        let none_in =
            || !joined.scope.iter().any(|u| *u != self.unit && *u.app() == relation.remote_app);
        if let (true, Some(unit)) = (event.kind != RelationKind::Departed, &event.departing_unit) {
            return Err(format!("{word} names {unit} as departing"));
        }
        match (event.kind, event.remote_unit.clone()) {
            (RelationKind::Created | RelationKind::Broken, Some(unit)) => {
                Err(format!("{word} is about no unit, but names {unit}"))
            }
            (RelationKind::Created | RelationKind::Broken, None) if !none_in() => {
                Err(format!("{word} happens while no unit is in relation {id}"))
            }
            (RelationKind::Created, None) => Ok(Hook::RelationCreated { relation }),
            (RelationKind::Broken, None) => {
                let nameless = event.remote_app.is_none();
                Ok(Hook::RelationBroken { relation, nameless })
            }
            (RelationKind::Joined | RelationKind::Departed, None) => {
                Err(format!("{word} is about a remote unit, and names none"))
            }
            (RelationKind::Joined | RelationKind::Changed, Some(unit)) if !is_in(&unit) => {
                Err(format!("{unit} is not in relation {id}"))
            }
            (RelationKind::Joined, Some(unit)) => Ok(Hook::RelationJoined { relation, unit }),
            (RelationKind::Changed, unit) => Ok(Hook::RelationChanged { relation, unit }),
            (RelationKind::Departed, Some(unit)) => match event.departing_unit.clone() {
                _ if is_in(&unit) && event.departing_unit.as_ref() == Some(&unit) => {
                    Err(format!("{unit} departs and is in relation {id}: make it departed"))
                }
                Some(departing) if departing == self.unit || departing == unit => {
                    Ok(Hook::RelationDeparted { relation, unit, departing })
                }
                Some(departing) => {
                    Err(format!("{departing} departs, but is at neither end of the event"))
                }
                None => Err("departed names a departing unit".to_owned()),
            },
        }
    }

    /// A relation that breaks is on its way out.
    fn over(&mut self, hook: &Hook) {
        let Hook::RelationBroken { relation, .. } = hook else { return };
        let Some(relation) = self.model.relation(relation.id) else { return };
        if let [a, b] = relation.ends.as_slice() {
            let [a, b] = [a, b].map(|end| format!("{}:{}", end.app, end.endpoint));
            let removed = self.model.remove_relation(NOW, &a, &b);
            self.note(removed);
        }
    }
}
