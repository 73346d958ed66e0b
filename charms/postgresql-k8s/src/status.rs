//! The unit's status as its member is: active means that a client can log in, and write where it
//! says Primary.

use juju_charm::Status;
use patroni::{Cluster, Health, Member, Role, State};

use crate::facts::NotStreaming;
use crate::topology::unit_of;
use crate::wording::{self, with_certificate};

/// What is seen of a cluster from one of its members.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The member's pod.
    pub pod: &'a str,
    /// The cluster; none where no member answers.
    pub cluster: Option<&'a Cluster>,
    /// The member's own health; none where its Patroni does not answer.
    pub health: Option<&'a Health>,
    /// Whether commits wait although no standby is there.
    pub strict: bool,
}

/// What the status rests on besides what is seen of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The units the application shall have.
    pub planned: u32,
    /// Whether the issuer of a certificate owes an answer.
    pub certificate_waits: bool,
    /// Why this member does not follow, if it was seen not to.
    pub not_streaming: Option<NotStreaming>,
}

/// The status of a member that has started.
pub(crate) fn status(seen: Seen<'_>, expected: Expected) -> Status {
    with_certificate(of_member(seen, expected), expected.certificate_waits)
}

fn of_member(seen: Seen<'_>, expected: Expected) -> Status {
    if let Some(member) = seen.cluster.and_then(Cluster::last_resort) {
        return wording::headless(&name(&member.name));
    }
    // What a member says of itself is newer than what others see of it.
    let Some(health) = seen.health else { return wording::member_waits() };
    if let Some(status) = of_stopped(seen.pod, seen.cluster, &health.state) {
        return status;
    }
    let Some(cluster) = seen.cluster else { return Status::active() };
    match cluster.leader() {
        Some(leader) if leader.name == seen.pod => of_primary(cluster, leader, seen, expected),
        Some(leader) if is_not_streaming(health) && leader.state.is_ready() => {
            wording::not_streaming(&name(seen.pod), &name(&leader.name), expected.not_streaming)
        }
        // It can be read.
        Some(_) | None => Status::active(),
    }
}

/// What a member says whose PostgreSQL takes no sessions; none where it does.
pub(crate) fn of_stopped(pod: &str, cluster: Option<&Cluster>, state: &State) -> Option<Status> {
    let unit = name(pod);
    let leader = cluster.and_then(Cluster::leader).filter(|leader| leader.name != pod);
    match state {
        State::Running | State::Streaming => None,
        State::Starting => Some(wording::starting(&unit, leader.is_some())),
        State::Other(state) if FAILED.contains(&state.as_str()) => {
            Some(wording::start_failed(&unit, leader.is_some()))
        }
        State::Other(_) => Some(wording::member_waits()),
    }
}

/// States in which PostgreSQL was to run and does not.
const FAILED: [&str; 4] = ["start failed", "restart failed", "stop failed", "crashed"];

/// Whether a member that does not lead runs and does not stream, as it says itself: what others see
/// of it is older.
pub(crate) fn is_not_streaming(health: &Health) -> bool {
    health.state == State::Running && !health.streams()
}

fn of_primary(
    cluster: &Cluster,
    leader: &Member,
    seen: Seen<'_>,
    Expected { planned, .. }: Expected,
) -> Status {
    // What the primary's PostgreSQL says counts: a standby that stands still shows nothing new.
    let follows = |member: &&Member| match seen.health {
        Some(health) => health.replication.iter().any(|one| one.feeds(&member.name)),
        None => member.state.is_started(),
    };
    let others = || cluster.members.iter().filter(|member| member.name != leader.name);
    let following = others().filter(follows).count();
    if seen.strict && seen.health.is_some() && following == 0 {
        let away: Vec<String> = others().map(|member| name(&member.name)).collect();
        return wording::writes_wait(&away);
    }
    let word = match leader.role {
        Role::StandbyLeader => "Standby",
        Role::Leader | Role::SyncStandby | Role::QuorumStandby | Role::Replica | Role::Other(_) => {
            "Primary"
        }
    };
    wording::started(word, following + 1 < planned as usize)
}

