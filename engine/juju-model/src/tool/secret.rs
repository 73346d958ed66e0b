//! Secret tools.

use juju_names::{RelationId, SecretId, UnitName};

use crate::entity::secret::{Grant, SecretContent, Tracking};
use crate::tool::call::{ToolCall, refused};
use crate::tool::session::{Revocation, SecretDraft};
use crate::tool::{Answer, Bag, Party, Revision, SecretInfo, SecretMetadata, ToolError};
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
    /// Buffered, but the id is minted at once. Values are bytes in base64.
    ///
    /// # Errors
    /// Odd content, a label of this hook, an application's secret of one who does not lead.
    pub fn secret_add(&mut self, content: Bag, metadata: SecretMetadata) -> Answer<SecretId> {
        let draft = SecretDraft { content: Some(checked(content)?), metadata };
        let owner = draft.owner(&self.own());
        if matches!(owner, Owner::App(_)) && !self.leads() {
            return Err(refused(NOT_LEADER));
        }
        self.session.make_room(crate::size::draft(&draft))?;
        // A label of a secret that is there already is refused when the hook ends.
        let label = draft.metadata.label.as_deref().filter(|label| !label.is_empty());
        let mut drafts = self.session.writes.secrets_added.values();
        if let Some(label) = label
            && drafts.any(|other| other.metadata.label.as_deref() == Some(label))
        {
            return Err(label_exists(label));
        }
        let id = SecretId::from_bytes(self.model.seed.bytes12());
        self.session.writes.secrets_added.insert(id.clone(), draft);
        Ok(id)
    }

    /// Buffered. Without content it changes metadata only.
    ///
    /// # Errors
    /// Odd content; whether the unit may change the secret is looked at when the hook ends.
    pub fn secret_set(
        &mut self,
        id: &SecretId,
        content: Option<Bag>,
        metadata: SecretMetadata,
    ) -> Answer<()> {
        let content = content.map(checked).transpose()?;
        let fresh = SecretDraft { content, metadata };
        self.session.make_room(crate::size::draft(&fresh))?;
        let SecretDraft { content, metadata } = fresh;
        let writes = &mut self.session.writes;
        let draft = match writes.secrets_added.get_mut(id) {
            Some(draft) => draft,
            None => writes.secrets_set.entry(id.clone()).or_default(),
        };
        draft.merge(content, metadata);
        Ok(())
    }

    /// Content in base64. A label with an id binds it, without one looks it up.
    ///
    /// # Errors
    /// A secret that is not there, or not for this unit.
    pub fn secret_get(
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
        if let Some(draft) = self.session.writes.secrets_added.get_mut(&id) {
            if let Some(label) = binding {
                draft.metadata.label = Some(label.to_owned());
            }
            return Ok(draft.content.as_ref().map(|c| c.0.clone()).unwrap_or_default());
        }
        let unit = self.own();
        let secret = self.model.secrets.get(&id).ok_or_else(|| self.no_secret(&id))?;
        if !secret.readable_by(&unit) {
            return Err(match self.model.rules().denied_by_name {
                true => refused(format!("\"{unit}\" is not allowed to read this secret")),
                false => refused("permission denied"),
            });
        }
        let binding = self.label(&id, &unit, binding)?;
        let drafted = self.session.writes.secrets_set.get(&id).and_then(|d| d.content.clone());
        let secret = self.model.secrets.get_mut(&id).ok_or_else(|| not_found(&id))?;
        let number = track(secret, &unit, binding, revision);
        if let Some(content) = drafted.filter(|_| revision != Revision::Tracked) {
            if revision == Revision::Refresh {
                self.session.writes.tracked.insert(id);
            }
            return Ok(content.0);
        }
        let stored = secret.revisions.get(&number).map(|revision| revision.content.0.clone());
        stored.ok_or_else(|| refused(format!("secret {:?} revision {number} not found", id.bare())))
    }

    fn no_secret(&self, id: &SecretId) -> ToolError {
        self.model.rules().secret_gone.map_or_else(|| not_found(id), refused)
    }

    /// What a label given to `secret-get` does: an owner's renames the secret at once, whatever
    /// becomes of the hook; a reader's is bound, and comes back.
    fn label<'a>(
        &mut self,
        id: &SecretId,
        unit: &UnitName,
        label: Option<&'a str>,
    ) -> Answer<Option<&'a str>> {
        let (Some(wanted), Some(secret)) = (label, self.model.secrets.get(id)) else {
            return Ok(label);
        };
        if !secret.belongs_to(unit) {
            let taken = |other: &Secret| {
                let tracking = other.tracking.get(unit);
                other.id != *id && tracking.is_some_and(|t| t.label.as_deref() == Some(wanted))
            };
            let taken = self.model.secrets.values().any(taken);
            return if taken { Err(label_exists(wanted)) } else { Ok(label) };
        }
        if secret.label.as_deref() == Some(wanted) {
            return Ok(None);
        }
        if !self.model.manages(unit, secret) {
            return match self.model.rules().labels_need_lease {
                true => Err(refused("lease not held")),
                false => Ok(None),
            };
        }
        let owner = secret.owner.clone();
        let mut others = self.model.secrets.values().filter(|other| other.owner == owner);
        if others.any(|other| other.label.as_deref() == Some(wanted)) {
            return Err(label_exists(wanted));
        }
        if let Some(secret) = self.model.secrets.get_mut(id) {
            secret.label = Some(wanted.to_owned());
        }
        Ok(None)
    }

    /// A secret by a label: an owner's, or one that this unit bound.
    fn by_label(&self, label: &str) -> Answer<SecretId> {
        let unit = &self.session.run.unit;
        if let Some(id) = self.drafted(label) {
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
        let prefix = self.model.rules().label_prefix;
        let unknown = || refused(format!("{prefix}consumer label {label:?} not found"));
        found.map(|secret| secret.id.clone()).ok_or_else(unknown)
    }

    /// A secret that gets the label in this hook.
    fn drafted(&self, label: &str) -> Option<&SecretId> {
        let writes = &self.session.writes;
        let mut drafts = writes.secrets_added.iter().chain(&writes.secrets_set);
        let named = |draft: &SecretDraft| draft.metadata.label.as_deref() == Some(label);
        drafts.find(|(_, draft)| named(draft)).map(|(id, _)| id)
    }

    /// A secret that the unit acts for, by its label as it will be after this hook.
    fn managed_by_label(&self, label: &str) -> Option<SecretId> {
        let changed = &self.session.writes.secrets_set;
        let kept = |secret: &&Secret| {
            let change = changed.get(&secret.id).and_then(|draft| draft.metadata.label.as_ref());
            change.or(secret.label.as_ref()).is_some_and(|now| now == label)
        };
        let own = |secret: &&Secret| self.model.manages(&self.session.run.unit, secret);
        let mut stored = self.model.secrets.values().filter(own);
        self.drafted(label).or_else(|| Some(&stored.find(kept)?.id)).cloned()
    }

    /// Metadata of an own secret.
    ///
    /// # Errors
    /// A secret that is not there, or not this unit's to manage.
    pub fn secret_info_get(
        &self,
        id: Option<&SecretId>,
        label: Option<&str>,
    ) -> Answer<SecretInfo> {
        let unit = &self.session.run.unit;
        let label = label.filter(|label| !label.is_empty());
        let id = match (id, label) {
            (Some(id), None) => id.clone(),
            (None, Some(label)) => {
                let missing = || refused(format!("secret {label:?} not found"));
                self.managed_by_label(label).ok_or_else(missing)?
            }
            (Some(_), Some(_)) => {
                return Err(refused("specify either a secret URI or label but not both"));
            }
            (None, None) => return Err(refused("require either a secret URI or label")),
        };
        let writes = &self.session.writes;
        let empty = SecretDraft::default();
        if let Some(draft) = writes.secrets_added.get(&id) {
            let owner = draft.owner(unit);
            return Ok(described(id, &owner, 1, [&draft.metadata, &empty.metadata], Vec::new()));
        }
        let secret = self.model.secrets.get(&id).filter(|secret| {
            self.model.manages(unit, secret) && !writes.secrets_removed.contains_key(&id)
        });
        let secret = secret.ok_or_else(|| not_found(&id))?;
        let latest = secret.revisions.get(&secret.latest);
        let stored = SecretMetadata {
            label: secret.label.clone(),
            description: Some(secret.description.clone()),
            rotate: Some(secret.rotation.word().to_owned()),
            expire: latest.and_then(|revision| revision.expire),
            owner_is_unit: None,
        };
        let access = secret.grants.iter().map(|grant| self.access(grant)).collect();
        // The number is the one before this hook.
        let change = writes.secrets_set.get(&id).unwrap_or(&empty);
        let order = [&change.metadata, &stored];
        let mut info = described(id, &secret.owner, secret.latest, order, access);
        info.rotates = secret.next_rotation;
        Ok(info)
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

    /// Own secrets, sorted.
    ///
    /// # Errors
    /// None so far.
    pub fn secret_ids(&self) -> Answer<Vec<SecretId>> {
        let unit = &self.session.run.unit;
        let writes = &self.session.writes;
        let managed = self.model.secrets.values().filter(|s| self.model.manages(unit, s));
        let kept = managed.filter(|s| !writes.secrets_removed.contains_key(&s.id));
        let mut ids: Vec<_> = kept.map(|secret| secret.id.clone()).collect();
        ids.extend(writes.secrets_added.keys().cloned());
        ids.sort();
        Ok(ids)
    }

    /// Buffered.
    ///
    /// # Errors
    /// An unknown secret or relation, an application after one of its units.
    pub fn secret_grant(
        &mut self,
        id: &SecretId,
        relation: RelationId,
        unit: Option<&UnitName>,
    ) -> Answer<()> {
        let own = self.own();
        let remote = self.relation(relation)?.event.remote_app;
        let drafted = self.session.writes.secrets_added.contains_key(id);
        let stored = self.model.secrets.get(id);
        let stored = stored.filter(|secret| self.model.manages(&own, secret));
        if !drafted && stored.is_none() {
            return Err(not_found(id));
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
        self.session.make_room(crate::size::DOCUMENT)?;
        self.session.writes.grants.push((id.clone(), grant));
        Ok(())
    }

    /// Buffered.
    ///
    /// # Errors
    /// An unknown relation.
    pub fn secret_revoke(
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
        self.session.make_room(crate::size::DOCUMENT)?;
        let writes = &mut self.session.writes;
        writes.grants.retain(|(other, grant)| other != id || !revocation.covers(grant));
        if !writes.secrets_added.contains_key(id) {
            writes.revocations.push((id.clone(), revocation));
        }
        Ok(())
    }

    /// Buffered. Without a revision it removes the whole secret.
    ///
    /// # Errors
    /// Too much in all.
    pub fn secret_remove(&mut self, id: &SecretId, revision: Option<u32>) -> Answer<()> {
        self.session.make_room(crate::size::DOCUMENT)?;
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

/// Metadata of an own secret, the first of two before the second.
fn described(
    id: SecretId,
    owner: &Owner,
    revision: u32,
    [first, second]: [&SecretMetadata; 2],
    access: Vec<(String, String, String)>,
) -> SecretInfo {
    let text = |of: fn(&SecretMetadata) -> &Option<String>| {
        of(first).clone().or_else(|| of(second).clone()).unwrap_or_default()
    };
    let owner = if matches!(owner, Owner::Unit(_)) { "unit" } else { "application" };
    SecretInfo {
        id,
        revision,
        label: text(|metadata| &metadata.label),
        owner: owner.to_owned(),
        description: text(|metadata| &metadata.description),
        rotation: text(|metadata| &metadata.rotate),
        rotates: None,
        expiry: first.expire.or(second.expire),
        access,
    }
}

/// Keeps the reader's books and says which revision it gets.
fn track(secret: &mut Secret, unit: &UnitName, binding: Option<&str>, wanted: Revision) -> u32 {
    let latest = secret.latest;
    let first = Tracking { revision: latest, label: None, told: latest };
    let tracking = secret.tracking.entry(unit.clone()).or_insert(first);
    if let Some(label) = binding {
        tracking.label = Some(label.to_owned());
    }
    if wanted == Revision::Refresh {
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
