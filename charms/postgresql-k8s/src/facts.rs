//! What one decision needs to know about the world.

use std::collections::BTreeSet;

use charm_kit::certificates::{KeyError, KeyRequest, PUBLISHED_CA, Steps, Tls, Trust};
use charm_kit::credentials::Seed;
use charm_kit::watch::Watchers;
use juju_charm::{AppName, Bag, RelationId, SecretContent, SecretString, UnitName, databag};
use juju_interfaces::BagError;
use juju_interfaces::postgresql_client::Request;
use patroni::{Cluster, Health};
use pebble_client::Plan;
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::options::{Plugins, Settings};
use crate::passwords::{self, Passwords};
use crate::patroni_yml::Marks;
use crate::resources::Volume;
use crate::topology::Topology;
use crate::upgrade::Upgrade;

/// Why a standby that runs does not stream from a primary that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStreaming {
    /// It is unknown: it may be about to.
    Unknown,
    /// No member has the WAL any more that it needs next; it has nothing that the primary lacks.
    LacksWal {
        /// What the primary's databases take, in bytes; none where it does not say.
        databases: Option<u64>,
    },
    /// It has this many bytes of WAL after the timeline ended that the primary went on from.
    Diverged {
        /// The timeline that both have.
        timeline: u64,
        /// How much of it the primary never had, in bytes.
        bytes: u64,
    },
}

/// Everything one decision needs.
pub struct Facts {
    /// The application and its model.
    pub topology: Topology,
    /// Who watches the unit, as far as it is to be acted upon now.
    pub watchers: Watchers,
    /// This unit.
    pub unit: UnitName,
    /// Whether this unit leads its application in Juju's sense.
    pub leader: bool,
    /// The units whose members the cluster shall have.
    pub planned: u32,
    /// The units that Juju plans, whether they have joined or not.
    pub units: u32,
    /// What tells this charm's program from another's.
    pub program: String,
    /// The source of random values.
    pub seed: Seed,
    /// The options, or what is wrong with them.
    pub settings: Result<Settings, Vec<String>>,
    /// The settings with which this unit goes on while its options cannot be used.
    pub in_force: Option<Settings>,
    /// The plugins that the options switch on.
    pub plugins: Plugins,
    /// The peer relation; none before it exists.
    pub peer: Option<Peer>,
    /// The secret with the application's passwords; empty until the leader has made them.
    pub secret: SecretContent,
    /// The workload; none until its Pebble answers.
    pub container: Option<Container>,
    /// Whether Patroni can see the own pod; none when the Kubernetes API does not say.
    pub labelled: Option<bool>,
    /// The volume; none where it cannot be looked at.
    pub volume: Option<Volume>,
    /// How much of a volume that is nearly full is WAL, in bytes; none where that cannot be looked
    /// at.
    pub wal: Option<u64>,
    /// What is known about the own certificate.
    pub tls: Tls,
    /// The cluster as any member sees it; none when no member answers.
    pub cluster: Option<Cluster>,
    /// Patroni's dynamic configuration; read on the leader and on the primary only.
    pub dynamic: Option<Value>,
    /// The objects around the pods; looked at by the leader only, from time to time.
    pub objects: Option<Objects>,
    /// The stateful set, as far as an upgrade goes; looked at on the leader only.
    pub upgrade: Option<Upgrade>,
    /// Why this member does not stream although it runs and a member leads; none where it streams
    /// or leads.
    pub not_streaming: Option<NotStreaming>,
    /// The standby for which this primary keeps most WAL while it is away, where that is much;
    /// looked at from time to time.
    pub away: Option<Away>,
    /// The parameters with which the own server runs otherwise than asked; compared from time to
    /// time.
    pub unlike: Vec<Unlike>,
    /// The identifier of the cluster's data; read only while the own member is down.
    pub system: Option<u64>,
    /// The client relations; read on the leader only.
    pub clients: Vec<DatabaseRelation>,
    /// Whether there are client relations whose events this unit has not had yet: one that it does
    /// not know need not be gone.
    pub events_pending: bool,
    /// What the action that sets the private key asks for, or why it cannot be done.
    pub key: Option<Result<KeyRequest, KeyError>>,
    /// The parameters of the running action.
    pub parameters: serde_json::Map<String, Value>,
}

