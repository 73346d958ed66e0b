//! Own databags remembered in the controller state, so that steady hooks need not read them.
//!
//! Juju commits a hook's databags and its controller state together or not at all, so
//! what this unit last wrote is what stands there, with four exceptions: another unit led
//! and wrote the application's bag, Juju writes addresses into the unit's bag on
//! config-changed, another charm ran before upgrade-charm, the relation is new.

use std::collections::BTreeSet;

use names::RelationId;

use super::{Hook, HookError};
use crate::{Bag, Event, Own, RelationKind};

/// The controller-state keys of remembered bags begin so.
const PREFIX: &str = "bag:";

/// A larger bag is read each time: Juju bounds the state of a unit.
const BAG_BYTES_MAX: usize = 16 << 10;

fn key(id: RelationId, own: Own) -> String {
    let whose = match own {
        Own::Unit => "unit",
        Own::App => "app",
    };
    format!("{PREFIX}{id}/{whose}")
}

impl Hook {
    /// An own databag as [`Hook::own_bag`] gives it, but without a call once it is
    /// remembered. A bag with a password in it is never remembered: the memory is text in
    /// the controller.
    ///
    /// The application's bag is remembered by whoever leads. A charm calls
    /// [`Hook::forget_app_bags`] when another unit may have led since.
    ///
    /// # Errors
    /// As [`Hook::bag`].
    pub fn remembered_bag(&mut self, id: RelationId, own: Own) -> Result<Bag, HookError> {
        let party = self.own(own);
        let key = key(id, own);
        let unread = !self.bags.contains_key(&(id, party.clone()));
        if self.mirrored.insert((id, own)) && unread && !self.doubtful.contains(&key) {
            let text = self.state(&key)?;
            let known: Option<Bag> = text.and_then(|text| serde_json::from_str(&text).ok());
            if let Some(bag) = known {
                self.bags.insert((id, party.clone()), bag);
            }
        }
        self.bag(id, &party)
    }

    /// Makes the next [`Hook::remembered_bag`] read the application's bags.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn forget_app_bags(&mut self) -> Result<(), HookError> {
        self.forget_bags(|key| key.ends_with("/app"))
    }

    /// Forgets the bags of all other relations: no event tells of the end of one that had not
    /// begun for this unit, although it was listed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn forget_bags_besides(&mut self, live: &BTreeSet<RelationId>) -> Result<(), HookError> {
        let id = |key: &str| key.strip_prefix(PREFIX)?.split_once('/')?.0.parse().ok();
        self.forget_bags(|key| id(key).is_none_or(|id| !live.contains(&id)))
    }

    /// Forgets what the event makes doubtful.
    pub(crate) fn forget_doubtful(&mut self, event: &Event) -> Result<(), HookError> {
        match event {
            Event::UpgradeCharm => self.forget_bags(|_| true),
            Event::LeaderElected => self.forget_app_bags(),
            Event::ConfigChanged => self.forget_bags(|key| key.ends_with("/unit")),
            Event::Relation(relation) => match relation.kind {
                RelationKind::Created | RelationKind::Broken => {
                    let begin = format!("{PREFIX}{}/", relation.id);
                    self.forget_bags(|key| key.starts_with(&begin))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn forget_bags(&mut self, doubtful: impl Fn(&str) -> bool) -> Result<(), HookError> {
        let keys = self.state_keys(PREFIX)?;
        self.doubtful.extend(keys.into_iter().filter(|key| doubtful(key)));
        Ok(())
    }

    /// Remembers the bags as they stand after this hook.
    pub(super) fn mirror_bags(&mut self) -> Result<(), HookError> {
        for (id, own) in std::mem::take(&mut self.mirrored) {
            let Some(bag) = self.bags.get(&(id, self.own(own))) else { continue };
            // A map of texts is always JSON.
            let text = serde_json::to_string(bag).unwrap_or_default();
            // A bag from before there were secrets may hold a password.
            let plain = bag.keys().any(|key| key.contains("password"));
            let kept = text.len() <= BAG_BYTES_MAX && !plain;
            self.doubtful.remove(&key(id, own));
            self.set_state(&key(id, own), kept.then_some(text))?;
        }
        for key in std::mem::take(&mut self.doubtful) {
            self.set_state(&key, None)?;
        }
        Ok(())
    }
}
