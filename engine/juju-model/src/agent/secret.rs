//! A unit's events about secrets: expired, rotate, changed, remove.

use jiff::Timestamp;
use juju_names::UnitName;

use crate::{Hook, Model, Owner, Secret, Unit};

impl Model {
    /// Whether the unit acts for the secret's owner: the owner unit, or the application's leader.
    pub(crate) fn manages(&self, unit: &UnitName, secret: &Secret) -> bool {
        match &secret.owner {
            Owner::Unit(owner) => owner == unit,
            Owner::App(app) => app == unit.app() && self.is_leader(unit),
            Owner::Model => false,
        }
    }

    /// The next secret event, in the order expired, rotate, changed, remove.
    pub(crate) fn next_secret(&self, unit: &Unit, now: Timestamp) -> Option<Hook> {
        let managed = || self.secrets.values().filter(|secret| self.manages(&unit.name, secret));
        let due = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
        managed()
            .find_map(|secret| {
                let mut revisions = secret.revisions.iter();
                let (revision, _) = revisions.find(|(_, revision)| due(revision.expire_due))?;
                let (id, label) = named(secret);
                Some(Hook::SecretExpired { id, label, revision: *revision })
            })
            .or_else(|| {
                let (id, label) = named(managed().find(|secret| due(secret.next_rotation))?);
                Some(Hook::SecretRotate { id, label })
            })
            .or_else(|| {
                let all = self.secrets.values();
                let due = all.filter_map(|secret| Some((secret, changed(secret, &unit.name)?)));
                let name = |(secret, _): &(&Secret, _)| secret.id.to_string();
                Some(self.first_in_turn(&unit.name, due, name)?.1)
            })
            .or_else(|| managed().find_map(removable))
    }

    /// When the next secret of the unit expires or wants rotating.
    pub(crate) fn secret_due(&self, unit: &Unit) -> Option<Timestamp> {
        self.secrets
            .values()
            .filter(|secret| self.manages(&unit.name, secret))
            .flat_map(|secret| {
                let expiries = secret.revisions.values().filter_map(|revision| revision.expire_due);
                expiries.chain(secret.next_rotation)
            })
            .min()
    }
}

fn named(secret: &Secret) -> (juju_names::SecretId, String) {
    (secret.id.clone(), secret.label.clone().unwrap_or_default())
}

fn changed(secret: &Secret, unit: &UnitName) -> Option<Hook> {
    let tracking = secret.tracking.get(unit)?;
    let due = tracking.told != secret.latest && secret.readable_by(unit);
    let own = || secret.label.clone().filter(|_| secret.belongs_to(unit));
    let label = tracking.label.clone().or_else(own).unwrap_or_default();
    due.then(|| Hook::SecretChanged { id: secret.id.clone(), label })
}

fn removable(secret: &Secret) -> Option<Hook> {
    let told = |revision: &u32| secret.revisions.get(revision).is_some_and(|r| r.removal_told);
    let revision = secret.obsolete().into_iter().find(|revision| !told(revision))?;
    let (id, label) = named(secret);
    Some(Hook::SecretRemove { id, label, revision })
}
