//! How much room things take, and that what takes too much is refused.

use juju_names::{AppName, RelationId, UnitName};
use serde_json::Value;

use crate::entity::relation::overlay;
use crate::limits::{ACTIONS_MAX, DOCUMENT_MAX, KEPT_MAX};
use crate::tool::call::refused;
use crate::tool::session::{SecretDraft, Writes};
use crate::tool::{Answer, Bag, Port};
use crate::{FlushError, Model, Owner, Secret, Session};

/// What the document store needs besides keys and values.
const ENTRY: usize = 7;
pub(crate) const DOCUMENT: usize = 256;

/// The size of a map of texts as a document.
fn document(entries: &Bag) -> usize {
    DOCUMENT + entries.iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum::<usize>()
}

/// The size of keys and values.
fn entries<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> usize {
    entries.into_iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum()
}

/// About the size of a value in JSON.
pub(crate) fn value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| self::value(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map.iter().map(|(key, item)| key.len() + self::value(item) + 4).sum::<usize>()
        }
    }
}

fn port(port: &Port) -> usize {
    16 + port.endpoint.len()
}

pub(crate) fn draft(draft: &SecretDraft) -> usize {
    let texts = [&draft.metadata.label, &draft.metadata.description].into_iter().flatten();
    let content = draft.content.as_ref().map_or(0, |content| entries(&content.0));
    content + texts.map(String::len).sum::<usize>() + DOCUMENT
}

fn secret(secret: &Secret) -> usize {
    let revisions = secret.revisions.values().map(|one| entries(&one.content.0) + DOCUMENT);
    let label = secret.label.as_ref().map_or(0, String::len);
    label + secret.description.len() + revisions.sum::<usize>()
}

impl Writes {
    /// What the buffer holds.
    fn size(&self) -> usize {
        let bags = self.unit_bags.values().chain(self.app_bags.values()).map(entries);
        let state = self
            .state
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len) + ENTRY);
        let secrets = self.secrets_added.values().chain(self.secrets_set.values()).map(draft);
        let ports = self.ports.iter().map(|(one, _)| port(one));
        let others = self.grants.len() + self.revocations.len() + self.secrets_removed.len();
        let revisions = self.secrets_removed.values().flatten().map(|numbers| numbers.len() * 8);
        bags.chain(state).chain(secrets).chain(ports).chain(revisions).sum::<usize>()
            + others * DOCUMENT
    }
}

impl Session {
    /// Makes room in the buffer for a change of about so many bytes.
    ///
    /// # Errors
    /// Refused when the hook would buffer more than an application may keep.
    pub(crate) fn make_room(&mut self, bytes: usize) -> Answer<()> {
        self.buffered = self.buffered.saturating_add(bytes);
        if self.buffered > KEPT_MAX {
            // What was written twice has been counted twice.
            self.buffered = self.writes.size().saturating_add(bytes);
        }
        if self.buffered > KEPT_MAX {
            self.buffered = self.writes.size();
            return Err(refused(format!(
                "cannot buffer more than {KEPT_MAX} bytes in one hook; write less, or in several"
            )));
        }
        Ok(())
    }

    /// The same for changes of a map of texts.
    pub(crate) fn make_room_for(&mut self, changes: &Bag) -> Answer<()> {
        self.make_room(entries(changes))
    }

    /// Counts what an action says, which its document has to hold.
    ///
    /// # Errors
    /// Refused when it would be too large.
    pub(crate) fn say(&mut self, bytes: usize) -> Answer<()> {
        let said = self.said.saturating_add(bytes);
        if said > DOCUMENT_MAX {
            return Err(refused(format!(
                "cannot keep more than {DOCUMENT_MAX} bytes of an action's results, output and log"
            )));
        }
        self.said = said;
        Ok(())
    }
}

impl Model {
    /// Refuses writes with which a databag, or all of an application, would be too large. What
    /// makes it smaller is taken, however large it stays.
    pub(crate) fn check_size(&self, unit: &UnitName, writes: &Writes) -> Result<(), FlushError> {
        let grown = writes.size();
        if grown == 0 {
            return Ok(());
        }
        let mut replaced = 0;
        for (id, changes, own) in self.changed_bags(unit, writes) {
            replaced += own
                .map_or(0, |bag| entries(bag.iter().filter(|(key, _)| changes.contains_key(*key))));
            check_bag(id, changes, own)?;
        }
        let kept = self.kept(unit.app());
        let lost = replaced + self.lost_state(unit, writes) + self.lost_secrets(writes);
        let after = (kept + grown).saturating_sub(lost);
        if after > KEPT_MAX && after > kept {
            return Err(FlushError::Kept { app: unit.app().to_string(), size: after });
        }
        Ok(())
    }

