//! How relations, units and applications leave the model.

use jiff::Timestamp;
use juju_names::{AppName, RelationId, UnitName};

use crate::entity::uniter::Pending;
use crate::{ActionStatus, Life, Model, ModelError, Owner};

impl Model {
    /// Marks the application, its relations and its units dying.
    ///
    /// # Errors
    /// [`ModelError::RemoveApplication`] when there is no such application.
    pub fn remove_application(&mut self, now: Timestamp, app: &AppName) -> Result<(), ModelError> {
        let reason = self.unknown_app(app.as_str());
        let Some(application) = self.app_mut(app) else {
            return Err(ModelError::RemoveApplication(reason));
        };
        application.life = Life::Dying;
        application.scale = 0;
        for unit in self.units_of(app) {
            self.kill_unit(&unit);
        }
        let relations: Vec<RelationId> =
            self.relations.values().filter(|r| r.end(app).is_some()).map(|r| r.id).collect();
        for id in relations {
            self.kill_relation(id);
        }
        self.controller_log(now, format!("removing application {app}"));
        self.drop_app_if_empty(app);
        Ok(())
    }

    /// Lets dying units of the application leave even if their hooks fail, and those of others its
    /// dying relations.
    pub fn force_removal(&mut self, now: Timestamp, app: &AppName) {
        for name in self.units_of(app) {
            let dying = self.units.get_mut(&name).filter(|unit| unit.life == Life::Dying);
            if let Some(unit) = dying {
                unit.uniter.forced = true;
                self.pass_over_failed(now, &name);
            }
        }
        let relations = self.relations.values().filter(|relation| relation.end(app).is_some());
        let relations: Vec<RelationId> = relations.map(|relation| relation.id).collect();
        for id in relations {
            self.force_relation(now, id);
        }
    }

    /// Has dying units of the application leave at once, without another hook.
    pub fn rush_removal(&mut self, app: &AppName) {
        for name in self.units_of(app) {
            if let Some(unit) = self.units.get_mut(&name) {
                unit.uniter.rushed = unit.life == Life::Dying;
            }
        }
    }

    /// Lets units leave a dying relation even if their hooks of it fail.
    pub fn force_relation(&mut self, now: Timestamp, id: RelationId) {
        let dying = self.relations.get_mut(&id).filter(|relation| relation.life == Life::Dying);
        let Some(relation) = dying else { return };
        relation.forced = true;
        let scope = relation.scope.clone();
        for name in scope {
            let failed = self.units.get(&name).and_then(|unit| unit.uniter.failed.as_ref());
            let event = failed.and_then(|failed| failed.hook.relation());
            if event.is_some_and(|event| event.id == id) {
                self.pass_over_failed(now, &name);
            }
        }
    }

    /// Counts the failed hook of a unit as done.
    fn pass_over_failed(&mut self, now: Timestamp, name: &UnitName) {
        let failed = self.units.get_mut(name).and_then(|unit| unit.uniter.failed.take());
        if let Some(failed) = failed {
            let cause_version = self.cause_version(name, &failed.hook);
            self.commit(name, &failed.hook, cause_version, now);
            self.set_agent(name, now, crate::AgentStatus::Idle, String::new());
        }
    }

    /// Marks a relation dying; one that no unit entered goes at once.
    pub(crate) fn kill_relation(&mut self, id: RelationId) {
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.life = Life::Dying;
        }
        self.drop_if_empty(id);
    }

    /// Marks a unit dying; its hooks then run down.
    pub(crate) fn kill_unit(&mut self, unit: &UnitName) {
        if let Some(unit) = self.units.get_mut(unit) {
            unit.life = Life::Dying;
            unit.uniter.pending = Pending::None;
        }
    }

    /// Deletes a dying relation that has no unit left, with the grants that live on it and the
    /// dying applications that waited for its end.
    pub(crate) fn drop_if_empty(&mut self, id: RelationId) {
        let done = |r: &crate::Relation| r.life == Life::Dying && r.scope.is_empty();
        if !self.relations.get(&id).is_some_and(done) {
            return;
        }
        let Some(relation) = self.relations.remove(&id) else { return };
        for unit in self.units.values_mut() {
            unit.uniter.relations.remove(&id);
        }
        for secret in self.secrets.values_mut() {
            secret.grants.retain(|grant| grant.relation != Some(id));
        }
        relation.ends.iter().for_each(|end| self.drop_app_if_empty(&end.app));
    }

    /// The unit's pod is deleted: it leaves the model, and its application after its last unit and
    /// the last relation.
    ///
    /// Also right for a unit whose pod was lost for good. Idempotent.
    pub fn unit_gone(&mut self, unit: &UnitName) {
        let Some(state) = self.units.remove(unit) else { return };
        self.memory.remove(unit);
        let relations: Vec<RelationId> = self.relations.keys().copied().collect();
        for id in relations {
            if let Some(relation) = self.relations.get_mut(&id) {
                relation.scope.remove(unit);
            }
            self.drop_if_empty(id);
        }
        self.forget_unit_secrets(unit);
        self.detach_storage(unit);
        let open = [ActionStatus::Pending, ActionStatus::Running];
        for action in self.actions.values_mut() {
            if action.unit == *unit && open.contains(&action.status) {
                action.status = ActionStatus::Failed;
                action.message = format!("unit {unit} was removed");
                action.completed = Some(state.agent.since);
            }
        }
        let Some(app) = self.app_mut(unit.app()) else { return };
        let led = app.leader.take_if(|leader| leader == unit).is_some();
        let wanted = app.life == Life::Alive && unit.number() < app.scale;
        if led {
            self.leases.remove(unit.app());
        }
        if wanted {
            self.create_unit(state.agent.since, unit);
        }
        self.drop_app_if_empty(unit.app());
    }

    fn forget_unit_secrets(&mut self, unit: &UnitName) {
        self.secrets.retain(|_, secret| secret.owner != Owner::Unit(unit.clone()));
        for secret in self.secrets.values_mut() {
            secret.tracking.remove(unit);
            secret.grants.retain(|grant| grant.unit.as_ref() != Some(unit));
        }
        self.prune_secrets();
    }

    fn drop_app_if_empty(&mut self, app: &AppName) {
        let dying = self.apps.get(app).is_some_and(|a| a.life == Life::Dying);
        let related = || self.relations.values().any(|relation| relation.end(app).is_some());
        if !dying || self.units.keys().any(|unit| unit.app() == app) || related() {
            return;
        }
        self.apps.remove(app);
        self.leases.remove(app);
        self.secrets.retain(|_, secret| secret.owner != Owner::App(app.clone()));
        for secret in self.secrets.values_mut() {
            secret.grants.retain(|grant| grant.app != *app);
        }
        self.orphan_storage(app);
    }
}
