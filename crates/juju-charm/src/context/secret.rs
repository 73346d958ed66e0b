//! Secrets: read once, written when the content differs.

use std::collections::BTreeMap;

use juju_names::{RelationId, SecretId};
use serde::Deserialize;

use super::{Context, HookError, Level, Reader, malformed};
use crate::{Revision, SecretContent, SecretInfo, SecretOwner, SecretQuery};

/// One entry of what `secret-info-get` prints.
#[derive(Deserialize)]
struct WireInfo {
    revision: u32,
    #[serde(default)]
    label: String,
    owner: String,
}

/// What a content is remembered by, however the id was written.
fn key(id: &SecretId) -> String {
    format!("{KEY}{}", id.bare())
}

/// No label begins so.
const KEY: &str = "secret:";

impl Reader {
    /// A secret's content, or `None` where Juju knows no such secret or this unit may
    /// not read it (any more): what a peer sends wrong is data.
    ///
    /// # Errors
    /// When `secret-get` fails for another reason.
    pub fn secret(
        &mut self,
        query: impl Into<SecretQuery>,
        revision: Revision,
    ) -> Result<Option<SecretContent>, HookError> {
        let query = query.into();
        let (id, label) = match &query {
            SecretQuery::Id(id) => (Some(id.to_string()), None),
            SecretQuery::Label(label) => (None, Some(label.clone())),
            SecretQuery::Bind { id, label } => (Some(id.to_string()), Some(label.clone())),
        };
        let known_by = match &query {
            SecretQuery::Id(id) | SecretQuery::Bind { id, .. } => Some(key(id)),
            SecretQuery::Label(_) => None,
        };
        let keys: Vec<String> = [&known_by, &label].into_iter().flatten().cloned().collect();
        // A label is bound by a call, so a query that binds is a hit only if its label is.
        if let Some(known) = keys.last().and_then(|key| self.known(key, revision)) {
            return Ok(known);
        }
        let mut args: Vec<&str> = id.as_deref().into_iter().collect();
        if let Some(label) = &label {
            args.extend(["--label", label]);
        }
        match revision {
            Revision::Tracked => {}
            Revision::Peek => args.push("--peek"),
            Revision::Refresh => args.push("--refresh"),
        }
        args.extend(["--format", "json"]);
        let name = keys.join(" as ");
        let doing = || format!("read the secret {name}");
        let content =
            match self.call(doing, "secret-get", &args, None) {
                // serde_json's messages may quote the input, so the cause stays behind.
                Ok(text) => Some(SecretContent::from_json(&text).map_err(|_| {
                    malformed(doing(), "secret-get", "it is no map of text to text")
                })?),
                // A secret without a value yet is no error; one that may not be read is.
                Err(error) if error.is_denied() => {
                    self.log(Level::Debug, error.to_string());
                    None
                }
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
        for key in keys {
            self.contents.insert(key, (revision, content.clone()));
        }
        Ok(content)
    }

    /// A cached content that is what `revision` would read.
    fn known(&self, key: &str, revision: Revision) -> Option<Option<SecretContent>> {
        let (read, content) = self.contents.get(key)?;
        (*read == revision || *read == Revision::Refresh).then(|| content.clone())
    }

    /// Metadata of an own secret by its label, or `None` where there is none.
    ///
    /// # Errors
    /// When `secret-info-get` fails.
    pub fn secret_info(&mut self, label: &str) -> Result<Option<SecretInfo>, HookError> {
        if let Some(known) = self.infos.get(label) {
            return Ok(known.clone());
        }
        let doing = || format!("find the secret labelled {label}");
        let args = ["--label", label, "--format", "json"];
        let found: Option<BTreeMap<SecretId, WireInfo>> =
            match self.read(doing, "secret-info-get", &args) {
                Err(error) if error.is_not_found() || error.is_denied() => None,
                other => other?,
            };
        let info = found.into_iter().flatten().next().map(|(id, wire)| SecretInfo {
            // Juju leaves the model out here, and the id may be published to another model.
            id: id.in_model(&self.environment.model_uuid),
            revision: wire.revision,
            label: wire.label,
            owner: if wire.owner == "unit" { SecretOwner::Unit } else { SecretOwner::App },
        });
        self.infos.insert(label.to_owned(), info.clone());
        Ok(info)
    }
}

impl Context {
    /// Adds a secret; the id is valid at once. Labels are unique per owner.
    ///
    /// # Errors
    /// When this unit does not lead and the owner is the application, or a key is
    /// outside Juju's grammar.
    pub fn add_secret(
        &mut self,
        label: &str,
        content: &SecretContent,
        owner: SecretOwner,
    ) -> Result<SecretId, HookError> {
        let word = match owner {
            SecretOwner::App => "application",
            SecretOwner::Unit => "unit",
        };
        let doing = || format!("add the secret {label}");
        let args = ["--label", label, "--owner", word];
        let answer = self.call_with_file(doing, "secret-add", &args, &content.to_json())?;
        let id: SecretId =
            answer.trim().parse().map_err(|source| malformed(doing(), "secret-add", source))?;
        let id = id.in_model(&self.environment.model_uuid);
        let info = SecretInfo { id: id.clone(), revision: 1, label: label.to_owned(), owner };
        self.infos.insert(label.to_owned(), Some(info));
        self.remember(&id, content);
        self.contents.insert(label.to_owned(), (Revision::Refresh, Some(content.clone())));
        Ok(id)
    }

