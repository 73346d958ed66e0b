//! Effects on the cluster: waiting for it, setting it up, changing its configuration.

use std::time::Duration;

use juju_charm::{
    Applied, Changes, Context, Error, Level, Own, RelationId, SecretString, Status, error_chain,
};
use patroni::{Health, Member, NotInSync, Rest, Role, State};
use postgres::{ConnectOptions, DatabaseName, ExtraRoles, RoleName, Salt, User};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::members::{at, own, primary, two_looks};
use super::workload::away;
use crate::effect::{BACKUP, PatroniCommand, SuperuserLogin};
use crate::endpoint::Endpoint;
use crate::passwords::Passwords;
use crate::ports::Ports;
use crate::wording::{SWITCHOVER_FAILED, primary_waits};

const POLL: Duration = Duration::from_millis(250);
/// How long a hook waits for its member, however often it has to.
pub(crate) const MEMBER_BOUND: Duration = Duration::from_secs(15);
const STREAM_BOUND: Duration = Duration::from_secs(10);
const HAND_OVER_BOUND: Duration = Duration::from_secs(60);
const SYNC_BOUND: Duration = Duration::from_secs(10);

/// Asks a member for its health until it has started, within `bound`, but once in any case.
async fn await_start(rest: &Rest, bound: Duration) -> Option<Health> {
    let end = Instant::now() + bound.max(POLL);
    loop {
        let health = tokio::time::timeout_at(end, rest.health()).await;
        if let Ok(Ok(health)) = health
            && health.state.is_started()
        {
            return Some(health);
        }
        if Instant::now() + POLL > end {
            return None;
        }
        sleep(POLL).await;
    }
}

/// What follows from whether the member started.
pub(crate) fn after_member(health: Option<&Health>, otherwise: &Status) -> Applied {
    match health {
        Some(_) => Applied::Done,
        None => Applied::Defer {
            reason: "PostgreSQL has not started yet".to_owned(),
            status: Some(otherwise.clone()),
        },
    }
}

/// Waits for this member. What is left of `patience` is what later effects of the hook may wait:
/// whatever comes next, `start` among it, waits for the end of this one.
pub(crate) async fn await_member(
    ports: &dyn Ports,
    hook: &Context,
    otherwise: &Status,
    patience: &mut Duration,
) -> Applied {
    let rest = own(ports, hook).await;
    let begun = Instant::now();
    let health = await_start(&rest, *patience).await;
    *patience = patience.saturating_sub(begun.elapsed());
    if health.as_ref().is_some_and(|health| health.role != Some(Role::Leader)) {
        await_stream(&rest, &hook.unit().pod()).await;
    }
    after_member(health.as_ref(), otherwise)
}

pub(super) async fn report_timeline(
    ports: &dyn Ports,
    hook: &mut Context,
    id: RelationId,
) -> Result<(), Error> {
    let rest = own(ports, hook).await;
    let seen = await_stream(&rest, &hook.unit().pod()).await;
    if let Some(timeline) = seen.and_then(|member| member.timeline) {
        // The others look after each start, though the timeline is the one that they know.
        let since = rest.health().await.ok().and_then(|health| health.postmaster_start_time);
        let words = [("timeline", timeline.to_string()), ("since", since.unwrap_or_default())];
        hook.set_bag(id, Own::Unit, Changes::from(words))?;
    }
    Ok(())
}

/// Waits, within a bound, until the other members see this one lead or stream: on their next event
/// they act by what they see.
async fn await_stream(rest: &Rest, pod: &str) -> Option<Member> {
    let end = Instant::now() + STREAM_BOUND + two_looks(rest).await;
    while Instant::now() < end {
        let seen = rest.cluster().await.ok();
        let own = seen.as_ref().and_then(|cluster| cluster.member(pod));
        let joined = |own: &&Member| own.state == State::Streaming || own.role.leads();
        if let Some(own) = own.filter(joined) {
            return Some(own.clone());
        }
        sleep(POLL).await;
    }
    None
}

/// Where the charm itself connects, as the superuser: to the primary, wherever that is.
pub(super) async fn log_in_at_primary(
    ports: &dyn Ports,
    hook: &mut Context,
    superuser: &SuperuserLogin,
) -> Result<ConnectOptions, SqlError> {
    Ok(superuser.at(primary(ports, hook).await?.ok_or(SqlError::NoPrimary)?))
}

