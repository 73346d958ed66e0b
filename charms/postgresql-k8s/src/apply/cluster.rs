//! Effects on the cluster: waiting for it, setting it up, changing its configuration.

use std::time::Duration;

use charm::{Applied, Changes, Hook, Level, Own, RelationId, SecretString};
use patroni::{Health, Member, NotInSync, Rest, Role, State};
use postgres::{ConnectOptions, DatabaseName, ExtraRoles, RoleName, Salt, User};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::members::{at, own, two_looks};
use super::workload::away;
use crate::Error;
use crate::decide::{member_waits, primary_waits};
use crate::door::Door;
use crate::effect::Operator;
use crate::gather::topology;
use crate::passwords::Passwords;
use crate::topology::{POSTGRESQL_PORT, Topology};

const POLL: Duration = Duration::from_millis(250);
const MEMBER_BOUND: Duration = Duration::from_secs(15);
const STREAM_BOUND: Duration = Duration::from_secs(10);
const PRIMARY_BOUND: Duration = Duration::from_secs(10);
const HAND_OVER_BOUND: Duration = Duration::from_secs(60);
const SYNC_BOUND: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a member for its health until it has started, within `bound`.
async fn await_start(rest: &Rest, bound: Duration) -> Option<Health> {
    let end = Instant::now() + bound;
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
pub(crate) fn after_member(health: Option<&Health>) -> Applied {
    match health {
        Some(_) => Applied::Done,
        None => Applied::Defer {
            reason: "PostgreSQL has not started yet".to_owned(),
            status: Some(member_waits()),
        },
    }
}

/// What follows from whether the service leads to the primary.
pub(crate) fn after_primary(health: Option<&Health>) -> Applied {
    match health {
        Some(_) => Applied::Done,
        None => Applied::Defer {
            reason: "the service in front of the primary leads nowhere yet".to_owned(),
            status: Some(primary_waits()),
        },
    }
}

pub(super) async fn await_member(door: &dyn Door, hook: &Hook) -> Applied {
    let rest = own(door, hook).await;
    let health = await_start(&rest, MEMBER_BOUND).await;
    if health.as_ref().is_some_and(|health| health.role != Some(Role::Leader)) {
        await_stream(&rest, &hook.unit().pod()).await;
    }
    after_member(health.as_ref())
}

pub(super) async fn tell_timeline(
    door: &dyn Door,
    hook: &mut Hook,
    id: RelationId,
) -> Result<(), Error> {
    let seen = await_stream(&own(door, hook).await, &hook.unit().pod()).await;
    if let Some(timeline) = seen.and_then(|member| member.timeline) {
        hook.set_bag(id, Own::Unit, Changes::from([("timeline", timeline.to_string())]))?;
    }
    Ok(())
}

/// Waits, within a bound, until the other members see this one lead or stream: what they
/// are told next, they act upon by what they see.
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

pub(super) async fn await_primary(door: &dyn Door, hook: &Hook) -> Result<Applied, Error> {
    let rest = match at(door, hook, &topology(hook).primary_host()).await {
        Ok(rest) => rest,
        Err(error) => return away(error),
    };
    Ok(after_primary(await_start(&rest, PRIMARY_BOUND).await.as_ref()))
}

/// Where the charm itself connects, as the superuser.
pub(super) fn operator(
    topology: &Topology,
    operator: &Operator,
) -> Result<ConnectOptions, postgres::NameError> {
    Ok(ConnectOptions {
        host: topology.primary_host(),
        port: POSTGRESQL_PORT,
        user: "operator".parse()?,
        password: operator.password.clone(),
        database: "postgres".parse()?,
        timeout: CONNECT_TIMEOUT,
        ca: operator.ca.clone(),
    })
}

/// Why SQL did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
    /// A name of ours is none, which cannot be.
    #[error(transparent)]
    Name(#[from] postgres::NameError),
    /// The server refused or is away.
    #[error(transparent)]
    Server(#[from] postgres::Error),
    /// A client asked for a database that is a pooler's.
    #[error("cannot give a client the database {0}: it holds a pooler's lookup, choose another")]
    Lookup(DatabaseName),
}

/// The error and what the server said.
pub(super) fn words(error: &SqlError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(super) async fn set_up(
    door: &dyn Door,
    hook: &mut Hook,
    passwords: &Passwords,
    salts: [Salt; 2],
    ca: Option<String>,
) -> Applied {
    match try_set_up(door, &topology(hook), passwords, salts, ca).await {
        Ok(()) => Applied::Done,
        Err(error) => {
            hook.log(Level::Warning, words(&error));
            Applied::Defer {
                reason: "the primary does not take SQL yet".to_owned(),
                status: Some(primary_waits()),
            }
        }
    }
}

async fn try_set_up(
    door: &dyn Door,
    topology: &Topology,
    passwords: &Passwords,
    [backup, monitoring]: [Salt; 2],
    ca: Option<String>,
) -> Result<(), SqlError> {
    let way_in = Operator { password: passwords.operator.clone(), ca };
    let client = door.postgres(&operator(topology, &way_in)?).await?;
    let system = [
        ("backup", &passwords.backup, backup, "superuser"),
        ("monitoring", &passwords.monitoring, monitoring, "pg_monitor"),
    ];
    for (name, password, salt, roles) in system {
        let roles = ExtraRoles::parse(roles).unwrap_or_default();
        let (name, password) = (name.parse()?, password.clone());
        let user = User { name, password, salt, roles, tied_to: None, former: Vec::new() };
        client.ensure_user(&user).await?;
    }
    client.ensure_access_groups().await?;
    client.set_up_postgres_database().await?;
    client.close_shared_databases().await?;
    Ok(())
}

/// Any member takes it, and to the own one the password need not cross the network.
pub(super) async fn patch_dynamic(
    door: &dyn Door,
    hook: &mut Hook,
    patch: &Value,
    password: SecretString,
) -> Result<Applied, Error> {
    let mut rest = own(door, hook).await;
    if rest.health().await.is_err() {
        rest = match at(door, hook, &topology(hook).primary_host()).await {
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
    door: &dyn Door,
    hook: &mut Hook,
    user: &RoleName,
    password: &SecretString,
    salt: &Salt,
    way_in: &Operator,
) -> Result<Applied, Error> {
    let topology = topology(hook);
    let change = async {
        let client = door.postgres(&operator(&topology, way_in)?).await?;
        client.set_password(user, password, salt).await?;
        Ok::<(), SqlError>(())
    };
    match change.await {
        Ok(()) => Ok(Applied::Done),
        Err(error) => {
            hook.log(Level::Error, words(&error));
            hook.action_fail("Failed changing the password.")?;
            // Nothing else of the action may happen, and nothing is tried again.
            Ok(Applied::defer("the password was not changed"))
        }
    }
}

pub(super) async fn switchover(
    door: &dyn Door,
    hook: &mut Hook,
    leader: &str,
    candidate: Option<&str>,
    password: SecretString,
) -> Result<Applied, Error> {
    let rest = own(door, hook).await.with_login("patroni", password);
    // A standby that has just joined is in sync before Patroni lets it lead.
    let end = Instant::now() + SYNC_BOUND;
    let result = loop {
        match rest.switchover(leader, candidate).await {
            Err(error) if error.not_in_sync().is_some() && Instant::now() < end => {
                sleep(POLL).await;
            }
            result => break result,
        }
    };
    if let Err(error) = result {
        hook.log(Level::Error, error.to_string());
        hook.action_fail(switchover_failure(&error))?;
    }
    Ok(Applied::Done)
}

/// Has Patroni copy the primary anew.
pub(super) async fn copy_anew(door: &dyn Door, hook: &mut Hook, password: SecretString) {
    let rest = own(door, hook).await.with_login("patroni", password);
    if let Err(error) = rest.reinitialize().await {
        hook.log(Level::Warning, error.to_string());
    }
}

/// Lets this member lead whatever it lacks.
pub(super) async fn fail_over(
    door: &dyn Door,
    hook: &mut Hook,
    password: SecretString,
) -> Result<Applied, Error> {
    let rest = own(door, hook).await.with_login("patroni", password);
    if let Err(error) = rest.fail_over(&hook.unit().pod()).await {
        hook.log(Level::Error, error.to_string());
        hook.action_fail("Failover failed or timed out, check the logs for details")?;
    }
    Ok(Applied::Done)
}

/// Writes the timeline to the clients' relations: a new one makes their charms look, which a
/// connection that leads to a silent server does not.
pub(super) async fn tell_clients(door: &dyn Door, hook: &mut Hook) -> Result<(), Error> {
    let health = own(door, hook).await.health().await.ok();
    let Some(timeline) = health.and_then(|health| health.timeline) else { return Ok(()) };
    for id in hook.relations("database")? {
        hook.set_bag(id, Own::Unit, Changes::from([("timeline", timeline.to_string())]))?;
    }
    Ok(())
}

/// Waits for a standby that has every commit, and lets it lead. A primary that went without
/// one would leave members none of which may lead.
pub(super) async fn hand_over(door: &dyn Door, hook: &mut Hook, password: SecretString) {
    let rest = own(door, hook).await.with_login("patroni", password);
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
            _ => {}
        }
        sleep(POLL).await;
    }
    hook.log(Level::Error, format!("no other member could take the lead from {pod}"));
}

pub(super) async fn restart(
    door: &dyn Door,
    hook: &mut Hook,
    password: SecretString,
) -> Result<Applied, Error> {
    let rest = own(door, hook).await.with_login("patroni", password);
    if let Err(error) = rest.restart().await {
        hook.log(Level::Error, error.to_string());
        hook.action_fail("failed to restart PostgreSQL")?;
    }
    Ok(Applied::Done)
}

fn switchover_failure(error: &patroni::Error) -> &'static str {
    match error.not_in_sync() {
        Some(NotInSync::Candidate) => "Unit is not sync standby",
        _ => "Switchover failed or timed out, check the logs for details",
    }
}
