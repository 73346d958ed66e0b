//! Secrets at the end of a hook: what is refused, and what is written.

use std::mem::take;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use juju_names::{SecretId, UnitName};

use crate::entity::secret::{Rotation, SecretRevision};
use crate::tool::session::{SecretDraft, Writes};
use crate::{FlushError, Model, Owner, Secret};

const REMOVING: &str = "removing secrets";

/// Refuses values that were given in base64 and are none.
fn check_content(draft: &SecretDraft) -> Result<(), FlushError> {
    let values = draft.content.iter().flat_map(|content| content.0.iter());
    for (key, value) in values {
        if STANDARD.decode(value).is_err() {
            return Err(FlushError::SecretContent(key.clone()));
        }
    }
    Ok(())
}

impl Model {
    /// Whether the buffered secret writes would be accepted.
    pub(crate) fn check_secrets(&self, unit: &UnitName, writes: &Writes) -> Result<(), FlushError> {
        for (id, draft) in &writes.secrets_added {
            let owner = draft.owner(unit);
            check_content(draft)?;
            if matches!(owner, Owner::App(_)) && !self.is_leader(unit) {
                return Err(FlushError::NotLeader);
            }
            self.check_label(id, &owner, draft, writes)?;
        }
        for (id, draft) in &writes.secrets_set {
            check_content(draft)?;
            if let Some(secret) = self.owned(unit, id, "updating secrets")? {
                self.check_label(id, &secret.owner, draft, writes)?;
            }
        }
        for (id, grant) in &writes.grants {
            if !writes.secrets_added.contains_key(id) {
                self.owned(unit, id, "granting secrets access")?;
            }
            let relation = grant.relation.and_then(|id| self.relations.get(&id));
            if relation.is_some_and(crate::Relation::is_peer) && !self.rules().peer_grants {
                return Err(FlushError::PeerGrant);
            }
        }
        for (id, _) in &writes.revocations {
            self.owned(unit, id, "revoking secrets access")?;
        }
        for id in writes.secrets_removed.keys() {
            self.owned(unit, id, REMOVING)?;
        }
        Ok(())
    }

    /// A secret that the unit may change; `None` for one that is gone, where that is passed over.
    fn owned(
        &self,
        unit: &UnitName,
        id: &SecretId,
        doing: &'static str,
    ) -> Result<Option<&Secret>, FlushError> {
        let refuse = |why: String| FlushError::Secret { doing, why };
        let Some(secret) = self.secrets.get(id) else {
            return match self.rules().lost_secrets_ignored || doing == REMOVING {
                true => Ok(None),
                false => Err(refuse(format!("secret {:?} not found", id.bare()))),
            };
        };
        if self.manages(unit, secret) {
            return Ok(Some(secret));
        }
        let app = unit.app();
        Err(refuse(match (self.rules().denied_by_name, secret.belongs_to(unit)) {
            (true, _) => format!("\"{unit}\" is not allowed to manage this secret"),
            (false, true) => format!("\"{unit}\" is not leader of \"{app}\""),
            (false, false) => "permission denied".to_owned(),
        }))
    }

