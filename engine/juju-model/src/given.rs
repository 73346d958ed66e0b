//! States that no hook of this model has led to, for those who begin in the middle: tests.

use jiff::Timestamp;
use juju_names::{AppName, RelationId, SecretId, UnitName};

use crate::tool::session::SecretDraft;
use crate::tool::{Bag, SecretMetadata};
use crate::{Grant, Hook, HookRun, Life, Model, Owner, RelationEnd, Secret, SecretContent};

impl Model {
    /// A run of a hook, whether it is due or not.
    pub fn given_hook(&mut self, unit: &UnitName, hook: Hook) -> HookRun {
        let cause_version = self.cause_version(unit, &hook);
        let context_id = format!("{unit}-{}-{:032x}", hook.name(), self.seed.draw128());
        HookRun { unit: unit.clone(), hook, context_id, cause_version }
    }

    /// Relates the ends under this id. A relation that has the id or the ends makes way.
    pub fn given_relation(&mut self, now: Timestamp, id: RelationId, ends: Vec<RelationEnd>) {
        let same = self.relations.values().find(|relation| relation.ends == ends);
        for old in same.map(|relation| relation.id).into_iter().chain([id]) {
            self.drop_relation(old);
        }
        let next = std::mem::replace(&mut self.next_relation, id.0);
        let made = self.create_relation(ends);
        if let Some(relation) = self.relations.get_mut(&made) {
            relation.since = Some(now);
        }
        self.next_relation = next.max(id.0 + 1);
    }

    /// Takes a relation away without a hook.
    pub fn drop_relation(&mut self, id: RelationId) {
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.life = Life::Dying;
            relation.scope.clear();
        }
        self.drop_if_empty(id);
    }

    /// Keeps a secret under this id, with these readers and no others. Content that differs is a
    /// new revision.
    pub fn given_secret(
        &mut self,
        now: Timestamp,
        id: &SecretId,
        owner: Owner,
        content: Option<Bag>,
        readers: Vec<Grant>,
    ) {
        let fresh = || Secret::new(id.clone(), owner);
        let secret = self.secrets.entry(id.clone()).or_insert_with(fresh);
        let content = content.map(SecretContent);
        secret.change(SecretDraft { content, metadata: SecretMetadata::default() }, now);
        secret.grants = readers;
    }

    /// Leaves an application without a leader, as when its lease has run out and no unit has taken
    /// it yet.
    pub fn lease_ends(&mut self, app: &AppName) {
        if let Some(app) = self.app_mut(app) {
            app.leader = None;
        }
        self.leases.remove(app);
    }
}