    /// The databags that the writes change, with what they hold now.
    fn changed_bags<'a>(
        &'a self,
        unit: &'a UnitName,
        writes: &'a Writes,
    ) -> impl Iterator<Item = (RelationId, &'a Bag, Option<&'a Bag>)> {
        let of_unit = writes.unit_bags.iter().map(move |(id, changes)| {
            let bag = self.relations.get(id).and_then(|relation| relation.unit_bags.get(unit));
            (*id, changes, bag.map(|bag| &*bag.values))
        });
        let of_app = writes.app_bags.iter().map(move |(id, changes)| {
            let relation = self.relations.get(id);
            let bag = relation.and_then(|relation| relation.app_bags.get(unit.app()));
            (*id, changes, bag.map(|bag| &*bag.values))
        });
        of_unit.chain(of_app)
    }

    /// The size of state that the writes replace or delete.
    fn lost_state(&self, unit: &UnitName, writes: &Writes) -> usize {
        let state = self.units.get(unit).into_iter().flat_map(|unit| &unit.state);
        entries(state.filter(|(key, _)| writes.state.contains_key(*key)))
    }

    /// The size of secrets that the writes remove.
    fn lost_secrets(&self, writes: &Writes) -> usize {
        let lost = writes.secrets_removed.iter().filter_map(|(id, numbers)| {
            let known = self.secrets.get(id)?;
            let gone = |number: &u32| numbers.as_ref().is_none_or(|all| all.contains(number));
            let gone = known.revisions.iter().filter(|(number, _)| gone(number));
            Some(gone.map(|(_, one)| entries(&one.content.0) + DOCUMENT).sum::<usize>())
        });
        lost.sum()
    }

    /// What is kept of an application.
    fn kept(&self, app: &AppName) -> usize {
        let bags = self.relations.values().flat_map(|relation| {
            let units = relation.unit_bags.iter().filter(|(unit, _)| unit.app() == app);
            units.map(|(_, bag)| bag).chain(relation.app_bags.get(app))
        });
        let bags = bags.map(|bag| entries(bag.values.iter()));
        let units = self.units.values().filter(|unit| unit.name.app() == app);
        let units =
            units.map(|unit| entries(&unit.state) + unit.ports.iter().map(port).sum::<usize>());
        let own = |secret: &&Secret| match &secret.owner {
            Owner::Unit(unit) => unit.app() == app,
            Owner::App(owner) => owner == app,
            Owner::Model => false,
        };
        let secrets = self.secrets.values().filter(own).map(secret);
        bags.chain(units).chain(secrets).sum()
    }

    /// Forgets the oldest actions that have ended, and the oldest of all that are too many bytes.
    pub(crate) fn prune_actions(&mut self) {
        let mut room = KEPT_MAX;
        let mut count = 0;
        let mut old = Vec::new();
        for action in self.actions.values().rev().filter(|action| action.completed.is_some()) {
            count += 1;
            let log = action.log.iter().map(|line| line.message.len() + ENTRY).sum::<usize>();
            let size = DOCUMENT + log + value(&action.results) + value(&action.params);
            let fits = room.checked_sub(size).filter(|_| count <= ACTIONS_MAX);
            match fits {
                Some(left) => room = left,
                // The latest is still to be read by who asked for it.
                None if count == 1 => room = 0,
                None => old.push(action.id),
            }
        }
        for id in old {
            self.actions.remove(&id);
        }
    }
}

fn check_bag(id: RelationId, changes: &Bag, own: Option<&Bag>) -> Result<(), FlushError> {
    let before = own.map_or(0, document);
    if before + entries(changes) + DOCUMENT <= DOCUMENT_MAX {
        return Ok(());
    }
    let mut bag = own.cloned().unwrap_or_default();
    overlay(&mut bag, changes);
    let size = document(&bag);
    if size > DOCUMENT_MAX && size > before {
        return Err(FlushError::BagSize { relation: id.to_string(), size });
    }
    Ok(())
}