    fn check_label(
        &self,
        id: &SecretId,
        owner: &Owner,
        draft: &SecretDraft,
        writes: &Writes,
    ) -> Result<(), FlushError> {
        // The label of what goes with the same hook is free.
        let goes = |other: &Secret| matches!(writes.secrets_removed.get(&other.id), Some(None));
        match draft.metadata.label.as_deref().filter(|label| !label.is_empty()) {
            Some(label) if self.with_label(id, owner, label).any(|other| !goes(other)) => {
                Err(FlushError::SecretLabel(label.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Other secrets of the owner with the label.
    fn with_label<'a>(
        &'a self,
        id: &'a SecretId,
        owner: &'a Owner,
        label: &'a str,
    ) -> impl Iterator<Item = &'a Secret> {
        self.secrets.values().filter(move |secret| {
            secret.id != *id && secret.owner == *owner && secret.label.as_deref() == Some(label)
        })
    }

    /// Writes what [`Model::check_secrets`] accepted.
    pub(crate) fn write_secrets(&mut self, unit: &UnitName, writes: &mut Writes, now: Timestamp) {
        for (id, draft) in take(&mut writes.secrets_added) {
            let owner = draft.owner(unit);
            let mut secret = Secret::new(id.clone(), owner);
            secret.change(draft, now);
            self.secrets.insert(id, secret);
        }
        for (id, draft) in take(&mut writes.secrets_set) {
            let Some(secret) = self.secrets.get_mut(&id) else { continue };
            secret.change(draft, now);
            let latest = secret.latest;
            // A writer that has read the new revision gets no event for it.
            let tracked = writes.tracked.contains(&id);
            if let Some(tracking) = secret.tracking.get_mut(unit).filter(|_| tracked) {
                tracking.revision = latest;
                tracking.told = latest;
            }
        }
        // A grant after a revocation of the same hook stands: earlier ones left the buffer.
        for (id, revoked) in take(&mut writes.revocations) {
            if let Some(secret) = self.secrets.get_mut(&id) {
                secret.grants.retain(|grant| !revoked.covers(grant));
            }
        }
        for (id, grant) in take(&mut writes.grants) {
            let alive = grant.relation.is_none_or(|id| self.relations.contains_key(&id));
            let Some(secret) = self.secrets.get_mut(&id).filter(|_| alive) else { continue };
            if !secret.grants.contains(&grant) {
                secret.grants.push(grant);
            }
        }
        for (id, revisions) in take(&mut writes.secrets_removed) {
            let Some(secret) = self.secrets.get_mut(&id) else { continue };
            match revisions {
                Some(numbers) => secret.revisions.retain(|number, _| !numbers.contains(number)),
                None => secret.revisions.clear(),
            }
            if secret.revisions.is_empty() {
                self.secrets.remove(&id);
            }
        }
    }
}

impl SecretDraft {
    /// The owner that a new secret of this unit gets.
    pub(crate) fn owner(&self, unit: &UnitName) -> Owner {
        if self.metadata.owner_is_unit == Some(true) {
            Owner::Unit(unit.clone())
        } else {
            Owner::App(unit.app().clone())
        }
    }
}

impl Secret {
    /// A secret without a revision.
    pub(crate) fn new(id: SecretId, owner: Owner) -> Self {
        Self {
            id,
            owner,
            label: None,
            description: String::new(),
            rotation: Rotation::Never,
            next_rotation: None,
            latest: 0,
            revisions: std::collections::BTreeMap::new(),
            grants: Vec::new(),
            tracking: std::collections::BTreeMap::new(),
            auto_prune: false,
        }
    }

    /// Applies new metadata, and new content as a new revision where it differs.
    pub(crate) fn change(&mut self, draft: SecretDraft, now: Timestamp) {
        let metadata = draft.metadata;
        if let Some(label) = metadata.label {
            self.label = Some(label).filter(|label| !label.is_empty());
        }
        if let Some(description) = metadata.description {
            self.description = description;
        }
        if let Some(rotation) = metadata.rotate.as_deref().and_then(Rotation::parse) {
            self.rotation = rotation;
            self.next_rotation = rotation.after(now);
        }
        let latest = self.revisions.get(&self.latest).map(|revision| &revision.content);
        if let Some(content) = draft.content.filter(|content| latest != Some(content)) {
            self.latest += 1;
            let revision = SecretRevision {
                content,
                created: now,
                expire: None,
                removal_told: false,
                expire_due: None,
            };
            self.revisions.insert(self.latest, revision);
        }
        if let (Some(expire), Some(revision)) =
            (metadata.expire, self.revisions.get_mut(&self.latest))
        {
            revision.expire = Some(expire);
            revision.expire_due = Some(expire);
        }
    }
}
