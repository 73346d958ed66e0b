//! Letting a unit with a failed hook go on.

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
        let state = self.units.get_mut(unit).ok_or(ModelError::Resolve(unknown))?;
        let Some(failed) = &mut state.uniter.failed else {
            return Err(ModelError::Resolve(format!(
                "unit {:?} has no failed hook",
                unit.to_string()
            )));
        };
        if self.memory.get(unit).is_some_and(|memory| memory.running.is_some()) {
            return Err(ModelError::Resolve(format!(
                "unit {:?} is running a hook; try again when it has ended",
                unit.to_string()
            )));
        }
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
        Ok(())
    }
}
