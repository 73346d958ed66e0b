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

    /// Lets dying units of the application leave even if their hooks fail.
    pub fn force_removal(&mut self, now: Timestamp, app: &AppName) {
        for name in self.units_of(app) {
            let Some(unit) = self.units.get_mut(&name) else { continue };
            if unit.life == Life::Alive {
                continue;
            }
            unit.uniter.forced = true;
            if let Some(failed) = unit.uniter.failed.take() {
                let cause_version = self.cause_version(&name, &failed.hook);
                self.commit(&name, &failed.hook, cause_version, now);
                self.set_agent(&name, now, crate::AgentStatus::Idle, String::new());
            }
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

    /// Deletes a dying relation that has no unit left, with the grants that live on it.
    pub(crate) fn drop_if_empty(&mut self, id: RelationId) {
        let done = |r: &crate::Relation| r.life == Life::Dying && r.scope.is_empty();
        if !self.relations.get(&id).is_some_and(done) {
            return;
        }
        self.relations.remove(&id);
        for unit in self.units.values_mut() {
            unit.uniter.relations.remove(&id);
        }
        for secret in self.secrets.values_mut() {
            secret.grants.retain(|grant| grant.relation != Some(id));
        }
    }

    /// The unit's pod is deleted: it leaves the model, and its application after its last unit.
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
        if !dying || self.units.keys().any(|unit| unit.app() == app) {
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
