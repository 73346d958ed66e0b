//! Secrets that the operator adds and grants, for options of type `secret`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use juju_names::{AppName, SecretId};

use crate::entity::secret::{Grant, SecretContent};
use crate::error::listed;
use crate::tool::SecretMetadata;
use crate::tool::session::SecretDraft;
use crate::{Model, ModelError, Owner, Secret};

impl Model {
    /// Adds a secret of the operator's; `content` is plain text by key.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when the name is taken, or a key or the size is not accepted.
    pub fn add_secret(
        &mut self,
        now: Timestamp,
        name: &str,
        content: &BTreeMap<String, String>,
    ) -> Result<SecretId, ModelError> {
        if self.user_secret(name).is_ok() {
            return Err(ModelError::Secret(format!("a secret of the name {name:?} exists")));
        }
        let content = Some(encoded(content)?);
        let id = SecretId::from_bytes(self.seed.bytes12());
        let mut secret = Secret::new(id.clone(), Owner::Model);
        let label = Some(name.to_owned());
        let metadata = SecretMetadata { label, ..SecretMetadata::default() };
        secret.change(SecretDraft { content, metadata }, now);
        self.secrets.insert(id.clone(), secret);
        Ok(id)
    }

    /// Gives a secret of the operator's new content: units that track it get `secret-changed`.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when it is unknown, or a key or the size is not accepted.
    pub fn update_secret(
        &mut self,
        now: Timestamp,
        name: &str,
        content: &BTreeMap<String, String>,
    ) -> Result<(), ModelError> {
        let id = self.user_secret(name)?;
        let content = Some(encoded(content)?);
        if let Some(secret) = self.secrets.get_mut(&id) {
            secret.change(SecretDraft { content, metadata: SecretMetadata::default() }, now);
        }
        Ok(())
    }

    /// Describes a secret of the operator's, or leaves its description; gives its id.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when it is unknown.
    pub fn describe_user_secret(
        &mut self,
        name: &str,
        description: Option<&str>,
    ) -> Result<SecretId, ModelError> {
        let id = self.user_secret(name)?;
        if let (Some(secret), Some(text)) = (self.secrets.get_mut(&id), description) {
            text.clone_into(&mut secret.description);
        }
        Ok(id)
    }

    /// Lets an application read a secret of the operator's, or no longer.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when the secret or the application is unknown.
    pub fn grant_user_secret(
        &mut self,
        name: &str,
        app: &AppName,
        granted: bool,
    ) -> Result<(), ModelError> {
        let id = self.user_secret(name)?;
        if !self.apps.contains_key(app) {
            return Err(ModelError::Secret(self.unknown_app(app.as_str())));
        }
        if let Some(secret) = self.secrets.get_mut(&id) {
            let grant = Grant { unit: None, app: app.clone(), relation: None };
            secret.grants.retain(|other| *other != grant);
            secret.grants.extend(granted.then_some(grant));
        }
        Ok(())
    }

    /// Removes a secret of the operator's.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when it is unknown.
    pub fn remove_user_secret(&mut self, name: &str) -> Result<(), ModelError> {
        let id = self.user_secret(name)?;
        self.secrets.remove(&id);
        Ok(())
    }

    /// An operator's secret by name or id.
    fn user_secret(&self, name: &str) -> Result<SecretId, ModelError> {
        let own = || self.secrets.values().filter(|secret| secret.owner == Owner::Model);
        let id: Option<SecretId> = name.parse().ok();
        let named = |secret: &&Secret| {
            secret.label.as_deref() == Some(name) || id.as_ref() == Some(&secret.id)
        };
        own().find(named).map(|secret| secret.id.clone()).ok_or_else(|| {
            let all = listed(own().filter_map(|secret| secret.label.clone()));
            ModelError::Secret(format!("there is no secret {name:?}; there is {all}"))
        })
    }
}

fn encoded(content: &BTreeMap<String, String>) -> Result<SecretContent, ModelError> {
    let values = content.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value)));
    crate::tool::secret::checked(values.collect()).map_err(|e| ModelError::Secret(e.to_string()))
}