/// A member as a person calls it.
fn name(pod: &str) -> String {
    unit_of(pod).map_or_else(|| pod.to_owned(), |unit| unit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture::{member, running_health};
    use patroni::Standby;

    /// The status of one of `pg-0`, which leads, and `pg-1`, whose state is this.
    #[track_caller]
    fn check(pod: &str, state: State, fed: bool, strict: bool, expected: &Status) {
        let mut health = running_health();
        health.replication_state = (state == State::Streaming).then(|| "streaming".to_owned());
        if !state.is_ready() {
            health.state = state.clone();
        }
        health.replication = match fed {
            true => {
                vec![Standby { application_name: "pg-1".to_owned(), state: "streaming".into() }]
            }
            false => Vec::new(),
        };
        let leader = member("pg-0", Role::Leader, State::Running);
        let cluster = Cluster { members: vec![leader, member("pg-1", Role::Replica, state)] };
        let seen = Seen { pod, cluster: Some(&cluster), health: Some(&health), strict };
        let not_streaming = Some(NotStreaming::Diverged { timeline: 3, bytes: 77 });
        let expected_of = Expected { planned: 2, certificate_waits: false, not_streaming };
        assert_eq!(&status(seen, expected_of), expected);
    }

    #[test]
    fn a_primary_says_who_is_missing_and_what_writes_wait_for() {
        let primary = |word: &str| Status::Active(word.to_owned());
        check("pg-0", State::Streaming, true, true, &primary("Primary"));
        // It stands still: Patroni goes on to show what it was last.
        check("pg-0", State::Streaming, false, false, &primary("Primary (degraded)"));
        let waits = Status::waiting("writes wait for a standby that follows: pg/1 does not");
        check("pg-0", State::Streaming, false, true, &waits);
        check("pg-0", State::Running, false, true, &waits);
    }

    #[test]
    fn a_standby_that_does_not_follow_names_the_cause_and_the_choice() {
        check("pg-1", State::Streaming, true, true, &Status::active());
        let blocked = Status::blocked(
            "does not follow pg/0: it has 77 bytes of WAL of timeline 3 that the primary never \
             had. To give them up: `juju run pg/1 reinitialise force=true`",
        );
        check("pg-1", State::Running, false, true, &blocked);
    }

    #[test]
    fn no_state_but_a_running_one_is_active() {
        let log = "`juju ssh --container postgresql pg/1 /charm/bin/pebble logs postgresql`";
        let starting = format!(
            "PostgreSQL is starting, its log says how far it is: {log}. If it does not come up: \
             `juju run pg/1 reinitialise`"
        );
        check("pg-1", State::Starting, false, true, &Status::waiting(starting));
        let failed = Status::waiting(format!(
            "PostgreSQL does not start, its log says why: {log}. To copy the primary anew: `juju \
             run pg/1 reinitialise`"
        ));
        let waits = Status::waiting("awaiting for cluster to start");
        for (state, expected) in [
            ("start failed", &failed),
            ("restart failed", &failed),
            ("crashed", &failed),
            ("stop failed", &failed),
            ("stopped", &waits),
            ("creating replica", &waits),
            ("in archive recovery", &waits),
        ] {
            check("pg-1", State::Other(state.to_owned()), false, true, expected);
        }
    }

    #[test]
    fn a_primary_that_does_not_run_is_not_active() {
        let mut health = running_health();
        health.state = State::Other("start failed".to_owned());
        let leader = member("pg-0", Role::Leader, State::Running);
        let cluster = Cluster { members: vec![leader] };
        let log = "`juju ssh --container postgresql pg/0 /charm/bin/pebble logs postgresql`";
        let failed = format!("PostgreSQL does not start, its log says why: {log}");
        let expected = Expected { planned: 1, certificate_waits: false, not_streaming: None };
        let of = |health, cluster| {
            status(Seen { pod: "pg-0", cluster, health, strict: false }, expected)
        };
        assert_eq!(of(Some(&health), Some(&cluster)), Status::waiting(failed));
        // Its Patroni does not answer.
        let waits = Status::waiting("awaiting for cluster to start");
        assert_eq!(of(None, Some(&cluster)), waits);
        assert_eq!(of(None, None), waits);
    }
}
