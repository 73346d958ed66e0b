//! Facts that were gathered become values that a decision relies on, once a hook: what each
//! client wants and can have, or why not, and with which certificate clients are served.

mod clashes;
pub(crate) mod client;
pub(crate) mod legacy;

use std::collections::BTreeMap;

use charm_kit::certificates::Steps;
use juju_charm::{AppName, RelationId};
use juju_interfaces::BagError;
use juju_interfaces::postgresql_client::LARGEST;
use postgres::RoleName;

use crate::facts::FullFacts;
use crate::wording;

pub(crate) use clashes::Clash;
pub(crate) use client::{Client, GrantRequest};
pub(crate) use legacy::LegacyClient;

/// What follows from the facts alone.
pub(crate) struct Validated<'a> {
    /// The clients of the relation `database`.
    pub(crate) clients: Vec<Client<'a>>,
    /// The legacy clients.
    pub(crate) legacy: Vec<LegacyClient<'a>>,
    /// Clients that have their credentials, and a name that is another's too.
    pub(crate) clashes: BTreeMap<RelationId, Clash>,
    /// With which certificate this unit serves, and what there is to do for it.
    pub(crate) tls: Steps,
}

/// A request that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Bag(#[from] BagError),
    #[error("the database name {0:?} is not possible: choose another")]
    Database(String),
    #[error("no client can be a member of {0:?}: correct extra-user-roles")]
    Roles(String),
    #[error(transparent)]
    Clash(#[from] Clash),
    #[error(
        "its user {0} is the one that PostgreSQL gave this charm: remove the relation and make it \
         anew, which gives it another name"
    )]
    Own(RoleName),
    #[error(transparent)]
    User(#[from] postgres::NameError),
    #[error("the extension {0:?} is not in the database pgbouncer: enable it on PostgreSQL")]
    Extension(String),
    #[error("its extensions and subnets have {0} bytes, more than {LARGEST}: correct them")]
    Large(usize),
}

impl Problem {
    /// The words that operators know.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Database(_) | Self::Clash(_) => wording::BAD_DATABASE,
            Self::Roles(_) => wording::BAD_ROLES,
            Self::Extension(_) => wording::EXTENSIONS,
            Self::Bag(_) | Self::Own(_) | Self::User(_) | Self::Large(_) => wording::BAD_REQUEST,
        }
    }
}

/// Judges everything that does not depend on how far the backend is.
pub(crate) fn validate(facts: &FullFacts) -> Validated<'_> {
    let mut clashes = clashes::clashes(facts);
    let clients = facts.clients.iter();
    let clients = clients.map(|relation| Client::of(facts, relation, clashes.get(&relation.id)));
    let clients = clients.collect();
    let legacy = facts.legacy.iter();
    let legacy = legacy.map(|client| LegacyClient::of(facts, client, clashes.get(&client.id)));
    let legacy = legacy.collect();
    clashes.retain(|_, clash| clash.granted);
    Validated { clients, legacy, clashes, tls: facts.tls.steps() }
}

impl Validated<'_> {
    /// Whether a relation is one of a client that is there.
    pub(crate) fn knows(&self, id: RelationId) -> bool {
        self.clients.iter().any(|client| client.relation.id == id)
            || self.legacy.iter().any(|client| client.relation.id == id)
    }

    /// The clients that can be served, with what they asked for.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&Client<'_>, &GrantRequest)> {
        let clients = self.clients.iter();
        clients.filter_map(|client| Some((client, client.request.as_ref().ok()?.as_ref()?)))
    }
}

impl Validated<'_> {
    /// Whether a client waits for credentials that the leader is to give.
    pub(crate) fn waits(&self, facts: &FullFacts) -> bool {
        let modern = self.requests().any(|(client, _)| !client.relation.granted());
        modern || (facts.common.leader && self.legacy.iter().any(LegacyClient::waits))
    }

    /// What is wrong with clients: the words of the status, who it is about, and the reason. The
    /// others are served.
    pub(crate) fn problems(&self, facts: &FullFacts) -> Vec<(&'static str, String, String)> {
        let reported =
            |problem: &Problem, id, app| (problem.status(), who(app, id), problem.to_string());
        let legacy = || self.legacy.iter().filter(|_| facts.common.leader);
        let modern = self.clients.iter().filter_map(|client| {
            Some(reported(client.request.as_ref().err()?, client.relation.id, &client.relation.app))
        });
        let old = legacy().filter_map(|client| {
            Some(reported(client.request.as_ref().err()?, client.relation.id, &client.relation.app))
        });
        let apps = self.clients.iter().map(|client| (client.relation.id, &client.relation.app));
        let apps = apps.chain(legacy().map(|client| (client.relation.id, &client.relation.app)));
        let apps: BTreeMap<_, _> = apps.collect();
        // Two that had their credentials before names were compared.
        let both = self.clashes.iter().filter_map(|(id, clash)| {
            Some((wording::BAD_DATABASE, who(apps.get(id)?, *id), clash.to_string()))
        });
        modern.chain(old).chain(both).collect()
    }
}

/// What a person calls a client.
pub(crate) fn who(app: &AppName, id: RelationId) -> String {
    format!("{app} (relation {id})")
}

/// The user of a relation of the interface `postgresql_client`.
pub(crate) fn client_user(id: RelationId) -> RoleName {
    RoleName::of_relation(id.0)
}
