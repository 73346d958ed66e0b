//! Everything a decision needs to know.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use charm_kit::certificates::{KeyError, KeyRequest, Tls};
use charm_kit::credentials::Seed;
use charm_kit::watch::Watchers;
use juju_charm::{AppName, Bag, Hidden, RelationId, SecretContent, UnitName, Write};
use juju_interfaces::pgb_peers::{AppBag, UnitBag};
use juju_interfaces::postgresql_client::{Request, SEEN};
use juju_interfaces::{BagError, Endpoint, Endpoints};

use crate::databases::{DatabaseMap, DatabaseName};
use crate::options::Options;
use crate::settings::OptionsError;
use crate::state_keys::EFFECTIVE;
use pgbouncer::Version;
use pooler_agent::Trace;
use postgres::{Pause, RoleName};

/// What was gathered, as much as the event needs.
pub enum Facts {
    /// The event needs no facts.
    None,
    /// What the start hook needs.
    Start(Box<StartFacts>),
    /// What the admin console's action needs.
    Console(Box<ConsoleFacts>),
    /// How the agent's last pause went, or why that cannot be said.
    LastPause(Box<Result<Option<Trace>, String>>),
    /// What the action that sets the private key asks for, or why it cannot be done.
    Key(Box<Result<KeyRequest, KeyError>>),
    /// What those who watch the unit need.
    Watchers(Box<(Common, Watchers)>),
    /// Everything, for one reconciliation.
    Full(Box<FullFacts>),
}

/// What the start hook needs: it only makes a first configuration.
pub struct StartFacts {
    pub(crate) common: Common,
    /// The container's Pebble answers.
    pub(crate) container: bool,
    /// The container has a configuration.
    pub(crate) configured: bool,
    pub(crate) peers: Option<(RelationId, AppBag)>,
}

/// What the action that shows the admin console's credentials needs.
pub struct ConsoleFacts {
    pub(crate) common: Common,
    /// The application's secret; `None` where it was not written yet.
    pub(crate) secret: Option<SecretContent>,
}

/// What every decision knows.
#[derive(Clone)]
pub struct Common {
    pub(crate) unit: UnitName,
    pub(crate) model: String,
    pub(crate) leader: bool,
    pub(crate) options: Result<Options, OptionsError>,
    /// Why the options have other further settings than were asked for.
    pub(crate) refused: Option<OptionsError>,
    /// How many PgBouncer processes the unit runs.
    pub(crate) processes: NonZeroU32,
    /// What tells this charm's program from another's.
    pub(crate) program: String,
}

/// Everything, for one reconciliation.
#[cfg_attr(test, derive(Clone))]
pub struct FullFacts {
    pub(crate) common: Common,
    pub(crate) seed: Seed,
    pub(crate) peers: Option<Peers>,
    /// The other units, by number.
    pub(crate) others: BTreeSet<u32>,
    /// The application's secret; `None` where it was not written yet.
    pub(crate) secret: Option<SecretContent>,
    pub(crate) backend: Option<Backend>,
    /// The clients; none on a unit that does not lead.
    pub(crate) clients: Vec<DatabaseRelation>,
    /// The legacy clients, on every unit.
    pub(crate) legacy: Vec<LegacyRelation>,
    /// An application is related, and this unit has not had the events of its relation yet; on the
    /// leader.
    pub(crate) events_pending: bool,
    /// PostgreSQL's extensions, read only where a legacy client asks for one.
    pub(crate) extensions: BTreeSet<String>,
    /// The container; `None` where its Pebble does not answer.
    pub(crate) workload: Option<Workload>,
    /// The Service, on the leader.
    pub(crate) service: Service,
    /// What was last made effective in the container, from the controller's state.
    pub(crate) effective: Effective,
    /// The time of day, in seconds since 1970.
    pub(crate) now: u64,
    /// For which map, by its digest, the leader waits since when.
    pub(crate) barrier: Option<(String, u64)>,
    /// This unit's certificate for its clients.
    pub(crate) tls: Tls,
    /// Who watches the unit; read where the previous leader may not have written to them.
    pub(crate) watchers: Watchers,
    /// This unit is being removed: the relations that end for it go on for the others.
    pub(crate) leaving: bool,
    /// The first process that an operator has paused, and what it holds clients back from; looked
    /// for from time to time.
    pub(crate) paused: Option<(u32, Pause)>,
    /// Whether the last look found one.
    pub(crate) was_paused: bool,
    /// The agent's own pause; looked for while PostgreSQL does not answer.
    pub(crate) held: Option<Trace>,
}

