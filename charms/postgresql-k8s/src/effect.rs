//! What the charm does to the world.

mod shown;

use std::time::Duration;

use charm_kit::certificates::{Files, GivenKey};
use juju_charm::{Bag, RelationId, SecretString, Status, Write};
use pebble_client::Layer;
use postgres::{ConnectOptions, DatabaseName, ExtraRoles, Owner, RoleName, Salt};
use serde_json::Value;

use crate::passwords::Passwords;
use crate::status::Expected;
use crate::topology::POSTGRESQL_PORT;

/// One outside effect; applying it twice is the same as once.
#[derive(Clone)]
pub enum Effect {
    /// A write that the framework has ready.
    Juju(Write),
    /// Logs why a client cannot be served and shows it in the status.
    Refuse {
        /// The line for the log.
        line: String,
        /// The status.
        status: Status,
    },
    /// Makes the two services in front of the primary and the replicas.
    ApplyServices,
    /// Shows these pods to Patroni.
    LabelPods(Vec<String>),
    /// Removes Patroni's objects of an earlier deployment of this name.
    RemoveOrphanedObjects,
    /// Makes the folders that PostgreSQL needs.
    PrepareStorage,
    /// Asks this relation for a certificate of this unit, for this key or for one that it makes.
    RequestCertificate(RelationId, Option<GivenKey>),
    /// Writes this unit's key, its certificate and the CA.
    PushTls(Box<Files>),
    /// Removes them, and what they were asked for with.
    RemoveTls,
    /// Publishes to a client whether the servers use TLS, and their CA.
    ShareTls {
        /// The relation.
        id: RelationId,
        /// The issuer's certificate, with TLS.
        ca: Option<String>,
        /// Whether it reads this from a secret.
        in_secret: bool,
    },
    /// Writes the program that Patroni runs before it stops PostgreSQL, and which one it is.
    PushBeforeStop(String),
    /// Writes `patroni.yml`.
    PushConfig(SecretString),
    /// Lets Patroni read `patroni.yml` again.
    Reload,
    /// Has a standby log in at the primary with this password.
    RefreshPassfile(SecretString),
    /// Lays the layer over the plan and starts what does not run.
    StartWorkload(Box<Layer>),
    /// Has Patroni copy the primary anew. What the primary has given up of what it kept goes before.
    CopyAnew(CopyAnew),
    /// Removes the data that were kept while the primary was copied.
    RemoveAside,
    /// Waits until this member's PostgreSQL is up and follows, within a bound; where it does not
    /// come up, this is the status.
    AwaitMember(Status),
    /// Makes the system users, roles and privileges.
    SetUpCluster {
        /// The user to connect as, and the passwords of the users to make.
        passwords: Passwords,
        /// Salts of the verifiers of `backup` and `monitoring`.
        salts: [Salt; 2],
        /// The CA of the servers.
        ca: Option<String>,
    },
    /// Merges this into Patroni's dynamic configuration.
    PatchDynamic {
        /// What to merge.
        patch: Value,
        /// The password of the REST API.
        password: SecretString,
    },
    /// Makes and drops extensions in every database.
    SwitchExtensions(Box<SwitchExtensions>),
    /// Gives a client its user, its database and the way to them.
    ServeClient(Box<ServeClient>),
    /// Writes another host for reading into the connection strings in a client's secret.
    MoveReaders {
        /// The relation.
        id: RelationId,
        /// The host.
        host: String,
    },
    /// Removes a client's user and its secret; the data stay.
    RemoveClient {
        /// The peer relation, whose bag has the relation among those of which there are users.
        peer: RelationId,
        /// The relation.
        id: RelationId,
        /// The user.
        user: RoleName,
        /// The way in.
        login: SuperuserLogin,
    },
    /// Closes the databases that are no client's, and revokes clients' memberships in other users,
    /// where there are any.
    GuardServer {
        /// The way in.
        login: SuperuserLogin,
    },
    /// Changes the password of one of the charm's own users.
    SetPassword {
        /// The user.
        user: RoleName,
        /// Its new password.
        password: SecretString,
        /// The salt of the verifier.
        salt: Salt,
        /// The way in as it is now.
        login: SuperuserLogin,
    },
    /// Gives the charm's own users the passwords that are kept, where they have others.
    ConfirmPasswords(Box<Confirmation>),
    /// Gives this member's Patroni the command of the running action, which fails with it.
    RunPatroniCommand {
        /// The command.
        command: PatroniCommand,
        /// The password of the REST API.
        password: SecretString,
    },
    /// Says what a switchover would cut.
    ShowOpenTransactions {
        /// The way in.
        login: SuperuserLogin,
    },
    /// Lets another member lead, as soon as one can and within a bound.
    HandOver {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Waits until this member follows, within a bound, and reports it to the other units.
    ReportTimeline(RelationId),
    /// A step of a rolling upgrade.
    Upgrade(Roll),
    /// Gives the objects that Patroni made to the owner of the pods, so that they go with it.
    AdoptObjects,
    /// Takes the primary's label from every other pod of the cluster.
    TakePrimaryLabel,
    /// Reports to clients that connections to another primary are of no use any more.
    ReportToClients,
    /// Restarts the members that wait for it, one after another and the primary last.
    RestartMembers {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Waits, within a bound, for what Patroni makes of its configuration, and reports to the
    /// leader when a restart is due.
    ReportPendingRestart {
        /// The peer relation.
        id: RelationId,
        /// Whether there is no other unit.
        alone: bool,
    },
    /// Has the parameters compared again with those that were asked for.
    CompareAgain,
    /// Reports the version and the ports of the workload to Juju.
    ReportVersionAndPorts,
    /// Reports the status from how the cluster is once the other effects are true.
    ShowStatus(Expected),
}

impl From<Write> for Effect {
    fn from(write: Write) -> Self {
        Self::Juju(write)
    }
}

/// What the leader does for a rolling upgrade.
#[derive(Clone)]
pub enum Roll {
    /// Says from which pod on Kubernetes may replace them by such of the newest template.
    SetPartition {
        /// The number of that pod's unit.
        partition: u32,
        /// The version of the stateful set that this was decided on.
        version: String,
        /// Whether an action waits for it, which fails with it.
        of_action: bool,
    },
    /// Hands the lead to another member, because the leader's pod is to be replaced.
    SwitchOver {
        /// Who leads now.
        leader: String,
        /// Who shall lead.
        candidate: String,
        /// The password of the REST API.
        password: SecretString,
        /// Whether an action waits for it, which fails with it.
        of_action: bool,
    },
    /// Deletes a pod, so that Kubernetes makes another.
    ReplacePod(String),
    /// Says what an upgrade waits for.
    Show {
        /// The status.
        status: Status,
        /// Whether members are about to be well, so that the hook looks again within a bound.
        soon: bool,
    },
}

impl From<Roll> for Effect {
    fn from(roll: Roll) -> Self {
        Self::Upgrade(roll)
    }
}

/// How a standby copies the primary anew.
#[derive(Clone)]
pub struct CopyAnew {
    /// The password of the REST API.
    pub password: SecretString,
    /// The way in at the primary.
    pub login: SuperuserLogin,
    /// Whether the data that are here stay until the copy is whole.
    pub keeps: bool,
}

/// What a member does for an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatroniCommand {
    /// Hands the lead to another member.
    Switchover {
        /// Who leads now.
        leader: String,
        /// The member that shall lead, or none to let Patroni choose.
        candidate: Option<String>,
    },
    /// Leads although it may lack commits.
    FailOver,
    /// Restarts its PostgreSQL.
    Restart,
    /// Gives up its data and copies the primary's.
    Reinitialise,
}

/// What the server's passwords are compared with.
#[derive(Clone)]
pub struct Confirmation {
    /// The passwords that are kept.
    pub passwords: Passwords,
    /// The salts of the verifiers.
    pub salts: [Salt; 5],
    /// The CA of the servers.
    pub ca: Option<String>,
    /// Whether an action waits for it, which fails with it.
    pub of_action: bool,
}

/// A client's user and database.
#[derive(Clone)]
pub struct ServeClient {
    /// The relation.
    pub id: RelationId,
    /// What a person calls the client.
    pub who: String,
    /// What is said where it cannot be served.
    pub failed: &'static str,
    /// What a client of the legacy interface reads; none for one of `database`.
    pub bag: Option<Bag>,
    /// The user.
    pub user: RoleName,
    /// Its password.
    pub password: SecretString,
    /// The salt of the verifier.
    pub salt: Salt,
    /// What it asked for.
    pub roles: ExtraRoles,
    /// The roles that it was made a member of before.
    pub former: Vec<RoleName>,
    /// The database.
    pub database: DatabaseName,
    /// Whether it takes over what is in the database.
    pub owner: Owner,
    /// Whether it reads credentials from a secret.
    pub in_secret: bool,
    /// The host at which it reads.
    pub read_only_host: String,
    /// What was seen of its bag.
    pub seen: String,
    /// The way in.
    pub login: SuperuserLogin,
    /// The CA of the servers, as the client should have it.
    pub ca: Option<String>,
    /// Whether it reads that from a secret.
    pub tls_in_secret: bool,
}

/// Extensions to make and to drop.
#[derive(Clone)]
pub struct SwitchExtensions {
    /// The peer relation.
    pub peer: RelationId,
    /// Those to make, in this order.
    pub on: Vec<&'static str>,
    /// Those to drop, in the opposite order.
    pub off: Vec<&'static str>,
    /// The plugins that are on then.
    pub plugins: String,
    /// The way in.
    pub login: SuperuserLogin,
}

/// How the charm itself logs in, as the superuser.
#[derive(Clone)]
pub struct SuperuserLogin {
    /// The password.
    pub password: SecretString,
    /// The CA of the servers; none while they serve without TLS.
    pub ca: Option<String>,
}

/// The charm's own superuser.
pub(crate) const OPERATOR: RoleName = RoleName::constant("operator");
/// The other, which can mend the first.
pub(crate) const BACKUP: RoleName = RoleName::constant("backup");

/// How long the server may take to let the charm in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl SuperuserLogin {
    /// The way to the server at a host.
    pub(crate) fn at(&self, host: String) -> ConnectOptions {
        ConnectOptions {
            host,
            port: POSTGRESQL_PORT,
            user: OPERATOR,
            password: self.password.clone(),
            database: DatabaseName::constant("postgres"),
            timeout: CONNECT_TIMEOUT,
            ca: self.ca.clone(),
        }
    }
}
