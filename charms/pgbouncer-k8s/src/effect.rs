//! What a decision wants done.

mod shown;

use charm_kit::certificates::GivenKey;
use juju_charm::{AppName, Changes, Hidden, Own, RelationId, Write};
use juju_interfaces::Endpoints;
use postgres::{DatabaseName, Owner, RoleName};

use crate::databases;
use crate::endpoint::Endpoint;
use crate::facts::Effective;
use crate::options::Expose;
use crate::validate::GrantRequest;

/// One outside effect. Each is the same when done twice.
#[derive(Clone, PartialEq)]
pub enum Effect {
    /// A write that the framework has ready.
    Juju(Write),
    /// Makes the user and the functions that look passwords up.
    Initialise(Box<Initialise>),
    /// Makes those functions anew.
    InstallLookup(Box<Lookup>),
    /// Takes them away again, and the clients' users, as far as PostgreSQL still lets us.
    RemoveAuth {
        /// The user who looks passwords up.
        user: RoleName,
        /// The databases that may have a lookup.
        databases: Vec<DatabaseName>,
        /// The clients' users.
        clients: Vec<RoleName>,
    },
    /// Changes the container.
    Container(ContainerEffect),
    /// Remembers what is effective, once every reloaded process has confirmed it.
    Confirm(Box<Confirm>),
    /// Applies the Service.
    ApplyService(Box<ServiceSpec>),
    /// Makes a client's user and database and publishes the credentials.
    Grant(Box<Grant>),
    /// Writes a client's connection strings again.
    UpdateUris(Box<Uris>),
    /// Makes the user and database of a legacy client, then writes the bags.
    GrantLegacy(Box<LegacyGrant>),
    /// Removes a client's user, and the lookup in a database that no client uses any more.
    RemoveClient {
        /// The relation.
        relation: RelationId,
        /// The user.
        user: RoleName,
        /// The database, and the user who looks passwords up in it.
        lookup: Option<(DatabaseName, RoleName)>,
    },
    /// Removes users that a hook made which did not come to its end, and the lookups of this
    /// user in all but these databases.
    RemoveOrphanedUsers {
        /// The users.
        users: Vec<RoleName>,
        /// The user who looks passwords up.
        auth_user: RoleName,
        /// The databases whose lookups stay.
        kept: Vec<DatabaseName>,
    },
    /// Keeps this key, or one that it makes, beside its request and asks for the certificate.
    RequestCertificate(RelationId, Option<GivenKey>),
    /// Publishes the CA of the poolers to a client.
    ShareTls {
        /// The relation.
        id: RelationId,
        /// The issuer's certificate, with TLS.
        ca: Option<String>,
        /// Whether the client reads this from a secret.
        in_secret: bool,
    },
}

/// An effect in the container.
#[derive(Clone, PartialEq)]
pub enum ContainerEffect {
    /// Makes folders.
    MakeDirs(Vec<String>),
    /// Writes files, in this order.
    PushFiles(Vec<File>),
    /// Writes the agent's program, then which one it is.
    PushAgent(File),
    /// Removes a file.
    RemoveFile(String),
    /// Adds the layer and starts what has to run, in one change.
    Replan(Box<pebble_client::Layer>),
    /// Makes running processes read their configuration again.
    Reload(Vec<String>),
    /// Restarts one process.
    Restart(String),
}

impl From<Write> for Effect {
    fn from(write: Write) -> Self {
        Self::Juju(write)
    }
}

/// The user and the functions that look passwords up.
#[derive(Debug, Clone, PartialEq)]
pub struct Initialise {
    pub(crate) auth_user: RoleName,
    /// The user that PostgreSQL has given us.
    pub(crate) owner: RoleName,
    pub(crate) password: Hidden,
    pub(crate) salt: [u8; 16],
    /// Where the lookup goes, as far as the databases exist.
    pub(crate) databases: Vec<DatabaseName>,
    /// Where an older charm may have left it.
    pub(crate) stale_lookups: Vec<DatabaseName>,
    /// The superusers that it may return.
    pub(crate) superusers: Vec<RoleName>,
}

/// What processes have to confirm, and the credentials to query them.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub(crate) effective: Effective,
    /// What is remembered where a process has not taken it.
    pub(crate) owed: Effective,
    pub(crate) port: u16,
    /// A user that may read statistics.
    pub(crate) user: String,
    pub(crate) password: Hidden,
    /// The certificate that they have to show, if they serve with TLS.
    pub(crate) certificate: Option<String>,
    /// Whether they read a user list. One that was started without refuses every login.
    pub(crate) listed: bool,
    /// Each process, by number, and its settings.
    pub(crate) processes: Vec<(u32, pgbouncer::Settings)>,
}

/// A file in the container.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub(crate) path: String,
    /// The text; hidden, because some are secret.
    pub(crate) content: Hidden,
    pub(crate) mode: u32,
    /// The user and group, `None` for Pebble's own.
    pub(crate) owner: Option<&'static str>,
}

/// The Service as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    pub(crate) name: String,
    pub(crate) app: AppName,
    pub(crate) expose: Expose,
    pub(crate) port: u16,
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

/// A client's user and database.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) request: GrantRequest,
    pub(crate) password: Hidden,
    pub(crate) salt: [u8; 16],
    /// What a person calls the client.
    pub(crate) who: String,
    /// The user that PostgreSQL has given us, with which this one is removed.
    pub(crate) grantor: RoleName,
    pub(crate) owner: Owner,
    pub(crate) lookup: Lookup,
    /// The relation to the peers, whose bag says whether this is owed.
    pub(crate) peers: Option<RelationId>,
    /// The client has credentials already, so no later hook would make this again.
    pub(crate) recreated: bool,
}

/// A client's account and what is published of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    pub(crate) relation: RelationId,
    pub(crate) account: Account,
    pub(crate) uris: Uris,
    /// The plain part of what is published. The password goes into a secret or, where the client
    /// reads none, where the interface's old form has it, in the bag.
    pub(crate) publish: Changes,
}

/// A lookup that has to be made, or made anew, for a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub(crate) auth_user: RoleName,
    /// In these databases; in none where one lookup serves them all already.
    pub(crate) databases: Vec<DatabaseName>,
    /// The superusers that it may return.
    pub(crate) superusers: Vec<RoleName>,
}

/// The account of a legacy client.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyGrant {
    pub(crate) relation: RelationId,
    pub(crate) endpoint: Endpoint,
    pub(crate) account: Account,
    /// What is written once they are there.
    pub(crate) bags: Vec<(Own, Changes)>,
}

/// A client's connection strings.
#[derive(Debug, Clone, PartialEq)]
pub struct Uris {
    pub(crate) relation: RelationId,
    pub(crate) database: databases::DatabaseName,
    /// The database for reading only, if the client asked for connection strings to it.
    pub(crate) read_only: Option<databases::DatabaseName>,
    pub(crate) endpoints: Endpoints,
}

impl Uris {
    /// The connection string, and the one for reading only if the client asked for it.
    pub(crate) fn render(&self, user: &str, password: &str) -> (String, Option<String>) {
        // Names of databases, users and passwords that the charm makes need no encoding.
        let uri = |database: &databases::DatabaseName| {
            format!("postgresql://{user}:{password}@{}/{database}", self.endpoints)
        };
        (uri(&self.database), self.read_only.as_ref().map(uri))
    }
}