/// A standby that is away while WAL is kept for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Its unit.
    pub unit: UnitName,
    /// How much WAL is kept for it, in bytes.
    pub bytes: u64,
    /// For how long it has been away, in seconds.
    pub seconds: u64,
}

/// A parameter with which a server runs otherwise than asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// Its name.
    pub name: String,
    /// What the server has.
    pub runs: String,
    /// What it shall have.
    pub asked: String,
    /// Whether a restart of the server brings that, which Patroni has announced.
    pub restarts: bool,
}

/// The peer relation.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The relation.
    pub id: RelationId,
    /// The application's databag.
    pub app: Bag,
    /// This unit's databag.
    pub own: Bag,
    /// All units that have joined and are meant to be, this one in any case, sorted.
    pub units: Vec<UnitName>,
    /// Whether this unit goes.
    pub leaving: bool,
}

/// The workload's container.
pub struct Container {
    /// Whether the folders that PostgreSQL needs are there and are its own; not looked at once it
    /// has started.
    pub prepared: bool,
    /// The identifier of the data in it, if there are any; read only while the member is down.
    pub system: Option<u64>,
    /// Whether there is something in the data folder that is no whole cluster, while Patroni
    /// runs and does nothing about it: what a copy left that was broken off.
    pub unfinished: bool,
    /// Whether the data lie aside that this member had before it copied the primary anew.
    pub aside: bool,
    /// Whether the image has the library of the audit.
    pub audit: bool,
    /// Which program Patroni runs before it stops PostgreSQL, where there is one.
    pub before_stop: Option<String>,
    /// The text of `patroni.yml`.
    pub config: Option<SecretString>,
    /// What a hook that died left undone, as it says.
    pub marks: Marks,
    /// The text of the file from which a standby reads its password.
    pub passfile: Option<SecretString>,
    /// The CA of this member, as its files have it; none while it has no certificate.
    pub ca: Option<String>,
    /// Pebble's plan.
    pub plan: Plan,
    /// Whether the service runs.
    pub running: bool,
    /// How this member is; none when Patroni does not answer.
    pub health: Option<Health>,
}

/// Objects of Kubernetes that only the charm would make again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objects {
    /// Whether all services are there.
    pub services: bool,
    /// Whether those that Patroni made go with the application and are safe from clean-ups.
    pub adopted: bool,
}

/// A client relation.
pub struct DatabaseRelation {
    /// The relation.
    pub id: RelationId,
    /// The application at the other end, where it had to be asked.
    pub app: Option<AppName>,
    /// What it asks for, or what is wrong with it.
    pub request: Result<Request, BagError>,
    /// What was seen of its bag, as it is kept under `data`.
    pub seen: String,
    /// What this application wrote.
    pub offered: Bag,
    /// The roles that it asked for when it was served last, where that is known.
    pub former: Option<Vec<String>>,
    /// The password that was kept for it before, if any and if it has to be served.
    pub password: Option<SecretString>,
    /// What only a client of the legacy interface has; none for one of `database`.
    pub legacy: Option<Legacy>,
}

/// A client of `db` or `db-admin`: its credentials stand in the databags of its relation.
pub struct Legacy {
    /// The endpoint.
    pub(crate) endpoint: Endpoint,
    /// Extensions that it needs, each `name` or `name:schema`.
    pub extensions: Vec<String>,
    /// Whether it asks for roles, which the interface does not give.
    pub asks_roles: bool,
    /// Its units.
    pub units: Vec<UnitName>,
    /// The subnets that its units come from.
    pub subnets: BTreeSet<String>,
    /// What this unit wrote.
    pub own: Bag,
}