    /// Gives an own secret a new revision if its content differs; returns whether it did.
    ///
    /// # Errors
    /// When the secret is unknown or not this unit's to change.
    pub fn set_secret(
        &mut self,
        id: &SecretId,
        content: &SecretContent,
    ) -> Result<bool, HookError> {
        if self.secret(id, Revision::Peek)?.as_ref() == Some(content) {
            return Ok(false);
        }
        let bare = id.to_string();
        let doing = || format!("change the secret {id}");
        self.call_with_file(doing, "secret-set", &[&bare], &content.to_json())?;
        // A read by label returns the new content.
        self.contents.retain(|key, _| key.starts_with(KEY));
        self.remember(id, content);
        Ok(true)
    }

    /// Makes an own secret with this label have this content: adds it or changes it.
    ///
    /// # Errors
    /// As [`Context::add_secret`] and [`Context::set_secret`].
    pub fn put_secret(
        &mut self,
        label: &str,
        content: &SecretContent,
        owner: SecretOwner,
    ) -> Result<SecretId, HookError> {
        match self.secret_info(label)? {
            Some(info) => {
                self.set_secret(&info.id, content)?;
                Ok(info.id)
            }
            None => self.add_secret(label, content, owner),
        }
    }

    /// Lets the application at the other end of a relation read a secret. Repeating it
    /// changes nothing, but costs a call: grant when the id is not yet in the bag.
    ///
    /// # Errors
    /// When the secret is unknown or not this unit's to grant.
    pub fn grant_secret(&mut self, id: &SecretId, relation: RelationId) -> Result<(), HookError> {
        let (secret, number) = (id.to_string(), relation.to_string());
        let doing = || format!("grant the secret {id} to relation {relation}");
        self.call(doing, "secret-grant", &[&secret, "-r", &number], None).map(drop)
    }

    /// Removes one revision of an own secret, or the whole of it. Juju reports an
    /// unknown secret only after the hook.
    ///
    /// # Errors
    /// When `secret-remove` fails.
    pub fn remove_secret(&mut self, id: &SecretId, revision: Option<u32>) -> Result<(), HookError> {
        let (secret, number) = (id.to_string(), revision.map(|r| r.to_string()));
        let mut args = vec![secret.as_str()];
        if let Some(number) = &number {
            args.extend(["--revision", number]);
        }
        self.call(|| format!("remove the secret {id}"), "secret-remove", &args, None)?;
        if revision.is_none() {
            self.contents.clear();
            self.infos.clear();
        }
        Ok(())
    }

    fn remember(&mut self, id: &SecretId, content: &SecretContent) {
        self.contents.insert(key(id), (Revision::Refresh, Some(content.clone())));
    }
}
