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
    let Some(cluster) = seen.cluster else { return Status::active() };
    if let Some(member) = cluster.last_resort() {
        return wording::headless(&name(&member.name));
    }
    match cluster.leader() {
        Some(leader) if leader.name == seen.pod => of_primary(cluster, leader, seen, expected),
        Some(leader) if seen.health.is_some_and(is_not_streaming) && leader.state.is_ready() => {
            wording::not_streaming(&name(seen.pod), &name(&leader.name), expected.not_streaming)
        }
        Some(_) | None => Status::active(),
    }
}

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
        if state == State::Starting {
            health.state = State::Starting;
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
        check("pg-1", State::Starting, false, true, &Status::active());
    }
}
