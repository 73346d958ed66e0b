//! The hook tools of one running hook.

use std::sync::Arc;

use jiff::Timestamp;
use juju_names::UnitName;

use crate::tool::{Answer, HookRelation, Options, ToolError};
use crate::{Hook, Model, Session};

/// The far side of the hook tools, for one call.
#[derive(Debug)]
pub struct ToolCall<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) session: &'a mut Session,
    pub(crate) now: Timestamp,
}

/// An error with exit code 1.
pub(crate) fn refused(message: impl Into<String>) -> ToolError {
    ToolError::Refused(message.into())
}

impl ToolCall<'_> {
    /// The unit whose hook runs.
    pub fn own(&self) -> UnitName {
        self.session.run.unit.clone()
    }

    /// Whether the unit leads now.
    pub(crate) fn leads(&self) -> bool {
        self.model.is_leader(&self.session.run.unit)
    }

    /// The Juju that is played.
    pub fn juju(&self) -> crate::Juju {
        self.model.juju
    }

    /// The UUID of the unit's model.
    pub fn model_uuid(&self) -> &str {
        &self.model.uuid
    }

    /// Relation, remote unit and remote application of the hook.
    pub fn hook_relation(&self) -> HookRelation {
        let hook = &self.session.run.hook;
        let Some(event) = hook.relation() else {
            return HookRelation::default();
        };
        HookRelation {
            relation: Some((event.id, event.endpoint.clone())),
            remote_unit: hook.remote_unit().cloned(),
            remote_app: (!hook.is_nameless()).then(|| event.remote_app.clone()),
        }
    }

    /// The storage instance of a storage hook.
    pub fn hook_storage(&self) -> Option<String> {
        match &self.session.run.hook {
            Hook::StorageAttached { storage } | Hook::StorageDetaching { storage } => {
                Some(storage.clone())
            }
            _ => None,
        }
    }

    /// The time, as the engine says it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// All options: the value, the default, or `None` where there is neither.
    ///
    /// # Errors
    /// None so far.
    pub fn config_get(&mut self) -> Answer<Arc<Options>> {
        let app = self.model.apps.get(self.session.run.unit.app());
        let read = || app.map(crate::Application::effective_config).unwrap_or_default().into();
        Ok(self.session.reads.config.get_or_insert_with(read).clone())
    }
}
