//! What a decision wants done.

use charm::{AppName, Changes, Own, RelationId, SecretContent, SecretId, Status};
use interfaces::Endpoints;
use postgres::{DatabaseName, ExtraRoles, Owner, RoleName};

use crate::facts::Effective;
use crate::options::Expose;
use crate::password::Password;
use pgbouncer::Version;

/// One outside effect. Each is the same when done twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Shows a status while the hook goes on.
    Announce(Status),
    /// Warns in the log.
    Warn(String),
    /// Changes an own databag.
    Bag(RelationId, Own, Changes),
    /// Makes the application's secret have this content.
    PeerSecret(SecretContent),
    /// Makes the user and the functions that look passwords up.
    Initialise(Box<Initialise>),
    /// Takes them away again, and the clients' users, as far as PostgreSQL still lets us.
    RemoveAuth(RoleName, Vec<DatabaseName>, Vec<RoleName>),
    /// Makes folders in the container.
    MakeDirs(Vec<String>),
    /// Writes files in the container, in this order.
    Push(Vec<File>),
    /// Removes a file in the container.
    RemoveFile(String),
    /// Adds the layer and starts what has to run, in one change.
    Replan(Box<pebble::Layer>),
    /// Makes running processes read their configuration again.
    Reload(Vec<String>),
    /// Restarts one process.
    Restart(String),
    /// Remembers what is effective in the container now.
    Remember(Effective),
    /// The same, once every process that was told says that it has taken it.
    Confirm(Box<Confirm>),
    /// Tells Juju the workload's version.
    TellVersion(Version),
    /// Remembers for which map the leader waits, and since when.
    RememberBarrier(String, u64),
    /// Forgets it: no client waits.
    ForgetBarrier,
    /// Applies the Service.
    ApplyService(Box<ServiceSpec>),
    /// Makes a client's user and database and publishes the credentials.
    Grant(Box<Grant>),
    /// Writes a client's connection strings again.
    Uris(Box<Uris>),
    /// Makes the user and database of a client of the old interface, then writes the bags.
    LegacyGrant(Box<LegacyGrant>),
    /// Removes a client's user, and the lookup in a database that nobody uses any more.
    RemoveClient(RelationId, RoleName, Option<(DatabaseName, RoleName)>),
    /// Removes users that a hook made which did not come to its end, and the lookups of this
    /// user in all but these databases.
    RemoveStrays(Vec<RoleName>, RoleName, Vec<String>),
    /// Removes the secret of a client whose user went with PostgreSQL.
    ForgetClient(RelationId),
    /// Makes a key, keeps it beside its request and asks for the certificate.
    RequestCertificate(RelationId),
    /// Makes the unit's secret have this content.
    KeepCertificate(SecretContent),
    /// Removes that secret: there is no issuer any more.
    ForgetCertificate,
    /// Tells a client who vouches for the poolers.
    ShareTls { id: RelationId, ca: Option<String>, in_secret: bool },
    /// Removes a revision of an own secret.
    RemoveRevision(SecretId, u32),
    /// Sets the running action's results.
    Results(Vec<(&'static str, Password)>),
    /// Marks the running action failed.
    FailAction(String),
}

/// The user and the functions that look passwords up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Initialise {
    pub(crate) auth_user: RoleName,
    /// The user whom PostgreSQL has given us.
    pub(crate) owner: RoleName,
    pub(crate) password: Password,
    pub(crate) salt: [u8; 16],
    /// Where the lookup goes, as far as the databases exist.
    pub(crate) databases: Vec<DatabaseName>,
    /// Where an older charm may have left it.
    pub(crate) leftovers: Vec<DatabaseName>,
    /// The superusers that it may tell about.
    pub(crate) superusers: Vec<RoleName>,
}

/// What processes were told, and how they are asked for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Confirm {
    pub(crate) effective: Effective,
    /// What is remembered where a process has not taken it.
    pub(crate) owed: Effective,
    pub(crate) port: u16,
    /// Somebody who may see statistics.
    pub(crate) user: String,
    pub(crate) password: Password,
    /// The certificate that they have to show, if they serve with TLS.
    pub(crate) certificate: Option<String>,
    /// Each process, by number, and its settings.
    pub(crate) processes: Vec<(u32, pgbouncer::Settings)>,
}

/// A file in the container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) path: String,
    /// The text; hidden, because some are secret.
    pub(crate) content: Password,
    pub(crate) mode: u32,
    /// The user and group, `None` for Pebble's own.
    pub(crate) owner: Option<&'static str>,
}

/// The Service as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceSpec {
    pub(crate) name: String,
    pub(crate) app: AppName,
    pub(crate) expose: Expose,
    pub(crate) port: u16,
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
    /// Where to look whether it works, and what to report while it does not.
    pub(crate) probe: Option<(Endpoints, Status)>,
}

/// A client's user and database.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) user: RoleName,
    pub(crate) password: Password,
    pub(crate) salt: [u8; 16],
    pub(crate) roles: ExtraRoles,
    /// The roles that it was made a member of before.
    pub(crate) former: Vec<RoleName>,
    /// What a person calls the client.
    pub(crate) who: String,
    /// The user whom PostgreSQL has given us, with whom this one goes.
    pub(crate) maker: RoleName,
    pub(crate) database: DatabaseName,
    pub(crate) owner: Owner,
    pub(crate) lookup: Lookup,
    /// The relation to the peers, whose bag says whether this is owed.
    pub(crate) peers: Option<RelationId>,
    /// The client has credentials already: nobody else would make this again.
    pub(crate) again: bool,
}

/// A client's account and what is published of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub(crate) relation: RelationId,
    pub(crate) account: Account,
    pub(crate) uris: Uris,
    /// The plain part of what is published.
    pub(crate) publish: Changes,
    /// The client reads secrets; otherwise its password goes where the interface's old form
    /// has it, in the bag.
    pub(crate) secret: bool,
}

/// A lookup that has to be made, or made anew, for a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) auth_user: RoleName,
    /// In these databases; in none where one lookup serves them all already.
    pub(crate) databases: Vec<DatabaseName>,
    /// The superusers that it may tell about.
    pub(crate) superusers: Vec<RoleName>,
}

/// The account of a client of the old interface.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LegacyGrant {
    pub(crate) relation: RelationId,
    pub(crate) endpoint: &'static str,
    pub(crate) account: Account,
    /// What is written once they are there.
    pub(crate) bags: Vec<(Own, Changes)>,
}

/// A client's connection strings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Uris {
    pub(crate) relation: RelationId,
    pub(crate) database: String,
    /// The database for reading only, if the client asked for connection strings to it.
    pub(crate) read_only: Option<String>,
    pub(crate) endpoints: Endpoints,
}

impl Uris {
    /// The connection string, and the one for reading only if the client asked for it.
    pub(crate) fn render(&self, user: &str, password: &str) -> (String, Option<String>) {
        let uri = |database: &str| {
            let (endpoints, database) = (&self.endpoints, encoded(database));
            format!("postgresql://{user}:{password}@{endpoints}/{database}")
        };
        (uri(&self.database), self.read_only.as_deref().map(uri))
    }
}

/// A database's name inside a URI.
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let encode = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(encode).collect()
}
