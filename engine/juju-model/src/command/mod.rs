//! What a person asks for.

pub(crate) mod config;
pub(crate) mod deploy;
mod integrate;
mod remove;
mod resolve;
mod run;
mod scale;
pub(crate) mod secrets;

use juju_names::{AppName, UnitName};

use crate::error::listed;
use crate::{Application, Life, Model};

impl Model {
    /// An application, to be written to.
    pub(crate) fn app_mut(&mut self, app: &AppName) -> Option<&mut Application> {
        let app = self.apps.get_mut(app)?;
        app.fingerprint = std::sync::OnceLock::new();
        Some(app)
    }

    /// An application that is not on its way out.
    pub(crate) fn alive_app(&mut self, app: &AppName) -> Option<&mut Application> {
        self.app_mut(app).filter(|app| app.life == Life::Alive)
    }

    /// Why an application cannot be used, for people.
    pub(crate) fn unknown_app(&self, app: &str) -> String {
        if self.apps.keys().any(|name| name.as_str() == app) {
            return format!("application {app:?} is being removed");
        }
        format!("there is no application {app:?}; there is {}", listed(self.apps.keys()))
    }

    fn unknown_unit(&self, unit: &UnitName) -> String {
        let units = listed(self.units.keys());
        format!("there is no unit {:?}; there is {units}", unit.to_string())
    }
}