impl FullFacts {
    /// The running PgBouncer's version; that of the image where it could not be queried.
    pub(crate) fn version(&self) -> Version {
        let known =
            self.workload.as_ref().and_then(|workload| workload.version.or(workload.reported));
        known.unwrap_or(Version::TRIXIE)
    }
}

/// The peer relation.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Peers {
    pub(crate) id: RelationId,
    pub(crate) app: AppBag,
    /// Which client relation uses which database, as the application's bag says.
    pub(crate) databases: Option<DatabaseMap>,
    /// Further databases that privileged clients may read, as it says.
    pub(crate) readonly: Vec<DatabaseName>,
    /// The application's bag as it is.
    pub(crate) app_bag: Bag,
    /// The own unit's bag, parsed.
    pub(crate) own: UnitBag,
    /// The own unit's bag as it is, for the flags of relations it leaves.
    pub(crate) own_bag: Bag,
    /// The digests of the other units' maps, where a client waits for them.
    pub(crate) digests: BTreeMap<UnitName, Option<String>>,
}

/// The relation to PostgreSQL.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Backend {
    pub(crate) id: RelationId,
    /// The own request is written, where that was read.
    pub(crate) requested: bool,
    /// A unit of PostgreSQL is in the relation.
    pub(crate) populated: bool,
    /// PostgreSQL's application bag could not be used.
    pub(crate) problem: Option<BagError>,
    /// PostgreSQL offers an address and credentials.
    pub(crate) offered: bool,
    /// The credentials and addresses, on the leader.
    pub(crate) login: Option<Login>,
    /// The CA of its certificates, in PEM, if it offers TLS.
    pub(crate) ca: Option<String>,
    /// PostgreSQL's version as it offers it.
    pub(crate) version: Option<String>,
    /// PostgreSQL's version if it let us in, on the leader.
    pub(crate) server: Option<String>,
    /// It answers logins, if only to refuse them.
    pub(crate) answers: bool,
    /// Its connections, where it reported them.
    pub(crate) connection_budget: Option<ConnectionBudget>,
    /// It knows the user who looks passwords up.
    pub(crate) knows_lookup: bool,
    /// The text of the function by which passwords are looked up, if it is there and callable.
    pub(crate) lookup: Option<String>,
    /// The roles on the server that this charm made, where the server was queried.
    pub(crate) owned_roles: Option<Vec<RoleName>>,
    /// Its databases, read only where a client may use them all.
    pub(crate) databases: Option<Vec<DatabaseName>>,
}

/// The connections of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionBudget {
    /// `max_connections`.
    pub(crate) most: u32,
    /// Those of them that clients may use.
    pub(crate) for_clients: u32,
}

/// Where and as which user PostgreSQL is used.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: RoleName,
    /// The user who looks passwords up, named after it.
    pub(crate) auth_user: RoleName,
    pub(crate) password: Hidden,
    pub(crate) primary: Endpoint,
    /// Servers for reading only.
    pub(crate) replicas: Vec<Endpoint>,
}

/// A client of the relation `database`.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct DatabaseRelation {
    pub(crate) id: RelationId,
    pub(crate) app: AppName,
    pub(crate) request: Result<Request, BagError>,
    /// The client's bag as the text for `data`.
    pub(crate) echo: String,
    /// What we wrote for it.
    pub(crate) own: Bag,
    /// Its password, where it was given one and it is needed again.
    pub(crate) password: Option<Hidden>,
}

/// A legacy client.
#[derive(Clone)]
pub(crate) struct LegacyRelation {
    pub(crate) id: RelationId,
    pub(crate) access: Access,
    pub(crate) app: AppName,
    pub(crate) request: juju_interfaces::pgsql::Request,
    /// Its units.
    pub(crate) units: BTreeSet<UnitName>,
    /// Where they connect from.
    pub(crate) subnets: BTreeSet<String>,
    /// What the application wrote for it, on the leader.
    pub(crate) own_app: Bag,
    /// What this unit wrote for it.
    pub(crate) own_unit: Bag,
}

/// The rights of a legacy client, which follow from its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// `db`: use one database.
    Database,
    /// `db-admin`: everything.
    Admin,
}

impl Access {
    pub(crate) const ALL: [Self; 2] = [Self::Database, Self::Admin];

