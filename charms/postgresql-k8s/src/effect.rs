//! What the charm does to the world.

mod shown;

use charm::{Changes, Level, Own, RelationId, SecretContent, SecretId, SecretString};
use patroni::Cluster;
use pebble::Layer;
use postgres::{DatabaseName, ExtraRoles, Owner, RoleName, Salt};
use serde_json::Value;

use crate::passwords::Passwords;
use crate::tls::Files;
use crate::topology::Topology;

/// One outside effect; applying it twice is the same as once.
pub enum Effect {
    /// Writes a line into the model's log.
    Log(Level, String),
    /// Logs why a client cannot be served and shows it in the status.
    Refuse {
        /// The line for the log.
        line: String,
        /// The status.
        status: charm::Status,
    },
    /// Wants changes in one of the own databags of a relation.
    SetBag(RelationId, Own, Changes),
    /// Keeps the application's passwords.
    PutPasswords(SecretContent),
    /// Removes a revision of an own secret that nobody reads.
    RemoveRevision(SecretId, u32),
    /// Makes the two services in front of the primary and the replicas.
    ApplyServices,
    /// Shows these pods to Patroni.
    LabelPods(Vec<String>),
    /// Removes Patroni's objects of an earlier deployment of this name.
    RemoveLeftovers,
    /// Makes the folders that PostgreSQL needs.
    PrepareStorage,
    /// Makes a key for this unit and asks this relation for a certificate.
    RequestCertificate(RelationId),
    /// Writes this unit's key, its certificate and who vouches for it.
    PushTls(Box<Files>),
    /// Removes them, and what they were asked for with.
    RemoveTls,
    /// Tells a client whether the servers use TLS and who vouches for them.
    ShareTls {
        /// The relation.
        id: RelationId,
        /// The issuer's certificate, with TLS.
        ca: Option<String>,
        /// Whether it reads this from a secret.
        in_secret: bool,
    },
    /// Writes `patroni.yml`.
    PushConfig(SecretString),
    /// Lets Patroni read `patroni.yml` again.
    Reload,
    /// Has a standby log in at the primary with this password.
    RefreshPassfile(SecretString),
    /// Lays the layer over the plan and starts what does not run.
    StartWorkload(Box<Layer>),
    /// Has Patroni copy the primary anew, over what a copy left that was broken off.
    CopyAnew {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Waits until this member's PostgreSQL is up, within a bound.
    AwaitMember,
    /// Waits until the service in front of the primary leads to it, within a bound.
    AwaitPrimary,
    /// Makes the system users, roles and privileges.
    SetUpCluster {
        /// As whom to connect, and the passwords of the users to make.
        passwords: Passwords,
        /// Salts of the verifiers of `backup` and `monitoring`.
        salts: [Salt; 2],
        /// Who vouches for the servers.
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
    /// Removes a client's user and its secret; the data stay.
    RemoveClient {
        /// The peer relation, whose bag has the relation among those of which there are users.
        peer: RelationId,
        /// The relation.
        id: RelationId,
        /// The user.
        user: RoleName,
        /// The way in.
        operator: Operator,
    },
    /// Closes the databases that are no client's, and takes from clients what makes them somebody
    /// else, where that is not so.
    GuardServer {
        /// The way in.
        operator: Operator,
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
        operator: Operator,
    },
    /// Gives the charm's own users the passwords that are kept, where they have others.
    ConfirmPasswords(Box<Confirmation>),
    /// Hands the lead to another member for an action, which fails with it.
    Switchover {
        /// Who leads now.
        leader: String,
        /// Who shall lead, or whom Patroni finds fit.
        candidate: Option<String>,
        /// The password of the REST API.
        password: SecretString,
    },
    /// Lets this member lead although it may lack commits, for an action, which fails with it.
    FailOver {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Lets another member lead, as soon as one can and within a bound.
    HandOver {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Waits until this member follows, within a bound, and tells the other units.
    TellTimeline(RelationId),
    /// Gives the objects that Patroni made to the owner of the pods, so that they go with it.
    AdoptObjects,
    /// Takes the primary's label from every other pod of the cluster.
    TakePrimaryLabel,
    /// Tells the clients that connections to another primary are of no use any more.
    TellClients,
    /// Restarts the members that wait for it, one after another and the primary last.
    RestartMembers {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Waits, within a bound, for what Patroni makes of its configuration, and tells the leader
    /// when a restart is due.
    TellPendingRestart {
        /// The peer relation.
        id: RelationId,
        /// Whether there is no other unit.
        alone: bool,
    },
    /// Restarts this member's PostgreSQL for an action, which fails with it.
    Restart {
        /// The password of the REST API.
        password: SecretString,
    },
    /// Sets a result of the running action.
    ActionResult(&'static str, String),
    /// Sets a result of the running action that is secret.
    ActionSecret(&'static str, SecretString),
    /// Marks the running action failed.
    ActionFail(String),
    /// Tells Juju the version and the ports of the workload.
    Announce,
    /// Reports the status from how the cluster is once the other effects are true.
    ShowStatus {
        /// The units the application shall have.
        planned: u32,
    },
}

/// What the server's passwords are compared with.
pub struct Confirmation {
    /// The passwords that are kept.
    pub passwords: Passwords,
    /// The salts of the verifiers.
    pub salts: [Salt; 5],
    /// Who vouches for the servers.
    pub ca: Option<String>,
    /// Whether an action waits for it, which fails with it.
    pub of_action: bool,
}

/// A client's user and database.
pub struct ServeClient {
    /// The relation.
    pub id: RelationId,
    /// What a person calls the client.
    pub who: String,
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
    pub operator: Operator,
    /// Who vouches for the servers, as the client is to know it.
    pub ca: Option<String>,
    /// Whether it reads that from a secret.
    pub tls_in_secret: bool,
}

/// Extensions to make and to drop.
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
    pub operator: Operator,
}

/// How the charm itself logs in, as the superuser.
#[derive(Clone)]
pub struct Operator {
    /// The password.
    pub password: SecretString,
    /// Who vouches for the servers; none while they serve without TLS.
    pub ca: Option<String>,
}

/// The status of a started member, as upstream words it.
pub(crate) fn started_status(pod: &str, cluster: Option<&Cluster>, planned: u32) -> charm::Status {
    let Some(cluster) = cluster else { return charm::Status::active() };
    if let Some(member) = cluster.last_resort() {
        return headless(&member.name);
    }
    let started = cluster.members.iter().filter(|member| member.state.is_started()).count();
    let degraded = if started < planned as usize { " (degraded)" } else { "" };
    match cluster.leader() {
        Some(leader) if leader.name == pod => {
            let word = match leader.role {
                patroni::Role::StandbyLeader => "Standby",
                _ => "Primary",
            };
            charm::Status::Active(format!("{word}{degraded}"))
        }
        _ => charm::Status::active(),
    }
}

/// Blocked until the lost primary comes back or somebody gives up what only it had.
fn headless(pod: &str) -> charm::Status {
    let unit =
        crate::topology::unit_of(pod).map_or_else(|| pod.to_owned(), |unit| unit.to_string());
    charm::Status::blocked(format!(
        "no primary, and no member has all it acknowledged. To do without: \
         `juju run {unit} promote-to-primary scope=unit force=true`"
    ))
}

/// Blocked until somebody runs `juju trust`.
pub(crate) fn untrusted(topology: &Topology) -> charm::Status {
    let app = &topology.app;
    charm::Status::blocked(format!(
        "Insufficient permissions, try: `juju trust {app} --scope=cluster`"
    ))
}
