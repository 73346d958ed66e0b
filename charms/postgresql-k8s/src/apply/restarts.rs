//! Restarts that parameters wait for: one member after another, each once, the primary last or, for
//! what becomes smaller, first.

use std::collections::BTreeSet;
use std::time::Duration;

use juju_charm::{Applied, Changes, Context, Error, Level, Own, RelationId, SecretString};
use patroni::{Cluster, Member, Rest};
use tokio::time::{Instant, sleep};

use super::members::{at, authority, own, two_looks};
use super::workload::away;
use crate::decide::PENDING;
use crate::gather::topology;
use crate::ports::Ports;
use crate::wording::restart_waits;

const POLL: Duration = Duration::from_millis(250);
/// How long a hook waits in all until all members serve, besides two of Patroni's looks: where they
/// need longer, a later hook goes on, and `start` does not wait for it.
const WAIT_BOUND: Duration = Duration::from_secs(10);

/// Reports to the leader, in this unit's databag, whether a restart is due here. A leader that is
/// alone gets no event of that, so it decides again.
pub(super) async fn report_pending(
    ports: &dyn Ports,
    hook: &mut Context,
    id: RelationId,
    alone: bool,
) -> Result<Applied, Error> {
    let rest = own(ports, hook).await;
    let end = Instant::now() + two_looks(&rest).await;
    let mut pending = false;
    while !pending && Instant::now() < end {
        sleep(POLL).await;
        pending = if alone {
            // What decides on restarts is what the member has published in the cluster.
            let shown = |cluster: Cluster| cluster.members.iter().any(|m| m.pending_restart);
            rest.cluster().await.is_ok_and(shown)
        } else {
            rest.health().await.is_ok_and(|health| health.pending_restart)
        };
    }
    let value = if pending { "True" } else { "" };
    hook.set_bag(id, Own::Unit, Changes::from([(PENDING, value)]))?;
    Ok(if pending && alone { Applied::Rerun } else { Applied::Done })
}

/// What to do next about restarts that are due.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    /// Restart this member.
    Restart(&'a str),
    /// Hand the lead from the first to the second, which need not restart any more.
    HandOver(&'a str, &'a str),
}

/// The next step; `done` are those that restarted already.
fn next<'a>(cluster: &'a Cluster, done: &BTreeSet<String>) -> Option<Step<'a>> {
    let leader = cluster.leader()?;
    let due = |member: &&Member| member.pending_restart && !done.contains(&member.name);
    let replicas = || cluster.members.iter().filter(|member| member.name != leader.name);
    if due(&leader) && leader.restarts_before_standbys() {
        return Some(Step::Restart(&leader.name));
    }
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
    ports: &dyn Ports,
    hook: &mut Context,
    password: SecretString,
) -> Result<Applied, Error> {
    let mut done = BTreeSet::new();
    let mut last = None;
    let end = Instant::now() + WAIT_BOUND + two_looks(&own(ports, hook).await).await;
    loop {
        let Some(cluster) = await_ready(ports, hook, last.as_deref(), end).await else {
            return Ok(put_off("not all members serve, so none is restarted"));
        };
        let Some(step) = next(&cluster, &done) else { return Ok(Applied::Done) };
        let rest = match to(ports, hook, &cluster, &step).await {
            Ok(Some(rest)) => rest.with_login("patroni", password.clone()),
            Ok(None) => {
                return Ok(put_off("a member waits for its certificate, or this one does"));
            }
            Err(error) => return away(error),
        };
        let stepped = match &step {
            Step::Restart(_) => rest.restart().await,
            Step::HandOver(from, to) => rest.switchover(from, Some(to)).await,
        };
        if let Err(error) = stepped {
            hook.log(Level::Error, error.to_string());
            return Ok(put_off("a member could not be restarted"));
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

/// The next event tries again; the check `settled` brings one.
fn put_off(why: &str) -> Applied {
    Applied::Defer { reason: why.to_owned(), status: Some(restart_waits(why)) }
}

/// The member that takes this step, where the password may go there: any takes a switchover, a
/// restart is its own. Between members that speak as this one it goes as it always did, but
/// never in clear from or to one that has a certificate.
async fn to(
    ports: &dyn Ports,
    hook: &Context,
    cluster: &Cluster,
    step: &Step<'_>,
) -> Result<Option<Rest>, pebble_client::Error> {
    let pod = match step {
        Step::Restart(pod) if *pod != hook.unit().pod() => *pod,
        Step::Restart(_) | Step::HandOver(..) => return Ok(Some(own(ports, hook).await)),
    };
    if !speak_alike(authority(hook).await?.is_some(), cluster.member(pod)) {
        return Ok(None);
    }
    match topology(hook).host_of_pod(pod) {
        Some(host) => at(ports, hook, &host).await.map(Some),
        None => Ok(None),
    }
}

/// Whether a unit with a certificate, or one without, speaks as a member does.
fn speak_alike(encrypted: bool, member: Option<&Member>) -> bool {
    member.is_some_and(|member| member.speaks_tls() == encrypted)
}

/// Waits, until `end` at the latest, until all members serve and commits may wait for one again.
///
/// The own member is asked, whose Patroni answers while its PostgreSQL restarts: a service may
/// lead nowhere until this hook has ended.
async fn await_ready(
    ports: &dyn Ports,
    hook: &Context,
    restarted: Option<&str>,
    end: Instant,
) -> Option<Cluster> {
    let rest = own(ports, hook).await;
    let notice = two_looks(&rest).await;
    let begun = Instant::now();
    // What the members show of each other is as old as their last loop.
    let fresh = |cluster: &Cluster| {
        let member = restarted.and_then(|pod| cluster.member(pod));
        !member.is_some_and(|member| member.pending_restart) || begun.elapsed() > notice
    };
    while Instant::now() < end {
        sleep(2 * POLL).await;
        if let Ok(cluster) = rest.cluster().await
            && cluster.all_follow()
            && fresh(&cluster)
            && (cluster.members.len() < 2 || cluster.has_standby_in_sync())
        {
            return Some(cluster);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture::member;
    use patroni::{PendingChange, Role, State};

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
    fn a_value_that_becomes_smaller_restarts_each_member_once_the_primary_first() {
        let smaller = |pending: &[&str], done: &[&str], expected: Option<Step<'_>>| {
            let mut cluster = cluster(pending);
            let change = PendingChange { old_value: "100".to_owned(), new_value: "50".to_owned() };
            let change = ("max_connections".to_owned(), change);
            let due = cluster.members.iter_mut().filter(|member| member.pending_restart);
            due.for_each(|member| member.pending_restart_reason = [change.clone()].into());
            let done = done.iter().map(|&pod| pod.to_owned()).collect();
            assert_eq!(next(&cluster, &done), expected);
        };
        smaller(&["pg-0", "pg-1", "pg-2"], &[], Some(Step::Restart("pg-0")));
        smaller(&["pg-1", "pg-2"], &["pg-0"], Some(Step::Restart("pg-1")));
        smaller(&["pg-2"], &["pg-0", "pg-1"], Some(Step::Restart("pg-2")));
        smaller(&[], &["pg-0", "pg-1", "pg-2"], None);
    }

    #[test]
    fn no_member_restarts_without_a_leader() {
        let mut cluster = cluster(&["pg-1"]);
        cluster.members.remove(0);
        assert_eq!(next(&cluster, &BTreeSet::new()), None);
    }
}
