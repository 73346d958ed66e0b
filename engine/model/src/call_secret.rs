//! Secret tools.

use names::{RelationId, SecretId, UnitName};

use crate::call::{ToolCall, refused};
use crate::secret::{Grant, SecretContent, Tracking};
use crate::session::{Revocation, SecretDraft};
use crate::tools::{Answer, Bag, Party, Revision, SecretInfo, SecretMetadata, ToolError};
use crate::{Owner, Relation, Role, Secret};

/// The most that the values of one secret may take, in base64.
const LARGEST: usize = 1_000_000;

const NOT_LEADER: &str = "this unit is not the leader";

fn not_found(id: &SecretId) -> ToolError {
    refused(format!("secret {:?} not found", id.bare()))
}

fn label_exists(label: &str) -> ToolError {
    refused(format!("secret with label {label:?} already exists"))
}

impl ToolCall<'_> {
    pub(crate) fn add_secret(
        &mut self,
        content: Bag,
        metadata: SecretMetadata,
    ) -> Answer<SecretId> {
        let draft = SecretDraft { content: Some(checked(content)?), metadata };
        let owner = draft.owner(&self.own());
        if matches!(owner, Owner::App(_)) && !self.leads() {
            return Err(refused(NOT_LEADER));
        }
        self.session.make_room(crate::limits::draft(&draft))?;
        let id = SecretId::from_bytes(self.model.seed.bytes12());
        if let Some(label) = draft.metadata.label.as_deref().filter(|label| !label.is_empty()) {
            self.check_label(&id, &owner, label)?;
        }
        self.session.writes.secrets_added.insert(id.clone(), draft);
        Ok(id)
    }

    /// Refuses a label that another secret of the owner has, or gets in this hook.
    fn check_label(&self, id: &SecretId, owner: &Owner, label: &str) -> Answer<()> {
        let unit = &self.session.run.unit;
        let drafts = self.session.writes.secrets_added.iter();
        let drafted = drafts.filter(|(other, _)| *other != id).any(|(_, draft)| {
            draft.owner(unit) == *owner && draft.metadata.label.as_deref() == Some(label)
        });
        let removed = |secret: &Secret| {
            matches!(self.session.writes.secrets_removed.get(&secret.id), Some(None))
        };
        let taken = self.model.secrets.values().any(|secret| {
            secret.id != *id
                && secret.owner == *owner
                && secret.label.as_deref() == Some(label)
                && !removed(secret)
        });
        if drafted || taken { Err(label_exists(label)) } else { Ok(()) }
    }

    pub(crate) fn set_secret(
        &mut self,
        id: &SecretId,
        content: Option<Bag>,
        metadata: SecretMetadata,
    ) -> Answer<()> {
        let content = content.map(checked).transpose()?;
        let leads = self.leads();
        if let Some(secret) = self.model.secrets.get(id) {
            let app = matches!(&secret.owner, Owner::App(app) if app == self.own().app());
            if app && !leads {
                return Err(refused(NOT_LEADER));
            }
        }
        let fresh = SecretDraft { content, metadata };
        self.session.make_room(crate::limits::draft(&fresh))?;
        let SecretDraft { content, metadata } = fresh;
        let writes = &mut self.session.writes;
        let draft = match writes.secrets_added.get_mut(id) {
            Some(draft) => draft,
            None => writes.secrets_set.entry(id.clone()).or_default(),
        };
        draft.merge(content, metadata);
        Ok(())
    }

    pub(crate) fn get_secret(
        &mut self,
        id: Option<&SecretId>,
        label: Option<&str>,
        revision: Revision,
    ) -> Answer<Bag> {
        let label = label.filter(|label| !label.is_empty());
        let (id, binding) = match (id, label) {
            (Some(id), label) => (id.clone(), label),
            (None, Some(label)) => (self.by_label(label)?, None),
            (None, None) => return Err(refused("require either a secret URI or label")),
        };
        if let Some(draft) = self.session.writes.secrets_added.get(&id) {
            return Ok(draft.content.as_ref().map(|c| c.0.clone()).unwrap_or_default());
        }
        let unit = self.own();
        let secret = self.model.secrets.get(&id).ok_or_else(|| not_found(&id))?;
        if !secret.readable_by(&unit) {
            return Err(refused("permission denied"));
        }
        if let Some(binding) = binding {
            let taken = |other: &Secret| {
                let tracking = other.tracking.get(&unit);
                other.id != id && tracking.is_some_and(|t| t.label.as_deref() == Some(binding))
            };
            if self.model.secrets.values().any(taken) {
                return Err(label_exists(binding));
            }
        }
        let drafted = self.session.writes.secrets_set.get(&id).and_then(|d| d.content.clone());
        let secret = self.model.secrets.get_mut(&id).ok_or_else(|| not_found(&id))?;
        let number = track(secret, &unit, binding, revision);
        if let Some(content) = drafted.filter(|_| revision != Revision::Tracked) {
            return Ok(content.0);
        }
        let stored = secret.revisions.get(&number).map(|revision| revision.content.0.clone());
        stored.ok_or_else(|| refused(format!("secret {:?} revision {number} not found", id.bare())))
    }

    /// A secret by a label: an owner's, or one that this unit bound.
    fn by_label(&self, label: &str) -> Answer<SecretId> {
        let unit = &self.session.run.unit;
        let named = |draft: &SecretDraft| draft.metadata.label.as_deref() == Some(label);
        let mut drafts =
            self.session.writes.secrets_added.iter().chain(&self.session.writes.secrets_set);
        if let Some((id, _)) = drafts.find(|(_, draft)| named(draft)) {
            return Ok(id.clone());
        }
        let bound = |secret: &&Secret| {
            let tracking = secret.tracking.get(unit);
            tracking.is_some_and(|tracking| tracking.label.as_deref() == Some(label))
        };
        let own =
            |secret: &&Secret| secret.belongs_to(unit) && secret.label.as_deref() == Some(label);
        let secrets = &self.model.secrets;
        let found = secrets.values().find(own).or_else(|| secrets.values().find(bound));
        let unknown = || refused(format!("consumer label {label:?} not found"));
        found.map(|secret| secret.id.clone()).ok_or_else(unknown)
    }

    pub(crate) fn describe_secret(
        &self,
        id: Option<&SecretId>,
        label: Option<&str>,
    ) -> Answer<SecretInfo> {
        let unit = &self.session.run.unit;
        let label = label.filter(|label| !label.is_empty());
        let id = match (id, label) {
            (Some(id), None) => id.clone(),
            (None, Some(label)) => {
                let missing = |_| refused(format!("secret {label:?} not found"));
                self.by_label(label).map_err(missing)?
            }
            (Some(_), Some(_)) => {
                return Err(refused("specify either a secret URI or label but not both"));
            }
            (None, None) => return Err(refused("require either a secret URI or label")),
        };
        let writes = &self.session.writes;
        let secret = match (writes.secrets_added.get(&id), self.model.secrets.get(&id)) {
            (Some(draft), _) => {
                let mut secret = Secret::new(id.clone(), draft.owner(unit));
                secret.change(draft.clone(), self.now);
                secret
            }
            (None, Some(secret)) if self.model.manages(unit, secret) => {
                let mut secret = secret.clone();
                if let Some(draft) = writes.secrets_set.get(&id) {
                    secret.change(draft.clone(), self.now);
                }
                secret
            }
            _ => return Err(not_found(&id)),
        };
        let latest = secret.revisions.get(&secret.latest);
        let owner = if matches!(secret.owner, Owner::Unit(_)) { "unit" } else { "application" };
        Ok(SecretInfo {
            id,
            revision: secret.latest,
            label: secret.label.clone().unwrap_or_default(),
            owner: owner.to_owned(),
            description: secret.description.clone(),
            rotation: secret.rotation.word().to_owned(),
            rotates: secret.next_rotation,
            expiry: latest.and_then(|revision| revision.expire),
            access: secret.grants.iter().map(|grant| self.access(grant)).collect(),
        })
    }

    /// A grant in Juju's words: target, scope, role.
    fn access(&self, grant: &Grant) -> (String, String, String) {
        let target = match &grant.unit {
            Some(unit) => unit.tag(),
            None => format!("application-{}", grant.app),
        };
        let relation = grant.relation.and_then(|id| self.model.relations.get(&id));
        (target, relation.map(tag).unwrap_or_default(), "view".to_owned())
    }

    pub(crate) fn own_secrets(&self) -> Vec<SecretId> {
        let unit = &self.session.run.unit;
        let writes = &self.session.writes;
        let managed = self.model.secrets.values().filter(|s| self.model.manages(unit, s));
        let kept = managed.filter(|s| !matches!(writes.secrets_removed.get(&s.id), Some(None)));
        let mut ids: Vec<_> = kept.map(|secret| secret.id.clone()).collect();
        ids.extend(writes.secrets_added.keys().cloned());
        ids.sort();
        ids
    }

    pub(crate) fn grant_secret(
        &mut self,
        id: &SecretId,
        relation: RelationId,
        unit: Option<&UnitName>,
    ) -> Answer<()> {
        let own = self.own();
        let remote = self.relation(relation)?.event.remote_app;
        let drafted = self.session.writes.secrets_added.contains_key(id);
        let stored = self.model.secrets.get(id).filter(|secret| secret.belongs_to(&own));
        if !drafted && stored.is_none() {
            return Err(not_found(id));
        }
        if stored.is_some_and(|secret| !self.model.manages(&own, secret)) {
            return Err(refused(NOT_LEADER));
        }
        if let Some(unit) = unit.filter(|unit| *unit.app() != remote) {
            return Err(refused(format!(
                "unit {:?} is not in relation {relation}",
                unit.to_string()
            )));
        }
        let grant = Grant { unit: unit.cloned(), app: remote, relation: Some(relation) };
        let writes = &self.session.writes;
        let buffered = writes.grants.iter().filter(|(other, _)| other == id);
        let revoked = |grant: &&Grant| {
            writes.revocations.iter().any(|(other, revoked)| other == id && revoked.covers(grant))
        };
        let existing = stored.map(|secret| secret.grants.as_slice()).unwrap_or_default();
        let existing = existing.iter().filter(|grant| !revoked(grant));
        let all: Vec<&Grant> = buffered.map(|(_, grant)| grant).chain(existing).collect();
        if all.contains(&&grant) {
            return Ok(());
        }
        let units = all.iter().any(|other| other.app == grant.app && other.unit.is_some());
        if grant.unit.is_none() && units {
            return Err(refused(
                "any unit level grants need to be revoked before granting access to the \
                 corresponding application",
            ));
        }
        self.session.make_room(crate::limits::DOCUMENT)?;
        self.session.writes.grants.push((id.clone(), grant));
        Ok(())
    }

    pub(crate) fn revoke_secret(
        &mut self,
        id: &SecretId,
        relation: Option<RelationId>,
        of: Option<&Party>,
    ) -> Answer<()> {
        if let Some(relation) = relation {
            self.relation(relation)?;
        }
        let (app, unit) = match of {
            Some(Party::App(app)) => (Some(app.clone()), None),
            Some(Party::Unit(unit)) => (None, Some(unit.clone())),
            None => (None, None),
        };
        let revocation = Revocation { relation, app, unit };
        self.session.make_room(crate::limits::DOCUMENT)?;
        let writes = &mut self.session.writes;
        writes.grants.retain(|(other, grant)| other != id || !revocation.covers(grant));
        if !writes.secrets_added.contains_key(id) {
            writes.revocations.push((id.clone(), revocation));
        }
        Ok(())
    }

    pub(crate) fn remove_secret(&mut self, id: &SecretId, revision: Option<u32>) -> Answer<()> {
        self.session.make_room(crate::limits::DOCUMENT)?;
        let writes = &mut self.session.writes;
        let Some(revision) = revision else {
            writes.secrets_set.remove(id);
            writes.grants.retain(|(other, _)| other != id);
            writes.revocations.retain(|(other, _)| other != id);
            if writes.secrets_added.remove(id).is_none() {
                writes.secrets_removed.insert(id.clone(), None);
            }
            return Ok(());
        };
        if writes.secrets_added.contains_key(id) {
            return Ok(());
        }
        let removed = writes.secrets_removed.entry(id.clone());
        if let Some(numbers) = removed.or_insert_with(|| Some(Default::default())) {
            numbers.insert(revision);
        }
        Ok(())
    }
}

