//! Restarts that parameters wait for: one member after another, the primary last.

use std::collections::BTreeSet;
use std::time::Duration;

use charm::{Applied, Changes, Hook, Level, Own, RelationId, SecretString};
use patroni::{Cluster, Member, Rest};
use tokio::time::{Instant, sleep};

use super::members::{at, authority, own, two_looks};
use super::workload::away;
use crate::Error;
use crate::decide::PENDING;
use crate::door::Door;
use crate::gather::topology;
use crate::topology::unit_of;

const POLL: Duration = Duration::from_millis(250);
/// How long all members may take to serve again after one restarted.
const MEMBER_BOUND: Duration = Duration::from_secs(60);

/// Tells the leader, in this unit's databag, whether a restart is due here. A leader that is
/// alone gets no event of that, so it decides again.
pub(super) async fn tell_pending(
    door: &dyn Door,
    hook: &mut Hook,
    id: RelationId,
    alone: bool,
) -> Result<Applied, Error> {
    let rest = own(door, hook).await;
    let end = Instant::now() + two_looks(&rest).await;
    let mut pending = false;
    while !pending && Instant::now() < end {
        sleep(POLL).await;
        pending = if alone {
            // What decides on restarts is what the member has told the cluster.
            let shown = |cluster: Cluster| cluster.members.iter().any(|m| m.pending_restart);
            rest.cluster().await.is_ok_and(shown)
        } else {
            rest.health().await.is_ok_and(|health| health.pending_restart)
        };
    }
    let value = if pending { "True" } else { "" };
    hook.set_bag(id, Own::Unit, Changes::from([(PENDING, value)]))?;
    Ok(if pending && alone { Applied::Again } else { Applied::Done })
}

/// What to do next about restarts that are due.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// Restart this member.
    Restart(&'a str),
    /// Hand the lead from the first to the second, which need not restart any more.
    HandOver(&'a str, &'a str),
}

/// The next step; `done` are those that restarted already. A value that became smaller takes
/// effect on the primary first, so a replica may wait on after its restart and gets a second.
fn next<'a>(cluster: &'a Cluster, done: &BTreeSet<String>) -> Option<Step<'a>> {
    let leader = cluster.leader()?;
    let due = |member: &&Member| member.pending_restart && !done.contains(&member.name);
    let replicas = || cluster.members.iter().filter(|member| member.name != leader.name);
    if let Some(replica) = replicas().find(due) {
        return Some(Step::Restart(&replica.name));
    }
    if !due(&leader) {
        return None;
    }
    let successor = replicas().find(|m| m.role.follows_in_sync() && !m.pending_restart);
    Some(match successor {
        Some(successor) => Step::HandOver(&leader.name, &successor.name),
        None => Step::Restart(&leader.name),
    })
}

pub(super) async fn restart_members(
    door: &dyn Door,
    hook: &mut Hook,
    password: SecretString,
) -> Result<Applied, Error> {
    let mut done = BTreeSet::new();
    let mut last = None;
    loop {
        let ready = match await_ready(door, hook, last.as_deref()).await {
            Ok(ready) => ready,
            Err(error) => return away(error),
        };
        let Some(cluster) = ready else {
            return Ok(Applied::defer("not all members serve, so none is restarted"));
        };
        let Some(step) = next(&cluster, &done) else { return Ok(Applied::Done) };
        let rest = match to(door, hook, &cluster, &step).await {
            Ok(Some(rest)) => rest.with_login("patroni", password.clone()),
            Ok(None) => {
                return Ok(Applied::defer("a member waits for its certificate, or this one does"));
            }
            Err(error) => return away(error),
        };
        let stepped = match &step {
            Step::Restart(_) => rest.restart().await,
            Step::HandOver(from, to) => rest.switchover(from, Some(to)).await,
        };
        if let Err(error) = stepped {
            hook.log(Level::Error, error.to_string());
            return Ok(Applied::defer("a member could not be restarted"));
        }
        if let Step::Restart(pod) = step {
            if cluster.leader().is_some_and(|leader| leader.name == pod) {
                done.clear();
            }
            done.insert(pod.to_owned());
            last = Some(pod.to_owned());
        }
    }
}

