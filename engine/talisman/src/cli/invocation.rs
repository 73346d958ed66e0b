//! What a command line is about: an instance, and a model of it.

use anyhow::Result;
use jiff::Timestamp;

use crate::client::Client;
use crate::models;
use crate::paths::Paths;

/// The instance as named, and the model that is meant.
pub(crate) struct Invocation {
    pub(super) controller: Paths,
    /// The model, the one in use where absent.
    pub(super) model: Option<String>,
    /// What answers in the daemon's place.
    #[cfg(test)]
    pub(super) stand_in: Option<Client>,
    /// The time there.
    #[cfg(test)]
    pub(super) time: Option<Timestamp>,
}

impl Invocation {
    pub(super) fn new(controller: Paths, model: Option<String>) -> Self {
        Self {
            controller,
            model,
            #[cfg(test)]
            stand_in: None,
            #[cfg(test)]
            time: None,
        }
    }

    /// Where the model is kept.
    pub(super) fn paths(&self) -> Result<Paths> {
        #[cfg(test)]
        if self.stand_in.is_some() {
            return Ok(self.controller.clone());
        }
        let instance = models::instance(&self.controller.instance, self.model.as_deref())?;
        Ok(self.controller.other(&instance))
    }

    /// The same for a verb that makes the first model: that one, unless another is named.
    pub(super) fn paths_or_first(&self) -> Result<Paths> {
        if self.model.is_none() { Ok(self.controller.clone()) } else { self.paths() }
    }

    /// The daemon of the model.
    pub(super) fn client(&self) -> Result<Client> {
        #[cfg(test)]
        if let Some(stand_in) = &self.stand_in {
            return Ok(stand_in.clone());
        }
        Ok(Client::new(&self.paths()?.socket()))
    }

    /// The time, of which some answers say how long ago something was.
    pub(super) fn now(&self) -> Timestamp {
        #[cfg(test)]
        if let Some(time) = self.time {
            return time;
        }
        Timestamp::now()
    }
}
