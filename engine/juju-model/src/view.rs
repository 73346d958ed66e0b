//! Views for status, `show-unit` and the like.

use juju_names::{AppName, RelationId, SecretId, UnitName};

use crate::agent::memory::Agent;
use crate::entity::uniter::Lifecycle;
use crate::tool::Status;
use crate::{Action, Application, Model, Relation, Secret, StorageInstance, Unit};

impl Model {
    /// All applications, by name.
    pub fn applications(&self) -> impl Iterator<Item = &Application> {
        self.apps.values()
    }

    /// One application.
    pub fn application(&self, app: &AppName) -> Option<&Application> {
        self.apps.get(app)
    }

    /// What people see of an application: its own status, or the most severe of its units.
    pub fn app_status(&self, app: &AppName) -> Option<Status> {
        let app = self.apps.get(app)?;
        if let Some(status) = &app.own_status {
            return Some(status.clone());
        }
        let worst = self.units(&app.name).map(Unit::status).max_by_key(|s| severity(&s.status));
        Some(worst.unwrap_or(Status {
            status: "unknown".into(),
            message: String::new(),
            since: app.since,
        }))
    }

    /// The units of an application, by number.
    pub fn units(&self, app: &AppName) -> impl Iterator<Item = &Unit> {
        self.units.values().filter(move |unit| unit.name.app() == app)
    }

    /// The units of every application, by name.
    pub fn all_units(&self) -> impl Iterator<Item = &Unit> {
        self.units.values()
    }

    /// One unit.
    pub fn unit(&self, unit: &UnitName) -> Option<&Unit> {
        self.units.get(unit)
    }

    /// Whether the unit's pod has an older charm than its application: replace the pod.
    pub fn is_outdated(&self, unit: &UnitName) -> bool {
        let revision = self.apps.get(unit.app()).map(|app| app.charm_revision);
        self.units.get(unit).is_some_and(|u| Some(u.charm_revision) != revision)
    }

    /// Whether the unit keeps its older charm until its failed hook is resolved, or until a refresh
    /// is forced.
    pub fn is_held(&self, unit: &UnitName) -> bool {
        let forced = self.apps.get(unit.app()).is_some_and(|app| app.refresh_forced);
        let failed = self.units.get(unit).is_some_and(|unit| unit.uniter.holding().is_some());
        self.is_outdated(unit) && failed && !forced
    }

    /// Whether the unit owes no `stop` hook before its pod may go.
    pub fn has_stopped(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_none_or(|unit| unit.uniter.lifecycle != Lifecycle::Started)
    }

    fn has_failed_to_stop(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.uniter.has_failed_to_stop())
    }

    /// Whether the unit's agent may end: no hook runs, and `stop` has run, or has failed.
    pub fn may_end(&self, unit: &UnitName) -> bool {
        let over = self.has_stopped(unit) || self.has_failed_to_stop(unit);
        over && self.memory_of(unit).running.is_none()
    }

    /// Whether `start` has run since the unit's agent started, and no `stop`: what Juju's agent
    /// answers when it is asked whether it is ready.
    pub fn has_started(&self, unit: &UnitName) -> bool {
        let up = matches!(self.memory_of(unit).agent, Agent::Up | Agent::Ended | Agent::Stopping);
        up && !self.has_stopped(unit)
    }

    /// Whether a unit lists a peer that is gone, because its `relation-departed` never came.
    pub fn has_ghosts(&self) -> bool {
        let seen = self.units.values().flat_map(|unit| &unit.uniter.relations);
        seen.into_iter().any(|(id, membership)| {
            let relation = self.relations.get(id);
            let here = |unit| relation.is_some_and(|relation| relation.scope.contains(unit));
            membership.ghosts.iter().any(|unit| !here(unit))
        })
    }

    /// All relations, by id.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// One relation.
    pub fn relation(&self, id: RelationId) -> Option<&Relation> {
        self.relations.get(&id)
    }

    /// All secrets, by id.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.values()
    }

    /// One secret.
    pub fn secret(&self, id: &SecretId) -> Option<&Secret> {
        self.secrets.get(id)
    }

    /// One action.
    pub fn action(&self, id: u64) -> Option<&Action> {
        self.actions.get(&id)
    }

    /// All actions, by number.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }

    /// All storage instances, detached ones included.
    pub fn storage(&self) -> impl Iterator<Item = &StorageInstance> {
        self.storage.values()
    }

    /// Seconds between two `update-status` hooks of a unit.
    pub fn update_status_interval(&self) -> u64 {
        self.update_status_interval
    }
}

/// Which of two statuses an application shows.
fn severity(status: &str) -> u8 {
    match status {
        "error" => 7,
        "blocked" => 6,
        "waiting" => 5,
        "maintenance" => 4,
        "terminated" => 3,
        "active" => 2,
        _ => 1,
    }
}