/// Why SQL did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
    /// The server refused or is away.
    #[error(transparent)]
    Server(#[from] postgres::Error),
    /// No member says who leads.
    #[error("cannot find the primary: no member says who leads, so it is tried again")]
    NoPrimary,
    /// The peers' databags cannot be read.
    #[error(transparent)]
    Context(#[from] juju_charm::HookError),
    /// A client asked for a database that is a pooler's.
    #[error("cannot give a client the database {0}: it holds a pooler's lookup, choose another")]
    Lookup(DatabaseName),
}

impl SqlError {
    /// Whether it may go by itself.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => error.is_transient(),
            Self::NoPrimary => true,
            Self::Context(_) | Self::Lookup(_) => false,
        }
    }
}

pub(super) async fn set_up(
    ports: &dyn Ports,
    hook: &mut Context,
    passwords: &Passwords,
    salts: [Salt; 2],
    ca: Option<String>,
) -> Applied {
    let made = try_set_up(ports, hook, passwords, salts, ca).await;
    if let Err(error) = &made {
        hook.log(Level::Warning, error_chain(error));
    }
    after_set_up(made.is_ok())
}

/// What follows from whether the primary took what the cluster begins with.
pub(crate) fn after_set_up(made: bool) -> Applied {
    if made {
        return Applied::Done;
    }
    let reason = "the primary does not take SQL yet".to_owned();
    Applied::Defer { reason, status: Some(primary_waits()) }
}

async fn try_set_up(
    ports: &dyn Ports,
    hook: &mut Context,
    passwords: &Passwords,
    [backup, monitoring]: [Salt; 2],
    ca: Option<String>,
) -> Result<(), SqlError> {
    let login = SuperuserLogin { password: passwords.operator.clone(), ca };
    let client = ports.postgres(&log_in_at_primary(ports, hook, &login).await?).await?;
    let superuser = ExtraRoles { superuser: true, ..ExtraRoles::default() };
    let member_of = vec![RoleName::constant("pg_monitor")];
    let monitor = ExtraRoles { member_of, ..ExtraRoles::default() };
    let system = [
        (BACKUP, &passwords.backup, backup, superuser),
        (RoleName::constant("monitoring"), &passwords.monitoring, monitoring, monitor),
    ];
    for (name, password, salt, roles) in system {
        let password = password.clone();
        let (holder, takes_over) = (None, true);
        let user = User { name, password, salt, roles, holder, takes_over, former: Vec::new() };
        client.ensure_user(&user).await?;
    }
    client.ensure_access_groups().await?;
    client.set_up_postgres_database().await?;
    client.close_shared_databases().await?;
    Ok(())
}

/// Any member takes it, and to the own one the password need not cross the network.
pub(super) async fn patch_dynamic(
    ports: &dyn Ports,
    hook: &mut Context,
    patch: &Value,
    password: SecretString,
) -> Result<Applied, Error> {
    let mut rest = own(ports, hook).await;
    if rest.health().await.is_err() {
        let Some(host) = primary(ports, hook).await? else {
            return Ok(Applied::defer("no member takes its configuration yet"));
        };
        rest = match at(ports, hook, &host).await {
            Ok(rest) => rest,
            Err(error) => return away(error),
        };
        // One that is asked in a way that it does not understand must not get the password so.
        if let Err(error) = rest.health().await {
            hook.log(Level::Warning, error.to_string());
            return Ok(Applied::defer("no member takes its configuration yet"));
        }
    }
    match rest.with_login("patroni", password).patch_config(patch).await {
        Ok(()) => Ok(Applied::Done),
        Err(error) => {
            hook.log(Level::Warning, error.to_string());
            Ok(Applied::defer("Patroni does not take its configuration yet"))
        }
    }
}

pub(super) async fn set_password(
    ports: &dyn Ports,
    hook: &mut Context,
    user: &RoleName,
    password: &SecretString,
    salt: &Salt,
    login: &SuperuserLogin,
) -> Result<Applied, Error> {
    let change = async {
        let client = ports.postgres(&log_in_at_primary(ports, hook, login).await?).await?;
        client.set_password(user, password, salt).await?;
        Ok::<(), SqlError>(())
    };
    match change.await {
        Ok(()) => Ok(Applied::Done),
        Err(error) => {
            hook.log(Level::Error, error_chain(error));
            hook.action_fail("Failed changing the password.")?;
            // Nothing else of the action may happen, and nothing is tried again.
            Ok(Applied::defer("the password was not changed"))
        }
    }
}