impl SecretDraft {
    /// Lays later content and metadata over earlier ones of the same hook.
    fn merge(&mut self, content: Option<SecretContent>, metadata: SecretMetadata) {
        let old = &mut self.metadata;
        self.content = content.or(self.content.take());
        old.label = metadata.label.or(old.label.take());
        old.description = metadata.description.or(old.description.take());
        old.rotate = metadata.rotate.or(old.rotate.take());
        old.expire = metadata.expire.or(old.expire.take());
    }
}

/// Keeps the reader's books and says which revision it gets.
fn track(secret: &mut Secret, unit: &UnitName, binding: Option<&str>, wanted: Revision) -> u32 {
    let latest = secret.latest;
    let own = secret.belongs_to(unit);
    let first = Tracking { revision: latest, label: None, told: latest };
    let tracking = secret.tracking.entry(unit.clone()).or_insert(first);
    if let Some(label) = binding {
        tracking.label = Some(label.to_owned());
    }
    if own || wanted == Revision::Refresh {
        tracking.revision = latest;
    }
    if wanted == Revision::Peek { latest } else { tracking.revision }
}

/// A relation's tag, the requirer first.
fn tag(relation: &Relation) -> String {
    let mut ends: Vec<_> = relation.ends.iter().collect();
    ends.sort_by_key(|end| end.role != Role::Requirer);
    let ends: Vec<_> = ends.iter().map(|end| format!("{}.{}", end.app, end.endpoint)).collect();
    format!("relation-{}", ends.join("#"))
}

/// Content whose keys and size Juju accepts.
pub(crate) fn checked(content: Bag) -> Answer<SecretContent> {
    if content.is_empty() {
        return Err(refused("missing secret value or filename"));
    }
    if let Some(key) = content.keys().find(|key| !is_key(key)) {
        return Err(refused(format!("key {key:?} not valid")));
    }
    if content.values().map(String::len).sum::<usize>() > LARGEST {
        return Err(refused(format!("secret content larger than {LARGEST} bytes not valid")));
    }
    Ok(SecretContent(content))
}

/// `^([a-z](?:-?[a-z0-9]){2,})$`
fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.ends_with(plain)
        && !key.contains("--")
        && key.chars().all(|c| plain(c) || c == '-')
        && key.chars().filter(|c| *c != '-').count() >= 3
}