    /// The endpoint.
    pub(crate) fn endpoint(self) -> crate::endpoint::Endpoint {
        match self {
            Self::Database => crate::endpoint::Endpoint::Db,
            Self::Admin => crate::endpoint::Endpoint::DbAdmin,
        }
    }
}

/// What runs in the container.
#[derive(Clone, Default)]
pub(crate) struct Workload {
    /// What Pebble's plan says, unless what is remembered of it holds.
    pub(crate) plan: Option<pebble_client::Plan>,
    /// The services in the plan.
    pub(crate) planned: BTreeSet<String>,
    /// Services that run.
    pub(crate) active: BTreeSet<String>,
    /// The files that the charm writes, as they are, by path.
    pub(crate) files: BTreeMap<String, Hidden>,
    /// User lists that a hook left behind which died before it could record their name.
    pub(crate) orphaned_files: Vec<String>,
    /// PgBouncer's version, where its program printed it.
    pub(crate) version: Option<Version>,
    /// The version that was last reported to Juju.
    pub(crate) reported: Option<Version>,
}

/// What was made effective in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    /// Digest of the configuration and the user list that the processes have read.
    pub(crate) ini: String,
    /// The port on which the processes listen, as text.
    pub(crate) port: String,
    /// Digest of the layer by which Pebble last started the services.
    pub(crate) layer: String,
    /// The further settings in it, where they are known.
    pub(crate) settings: Option<String>,
}

/// The Service in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    /// It was not read.
    Unread,
    /// The charm may not read it.
    Forbidden,
    /// The Kubernetes API did not answer.
    Unreachable,
    /// There is none.
    Absent,
    /// It is there.
    Present(ServiceView),
}

/// What matters of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceView {
    /// Kubernetes' word for its type.
    pub(crate) kind: String,
    pub(crate) port: u16,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Where clients connect; `None` until the cluster has assigned it.
    pub(crate) endpoints: Option<Endpoints>,
    /// A connection to every endpoint succeeds.
    pub(crate) connectable: bool,
}

impl Effective {
    /// The text for the controller's state.
    pub(crate) fn to_text(&self) -> String {
        let text = format!("{} {} {}", self.ini, self.port, self.layer);
        self.settings.as_ref().map_or(text.clone(), |settings| format!("{text} {settings}"))
    }

    /// Remembers it.
    pub(crate) fn write(&self) -> Write {
        Write::State(EFFECTIVE.to_owned(), Some(self.to_text()))
    }

    /// Reads that text; anything else counts as nothing effective.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.splitn(4, ' ').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (ini, port, layer) = (next(), next(), next());
        Self { ini, port, layer, settings: parts.next() }
    }
}

/// The key of the peers' application bag with the clients that have credentials but not all that
/// goes with them on PostgreSQL.
pub(crate) const OWED: &str = "owed";

impl Peers {
    /// Whether a client is one of those. Where that cannot be read it may be any.
    pub(crate) fn owes(&self, id: RelationId) -> bool {
        let ids: Result<Option<Vec<u32>>, _> = juju_charm::databag::json(&self.app_bag, OWED);
        ids.map_or(true, |ids| ids.is_some_and(|ids| ids.contains(&id.0)))
    }

    /// Whether this unit said that it leaves the relation.
    pub(crate) fn leaves(&self, endpoint: &str, id: RelationId) -> bool {
        self.own_bag.contains_key(&juju_interfaces::pgb_peers::departing_key(endpoint, id))
    }
}

impl Backend {
    /// Whether the server says that it has no such role of this charm's.
    pub(crate) fn lost(&self, user: &RoleName) -> bool {
        self.owned_roles.as_ref().is_some_and(|roles| !roles.contains(user))
    }
}

impl DatabaseRelation {
    /// Whether it was given credentials.
    pub(crate) fn granted(&self) -> bool {
        self.own.contains_key("secret-user") || self.own.contains_key("username")
    }

    /// The roles that it asked for when it was served last, if they are others than today's.
    pub(crate) fn former_roles(&self) -> Option<BTreeSet<String>> {
        let then: Bag = juju_charm::databag::json(&self.own, SEEN).ok()??;
        let then: BTreeSet<String> = Request::parse(&then).ok()?.roles.into_iter().collect();
        let now = self.request.as_ref().ok().filter(|request| request.database.is_some())?;
        let differ = now.roles.iter().cloned().collect::<BTreeSet<_>>() != then;
        (differ && self.granted()).then_some(then)
    }
}