/// Gives the own member a command; what it refuses, the action says.
pub(super) async fn run_command(
    ports: &dyn Ports,
    hook: &mut Context,
    command: PatroniCommand,
    password: SecretString,
) -> Result<(), Error> {
    let rest = own(ports, hook).await.with_login("patroni", password);
    let (ran, failure) = match command {
        PatroniCommand::Switchover { leader, candidate } => {
            (switch_over(&rest, &leader, candidate.as_deref()).await, SWITCHOVER_FAILED)
        }
        PatroniCommand::FailOver => (rest.fail_over(&hook.unit().pod()).await, FAILOVER_FAILED),
        PatroniCommand::Restart => (rest.restart().await, "failed to restart PostgreSQL"),
        PatroniCommand::Reinitialise => {
            (rest.reinitialize().await, "failed to copy the primary anew")
        }
    };
    let Err(error) = ran else { return Ok(()) };
    hook.log(Level::Error, error.to_string());
    let not_in_sync = error.not_in_sync() == Some(NotInSync::Candidate);
    hook.action_fail(if not_in_sync { "Unit is not sync standby" } else { failure })?;
    Ok(())
}

/// Has the action say which transactions of clients are open at the primary.
pub(super) async fn show_open_transactions(
    ports: &dyn Ports,
    hook: &mut Context,
    login: &SuperuserLogin,
) -> Result<(), Error> {
    let read = async {
        let client = ports.postgres(&log_in_at_primary(ports, hook, login).await?).await?;
        Ok::<_, SqlError>(client.open_transactions().await?)
    };
    match read.await {
        Ok(open) => {
            hook.action_result("open-transactions", open.count.to_string());
            hook.action_result("oldest-transaction-seconds", open.oldest.to_string());
        }
        Err(error) => {
            hook.log(Level::Error, error_chain(error));
            hook.action_fail("cannot ask the primary for open transactions, check the logs")?;
        }
    }
    Ok(())
}

/// In upstream's words.
const FAILOVER_FAILED: &str = "Failover failed or timed out, check the logs for details";

/// A standby that has just joined is in sync before Patroni lets it lead.
pub(super) async fn switch_over(
    rest: &Rest,
    leader: &str,
    candidate: Option<&str>,
) -> Result<(), patroni::Error> {
    let end = Instant::now() + SYNC_BOUND;
    loop {
        match rest.switchover(leader, candidate).await {
            Err(error) if error.not_in_sync().is_some() && Instant::now() < end => {
                sleep(POLL).await;
            }
            result => return result,
        }
    }
}

/// Writes the timeline to the clients' relations: a new one makes their charms look, which a
/// connection that leads to a silent server does not.
pub(super) async fn report_to_clients(ports: &dyn Ports, hook: &mut Context) -> Result<(), Error> {
    let health = own(ports, hook).await.health().await.ok();
    let Some(timeline) = health.and_then(|health| health.timeline) else { return Ok(()) };
    for id in hook.relations(Endpoint::Database)? {
        hook.set_bag(id, Own::Unit, Changes::from([("timeline", timeline.to_string())]))?;
    }
    Ok(())
}

/// Waits for a standby that has every commit, and lets it lead. A primary that went without
/// one would leave members none of which may lead.
pub(super) async fn hand_over(ports: &dyn Ports, hook: &mut Context, password: SecretString) {
    let rest = own(ports, hook).await.with_login("patroni", password);
    let pod = hook.unit().pod();
    let end = Instant::now() + HAND_OVER_BOUND;
    while Instant::now() < end {
        match rest.cluster().await {
            Ok(cluster) if !cluster.member(&pod).is_some_and(|own| own.role.leads()) => return,
            Ok(cluster) if cluster.has_standby_in_sync() => {
                if let Err(error) = rest.switchover(&pod, None).await {
                    hook.log(Level::Warning, error.to_string());
                }
            }
            Ok(cluster) if cluster.members.len() < 2 => return,
            Ok(_) | Err(_) => {}
        }
        sleep(POLL).await;
    }
    hook.log(Level::Error, format!("no other member could take the lead from {pod}"));
}