impl DatabaseRelation {
    /// What a person calls it.
    pub fn who(&self) -> String {
        match &self.app {
            Some(app) => format!("{app} (relation {})", self.id),
            None => format!("relation {}", self.id),
        }
    }

    /// Whether it asks for a user and a database, were it in vain.
    pub fn asks(&self) -> bool {
        let asks = |request: &Request| request.database.is_some() && request.entity_type.is_none();
        self.request.as_ref().is_ok_and(asks)
    }

    /// The database that it asks for.
    pub fn asked_database(&self) -> Option<&str> {
        self.request.as_ref().ok()?.database.as_deref()
    }

    /// The endpoint that it is related to.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.legacy.as_ref().map_or(Endpoint::Database, |legacy| legacy.endpoint)
    }

    /// Whether it has all that it asks for.
    pub fn is_served(&self, request: &Request) -> bool {
        let has = |key: &&str| databag::text(&self.offered, key).is_some();
        let same = |former: &Vec<String>| {
            let set = |roles: &[String]| roles.iter().cloned().collect::<BTreeSet<_>>();
            set(former) == set(&request.roles)
        };
        ["secret-user", "password"].iter().any(has)
            && databag::text(&self.offered, "database") == request.database.as_deref()
            && self.former.as_ref().is_none_or(same)
    }
}

impl Peer {
    /// The hosts that may be members; nonsense counts as none.
    pub fn endpoints(&self) -> Vec<String> {
        databag::json(&self.app, "endpoints").ok().flatten().unwrap_or_default()
    }

    /// Whether the cluster has been set up.
    pub fn initialised(&self) -> bool {
        databag::text(&self.app, "cluster_initialised").is_some()
    }
}

impl Container {
    /// Whether Patroni and PostgreSQL have started.
    pub fn started(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.state.is_started())
    }
}

impl Facts {
    /// The volume, if it is nearly full.
    pub(crate) fn full_volume(&self) -> Option<Volume> {
        self.volume.filter(|volume| volume.is_nearly_full())
    }

    /// What clients are to know of the own certificate after these steps; none before there are
    /// peers.
    pub(crate) fn trust(&self, steps: &Steps) -> Option<Trust> {
        self.peer.as_ref().map(|peer| Trust::new(&self.tls, steps, &peer.app))
    }

    /// Facts of an event that needs none.
    pub fn bare(topology: Topology, unit: UnitName) -> Self {
        Self {
            topology,
            watchers: Watchers::default(),
            unit,
            leader: false,
            planned: 0,
            units: 0,
            program: String::new(),
            seed: Seed::new([0; 32], passwords::LENGTH),
            settings: Err(Vec::new()),
            in_force: None,
            plugins: Plugins::default(),
            peer: None,
            secret: SecretContent::new(),
            container: None,
            labelled: None,
            volume: None,
            wal: None,
            tls: Tls::none(),
            cluster: None,
            dynamic: None,
            objects: None,
            upgrade: None,
            not_streaming: None,
            away: None,
            unlike: Vec::new(),
            system: None,
            clients: Vec::new(),
            events_pending: false,
            key: None,
            parameters: serde_json::Map::new(),
        }
    }

    /// The own host among the members.
    pub fn host(&self) -> String {
        self.topology.member(&self.unit)
    }

    /// Whether the cluster has been set up.
    pub fn initialised(&self) -> bool {
        self.peer.as_ref().is_some_and(Peer::initialised)
    }

    /// The CA of the other members: this one's or, before there is any, the one published to
    /// clients.
    pub fn authority(&self) -> Option<&str> {
        let own = self.container.as_ref().and_then(|container| container.ca.as_deref());
        own.or_else(|| databag::text(&self.peer.as_ref()?.app, PUBLISHED_CA))
    }

    /// The passwords, if all are there.
    pub fn passwords(&self) -> Option<Passwords> {
        Passwords::read(&self.secret)
    }
}

#[cfg(test)]
pub(crate) mod fixture;
