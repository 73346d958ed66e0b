//! What a test looks at afterwards.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use juju_charm::{Bag, Deferrals, Status};
use juju_model::{Owner, Secret, Unit};
use juju_names::{RelationId, SecretId};

use crate::world::World;

fn status(status: &juju_model::tools::Status) -> Option<Status> {
    Status::from_word(&status.status, &status.message)
}

impl World {
    fn unit(&self) -> Option<&Unit> {
        self.model.unit(&self.unit)
    }

    /// The unit's status.
    pub fn status(&self) -> Option<Status> {
        status(&self.unit()?.workload)
    }

    /// The application's status, if the charm set one.
    pub fn app_status(&self) -> Option<Status> {
        status(self.model.application(self.unit.app())?.own_status.as_ref()?)
    }

    /// The workload's version, if the charm reported one.
    pub fn version(&self) -> Option<&str> {
        let app = self.model.application(self.unit.app())?;
        Some(app.version.as_str()).filter(|version| !version.is_empty())
    }

    /// The own unit's databag, with the keys that Juju keeps there; empty where there is no such
    /// relation.
    pub fn unit_bag(&self, id: u32) -> Bag {
        let relation = self.model.relation(RelationId(id));
        let bag = relation.and_then(|relation| relation.unit_bags.get(&self.unit));
        bag.map(|bag| (*bag.values).clone()).unwrap_or_default()
    }

    /// The own application's databag; empty where there is no such relation.
    pub fn app_bag(&self, id: u32) -> Bag {
        let relation = self.model.relation(RelationId(id));
        let bag = relation.and_then(|relation| relation.app_bags.get(self.unit.app()));
        bag.map(|bag| (*bag.values).clone()).unwrap_or_default()
    }

    /// The latest content of an own secret with this label.
    pub fn secret(&self, label: &str) -> Option<Bag> {
        let secret = self.own(label)?;
        let content = secret.revisions.get(&secret.latest)?.content.reveal().iter();
        let plain = |(key, value): (&String, &String)| {
            let value = STANDARD.decode(value).ok()?;
            Some((key.clone(), String::from_utf8_lossy(&value).into_owned()))
        };
        content.map(plain).collect()
    }

    /// The id of an own secret with this label.
    pub fn secret_id(&self, label: &str) -> Option<&SecretId> {
        Some(&self.own(label)?.id)
    }

    /// How many revisions an own secret with this label has had.
    pub fn secret_revisions(&self, label: &str) -> u32 {
        self.own(label).map_or(0, |secret| secret.latest)
    }

    /// The relations that an own secret with this label is granted to.
    pub fn secret_grants(&self, label: &str) -> Vec<RelationId> {
        let grants = self.own(label).into_iter().flat_map(|secret| &secret.grants);
        grants.filter_map(|grant| grant.relation).collect()
    }

    /// The deferred events and their reasons.
    pub fn deferred(&self) -> Deferrals {
        self.state_value("deferred").map(|text| Deferrals::parse(text).0).unwrap_or_default()
    }

    /// The value of a key of the controller state.
    pub fn state_value(&self, key: &str) -> Option<&str> {
        self.unit()?.state.get(key).map(String::as_str)
    }

    /// The open ports, for instance `5432/tcp`.
    pub fn ports(&self) -> Vec<String> {
        let ports = self.unit().into_iter().flat_map(|unit| &unit.ports);
        ports.map(|port| format!("{}/{}", port.number, port.protocol)).collect()
    }

    fn own(&self, label: &str) -> Option<&Secret> {
        let owned = |secret: &&Secret| match &secret.owner {
            Owner::Unit(unit) => *unit == self.unit,
            Owner::App(app) => app == self.unit.app(),
            Owner::Model => false,
        };
        let mut own = self.model.secrets().filter(owned);
        own.find(|secret| secret.label.as_deref() == Some(label))
    }
}
