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

/// What changes of a secret of the operator's; what is `None` stays.
#[derive(Default)]
pub struct SecretUpdate<'a> {
    /// Its content, as [`Model::add_secret`] takes it: units that track it get `secret-changed`.
    pub content: Option<&'a BTreeMap<String, String>>,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its description.
    pub description: Option<&'a str>,
    /// Old revisions go when no consumer tracks them any more.
    pub auto_prune: bool,
}

impl Model {
    /// Adds a secret of the operator's; `content` is plain text by key, or base64 where the key
    /// ends in `#base64`.
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

    /// Changes a secret of the operator's, and gives its id.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when it is unknown, the name is taken, or a key or the size is not
    /// accepted; nothing has changed then.
    pub fn update_secret(
        &mut self,
        now: Timestamp,
        secret: &str,
        update: SecretUpdate<'_>,
    ) -> Result<SecretId, ModelError> {
        let id = self.user_secret(secret)?;
        let holder = update.name.and_then(|name| self.user_secret(name).ok());
        if let (Some(name), true) = (update.name, holder.is_some_and(|holder| holder != id)) {
            return Err(ModelError::Secret(format!("a secret of the name {name:?} exists")));
        }
        let metadata = SecretMetadata {
            label: update.name.map(str::to_owned),
            description: update.description.map(str::to_owned),
            ..SecretMetadata::default()
        };
        let content = update.content.map(encoded).transpose()?;
        if let Some(secret) = self.secrets.get_mut(&id) {
            secret.change(SecretDraft { content, metadata }, now);
            secret.auto_prune |= update.auto_prune;
        }
        self.prune_secrets();
        Ok(id)
    }

    /// Drops old revisions that nobody tracks, of secrets of which the operator asked for that.
    pub(crate) fn prune_secrets(&mut self) {
        for secret in self.secrets.values_mut().filter(|secret| secret.auto_prune) {
            for revision in secret.obsolete() {
                secret.revisions.remove(&revision);
            }
        }
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

    /// Removes a secret of the operator's, or one revision of it: after the last it goes too.
    ///
    /// # Errors
    /// [`ModelError::Secret`] when it or the revision is unknown.
    pub fn remove_user_secret(
        &mut self,
        name: &str,
        revision: Option<u32>,
    ) -> Result<(), ModelError> {
        let id = self.user_secret(name)?;
        let Some(secret) = self.secrets.get_mut(&id) else { return Ok(()) };
        match revision {
            Some(number) if secret.revisions.remove(&number).is_none() => {
                let all = listed(secret.revisions.keys());
                return Err(ModelError::Secret(format!(
                    "{name:?} has no revision {number}; it has {all}"
                )));
            }
            Some(_) => {}
            None => secret.revisions.clear(),
        }
        if secret.revisions.is_empty() {
            self.secrets.remove(&id);
        }
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
    let mut values = BTreeMap::new();
    for (key, value) in content {
        match key.strip_suffix("#base64") {
            Some(key) if STANDARD.decode(value).is_err() => {
                return Err(ModelError::Secret(format!(
                    "the value of the key {key:?} is no base64"
                )));
            }
            Some(key) => drop(values.insert(key.to_owned(), value.clone())),
            None => drop(values.insert(key.clone(), STANDARD.encode(value))),
        }
    }
    crate::tool::secret::checked(values).map_err(|e| ModelError::Secret(e.to_string()))
}
