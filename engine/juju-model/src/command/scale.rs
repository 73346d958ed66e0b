//! Setting the number of units.

use jiff::Timestamp;
use juju_names::{AppName, UnitName};

use crate::{Model, ModelError};

impl Model {
    /// Sets the number of units: new ones get the lowest free numbers, the highest ones go.
    ///
    /// # Errors
    /// [`ModelError::Scale`] when there is no such application.
    pub fn scale(&mut self, now: Timestamp, app: &AppName, units: u32) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        self.alive_app(app).ok_or(ModelError::Scale(unknown))?.scale = units;
        for unit in self.units_of(app) {
            if unit.number() >= units {
                self.kill_unit(&unit);
            }
        }
        for number in 0..units {
            let unit = UnitName::new(app.clone(), number);
            if !self.units.contains_key(&unit) {
                self.create_unit(now, &unit);
            }
        }
        self.controller_log(now, format!("scaling {app} to {units}"));
        Ok(())
    }
}
