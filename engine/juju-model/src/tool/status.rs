//! Statuses, the log and `goal-state`.

use std::collections::BTreeMap;

use crate::tool::call::{ToolCall, refused};
use crate::tool::{Answer, GoalState, Status, ToolError};
use crate::{Life, LogLine, Unit};

impl ToolCall<'_> {
    /// The unit was removed while its hook ran.
    pub(crate) fn gone(&self) -> ToolError {
        refused(format!("unit {:?} not found", self.session.run.unit.to_string()))
    }

    /// Whether this unit leads its application.
    ///
    /// # Errors
    /// None so far.
    pub fn is_leader(&self) -> Answer<bool> {
        Ok(self.leads())
    }

    /// The unit's own workload status, as the hook has first read it.
    ///
    /// # Errors
    /// The unit was removed while its hook ran.
    pub fn status_get(&mut self) -> Answer<Status> {
        if let Some(status) = &self.session.reads.status {
            return Ok(status.clone());
        }
        let unit = self.model.unit(&self.session.run.unit);
        let status = unit.map(|unit| unit.workload.clone()).ok_or_else(|| self.gone())?;
        self.session.reads.status = Some(status.clone());
        Ok(status)
    }

    /// The application's status and its units'.
    ///
    /// # Errors
    /// The unit does not lead.
    pub fn status_get_application(&self) -> Answer<(Status, BTreeMap<String, Status>)> {
        if !self.leads() {
            return Err(refused("finding application status: this unit is not the leader"));
        }
        let app = self.session.run.unit.app();
        let own = self.model.app_status(app).ok_or_else(|| self.gone())?;
        let units = self.model.units(app).map(|unit| (unit.name.to_string(), unit.status()));
        Ok((own, units.collect()))
    }

    /// Sets a status at once.
    ///
    /// # Errors
    /// An application's status of one who does not lead.
    pub fn status_set(&mut self, app: bool, word: &str, message: &str) -> Answer<()> {
        let new = Status::new(self.now, word, message);
        let unit = self.own();
        if app {
            if !self.leads() {
                return Err(refused("this unit is not the leader"));
            }
            if let Some(app) = self.model.app_mut(unit.app()) {
                app.own_status = Some(new);
            }
        } else if let Some(unit) = self.model.units.get_mut(&unit) {
            unit.workload = new;
            unit.uniter.status_set = true;
        }
        Ok(())
    }

    /// Says which version the workload has, at once.
    ///
    /// # Errors
    /// None so far.
    pub fn application_version_set(&mut self, version: &str) -> Answer<()> {
        let app = self.model.app_mut(self.session.run.unit.app());
        if let Some(app) = app {
            version.clone_into(&mut app.version);
        }
        Ok(())
    }

    /// Writes one line of the model's log, at once.
    pub fn juju_log(&mut self, level: &str, message: &str) {
        let run = &self.session.run;
        self.model.log.push(LogLine {
            at: self.now,
            entity: run.unit.tag(),
            level: level.to_owned(),
            module: format!("unit.{}.juju-log", run.unit),
            message: message.to_owned(),
        });
    }

    /// Planned units and relations.
    ///
    /// # Errors
    /// None so far.
    pub fn goal_state(&self) -> Answer<GoalState> {
        let app = self.session.run.unit.app();
        let entry = |unit: &Unit| {
            let status = unit.status();
            let dying = unit.life == Life::Dying;
            let word = if dying { "dying".to_owned() } else { status.status };
            (unit.name.to_string(), (word, status.since))
        };
        let units = self.model.units(app).map(entry).collect();
        let mut relations: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        for relation in self.model.relations.values().filter(|relation| !relation.is_peer()) {
            let (Some(end), Some(remote)) = (relation.end(app), relation.remote(app)) else {
                continue;
            };
            let here = relations.entry(end.endpoint.to_string()).or_default();
            // The application's entry has the status of the relation.
            let status = if relation.scope.is_empty() { "joining" } else { "joined" };
            let since = relation.since.unwrap_or_default();
            here.insert(remote.app.to_string(), (status.to_owned(), since));
            here.extend(self.model.units(&remote.app).map(entry));
        }
        Ok(GoalState { units, relations })
    }
}