/// The member that takes this step, where the password may go there: any takes a switchover, a
/// restart is its own. Between members that speak as this one it goes as it always did, but
/// never in clear from or to one that has a certificate.
async fn to(
    door: &dyn Door,
    hook: &Hook,
    cluster: &Cluster,
    step: &Step<'_>,
) -> Result<Option<Rest>, pebble::Error> {
    let pod = match step {
        Step::Restart(pod) if *pod != hook.unit().pod() => *pod,
        _ => return Ok(Some(own(door, hook).await)),
    };
    if !speak_alike(authority(hook).await?.is_some(), cluster.member(pod)) {
        return Ok(None);
    }
    let topology = topology(hook);
    let host = unit_of(pod).map(|unit| topology.qualified(&topology.member(&unit)));
    at(door, hook, &host.unwrap_or_default()).await.map(Some)
}

/// Whether a unit with a certificate, or one without, speaks as a member does.
fn speak_alike(encrypted: bool, member: Option<&Member>) -> bool {
    member.is_some_and(|member| member.speaks_tls() == encrypted)
}

/// Waits, within a bound, until all members serve and commits may wait for one again.
async fn await_ready(
    door: &dyn Door,
    hook: &Hook,
    restarted: Option<&str>,
) -> Result<Option<Cluster>, pebble::Error> {
    let rest = at(door, hook, &topology(hook).primary_host()).await?;
    let notice = two_looks(&rest).await;
    let begun = Instant::now();
    // What the members show of each other is as old as their last loop.
    let fresh = |cluster: &Cluster| {
        let member = restarted.and_then(|pod| cluster.member(pod));
        !member.is_some_and(|member| member.pending_restart) || begun.elapsed() > notice
    };
    while begun.elapsed() < MEMBER_BOUND {
        sleep(2 * POLL).await;
        if let Ok(cluster) = rest.cluster().await
            && cluster.is_ready()
            && fresh(&cluster)
            && (cluster.members.len() < 2 || cluster.has_standby_in_sync())
        {
            return Ok(Some(cluster));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture::member;
    use patroni::{Role, State};

    fn cluster(pending: &[&str]) -> Cluster {
        let mut members = vec![
            member("pg-0", Role::Leader, State::Running),
            member("pg-1", Role::SyncStandby, State::Streaming),
            member("pg-2", Role::SyncStandby, State::Streaming),
        ];
        for member in &mut members {
            member.pending_restart = pending.contains(&member.name.as_str());
        }
        Cluster { members }
    }

    #[track_caller]
    fn check(pending: &[&str], done: &[&str], expected: Option<Step<'_>>) {
        let done = done.iter().map(|&pod| pod.to_owned()).collect();
        assert_eq!(next(&cluster(pending), &done), expected);
    }

    #[test]
    fn replicas_restart_first_and_the_primary_hands_over() {
        check(&["pg-0", "pg-1", "pg-2"], &[], Some(Step::Restart("pg-1")));
        check(&["pg-0", "pg-2"], &["pg-1"], Some(Step::Restart("pg-2")));
        check(&["pg-0"], &["pg-1", "pg-2"], Some(Step::HandOver("pg-0", "pg-1")));
        check(&[], &[], None);
        check(&["pg-1"], &["pg-1"], None);
    }

    #[test]
    fn no_password_goes_in_clear_from_or_to_a_certificate() {
        let mut member = member("pg-1", Role::Replica, State::Streaming);
        assert!(speak_alike(false, Some(&member)) && !speak_alike(true, Some(&member)));
        member.api_url = "https://pg-1:8008/patroni".to_owned();
        assert!(speak_alike(true, Some(&member)) && !speak_alike(false, Some(&member)));
        assert!(!speak_alike(false, None) && !speak_alike(true, None));
    }

    #[test]
    fn a_value_that_became_smaller_reaches_the_primary_in_its_place() {
        let all = ["pg-0", "pg-1", "pg-2"];
        check(&all, &["pg-1", "pg-2"], Some(Step::Restart("pg-0")));
        check(&["pg-1", "pg-2"], &["pg-0"], Some(Step::Restart("pg-1")));
    }

    #[test]
    fn nobody_restarts_without_a_leader() {
        let mut cluster = cluster(&["pg-1"]);
        cluster.members.remove(0);
        assert_eq!(next(&cluster, &BTreeSet::new()), None);
    }
}
