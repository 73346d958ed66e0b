//! Letting units with a failed hook go on.

use juju_names::UnitName;

use crate::entity::uniter::Retry;
use crate::{AgentStatus, Hook, Model, ModelError};

impl Model {
    /// Lets a unit with a failed hook go on: by running it again now, or by counting it as done.
    ///
    /// # Errors
    /// [`ModelError::Resolve`] when the unit is unknown or has no failed hook.
    pub fn resolve(&mut self, unit: &UnitName, retry: bool) -> Result<(), ModelError> {
        let unknown = self.unknown_unit(unit);
        let state = self.units.get(unit).ok_or(ModelError::Resolve(unknown))?;
        if !state.has_failed() {
            return Err(ModelError::Resolve(format!(
                "unit {:?} has no failed hook",
                unit.to_string()
            )));
        }
        if self.memory_of(unit).running.is_some() {
            return Err(ModelError::Resolve(format!(
                "unit {:?} is running a hook; try again when it has ended",
                unit.to_string()
            )));
        }
        self.let_go_on(unit, retry);
        Ok(())
    }

    /// The same for every unit with a failed hook, but for those that run it again already.
    pub fn resolve_all(&mut self, retry: bool) {
        let runs = |unit: &UnitName| self.memory_of(unit).running.is_some();
        let waiting = self.units.values().filter(|unit| unit.has_failed() && !runs(&unit.name));
        let waiting: Vec<UnitName> = waiting.map(|unit| unit.name.clone()).collect();
        waiting.iter().for_each(|unit| self.let_go_on(unit, retry));
    }

    fn let_go_on(&mut self, unit: &UnitName, retry: bool) {
        let failed = self.units.get_mut(unit).and_then(|state| state.uniter.failed.as_mut());
        let Some(failed) = failed else { return };
        failed.retry = Retry::Now;
        if let (Hook::PebbleReady { container }, Some(memory)) =
            (&failed.hook, self.memory.get_mut(unit))
            && let Some(boot) = memory.boots.get_mut(container)
        {
            boot.retry_at = None;
        }
        if !retry {
            let (hook, at) = (failed.hook.clone(), failed.since);
            let cause_version = self.cause_version(unit, &hook);
            self.commit(unit, &hook, cause_version, at);
            self.set_agent(unit, at, AgentStatus::Idle, String::new());
        }
    }
}
