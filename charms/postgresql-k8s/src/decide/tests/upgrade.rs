//! The rolling upgrade.

use patroni::{Cluster, Member, Role, State};

use super::super::upgrade::{Seen, Step, Waits};
use super::{check_without, decide, list};
use crate::facts::Facts;
use crate::facts::fixture::{joined, member};
use crate::upgrade::{Pod, Upgrade};
use juju_charm::Event;

/// Pods of the templates `a`, `b` and `c`, one letter each: a capital is ready, a point is no pod
/// and `-` one that leaves. The current template is the first of `current`, the newest the second.
fn upgrade(partition: u32, pods: &str, [current, newest]: [&str; 2]) -> Upgrade {
    let pod = |(number, letter): (usize, char)| Pod {
        number: u32::try_from(number).unwrap(),
        revision: if letter == '-' { "a".to_owned() } else { letter.to_lowercase().to_string() },
        ready: letter.is_uppercase(),
        leaving: letter == '-',
    };
    Upgrade {
        version: "7".to_owned(),
        replicas: u32::try_from(pods.len()).unwrap(),
        partition,
        current: current.to_owned(),
        newest: newest.to_owned(),
        noticed: true,
        pods: pods.chars().enumerate().filter(|(_, letter)| *letter != '.').map(pod).collect(),
        stack: Some(("3".parse().unwrap(), false)),
    }
}

/// Members, one letter each: `L` leads, `S` follows in sync, `R` follows and nobody waits for it,
/// `l` follows far behind, `-` runs and does not follow.
fn cluster(members: &str) -> Cluster {
    let one = |(number, letter): (usize, char)| {
        let (role, state, lag) = match letter {
            'L' => (Role::Leader, State::Running, None),
            'S' => (Role::SyncStandby, State::Streaming, Some(0)),
            'R' => (Role::Replica, State::Streaming, Some(0)),
            'l' => (Role::Replica, State::Streaming, Some(2 << 20)),
            _ => (Role::Replica, State::Running, None),
        };
        Member { lag, ..member(&format!("pg-{number}"), role, state) }
    };
    let members = members.chars().enumerate().filter(|(_, letter)| *letter != '.').map(one);
    Cluster { members: members.collect() }
}

const UPDATE: [&str; 2] = ["a", "b"];

#[track_caller]
fn check(
    (partition, pods, revisions): (u32, &str, [&str; 2]),
    members: &str,
    expected: (Step, Option<Waits>),
) {
    let (upgrade, cluster) = (upgrade(partition, pods, revisions), cluster(members));
    let seen = Seen { upgrade: &upgrade, cluster: Some(&cluster), synchronous: true };
    assert_eq!(seen.next(), expected, "{partition} {pods} {members}");
}

fn switch(leader: &str, successor: &str) -> Step {
    Step::SwitchOver(leader.to_owned(), successor.to_owned())
}

#[test]
fn at_rest_a_refresh_would_replace_the_last_pod_alone_and_never_the_primarys() {
    let rest = |partition, pods: &str, members, step| {
        check((partition, pods, ["a", "a"]), members, (step, None));
    };
    rest(0, "AAA", "LSR", Step::Hold(2));
    rest(2, "AAA", "LSR", Step::Keep);
    rest(2, "AAA", "SRL", Step::Hold(3));
    rest(3, "AAA", "SRL", Step::Keep);
    rest(3, "AAA", "LSR", Step::Hold(2));
    // Without a primary it is unknown whose pod is the last.
    rest(3, "AAA", "-SR", Step::Keep);
    rest(0, "AAA", "-SR", Step::Hold(2));
    // The scale has changed.
    rest(2, "AA", "LS", Step::Hold(1));
    rest(1, "A", "L", Step::Hold(0));
    rest(0, "A", "L", Step::Keep);
}

#[test]
fn the_next_pod_goes_when_the_last_one_follows_in_sync() {
    let next = |partition, pods: &str, members, expected| {
        check((partition, pods, UPDATE), members, expected);
    };
    let replacing = |number| Some(Waits::Replacing(number));
    let away = |number| Some(Waits::Away(number));
    next(2, "AAA", "LSR", (Step::Keep, replacing(2)));
    next(2, "AA-", "LS.", (Step::Keep, replacing(2)));
    next(2, "AA.", "LS.", (Step::Keep, away(2)));
    // Ready it is at once, and Kubernetes would go on.
    next(2, "AAB", "LS.", (Step::Keep, away(2)));
    next(2, "AAB", "LS-", (Step::Keep, away(2)));
    next(2, "AAB", "LSl", (Step::Keep, away(2)));
    next(2, "AAb", "LSR", (Step::Keep, away(2)));
    next(2, "AAB", "LSR", (Step::Replace(1), replacing(1)));
    next(1, "AAB", "LSR", (Step::Keep, replacing(1)));
    next(1, "A.B", "L.S", (Step::Keep, away(1)));
    // A third refresh meanwhile would begin with the last pod again, so it is held.
    next(1, "ABB", "L-S", (Step::Hold(3), away(1)));
    next(3, "ABB", "L-S", (Step::Keep, away(1)));
    // One that nobody was to take away, and that the primary is by now.
    next(3, "AAA", "LSR", (Step::Replace(2), replacing(2)));
    next(0, "AAA", "LSR", (Step::Hold(2), replacing(2)));
    // The one that is away is the one that goes.
    next(3, "AAA", "LS-", (Step::Replace(2), replacing(2)));
    next(2, "AAB", "L-R", (Step::Replace(1), replacing(1)));
    next(2, "AAB", "-SR", (Step::Keep, Some(Waits::NoPrimary)));
    next(0, "AAB", "-SR", (Step::Hold(2), Some(Waits::NoPrimary)));
}

#[test]
fn the_primary_is_elsewhere_before_its_pod_goes() {
    let next = |partition, pods: &str, members, expected| {
        check((partition, pods, UPDATE), members, expected);
    };
    let replacing = |number| Some(Waits::Replacing(number));
    let none = |number| Some(Waits::NoSuccessor(number));
    next(1, "ABB", "LSR", (switch("pg-0", "pg-1"), replacing(0)));
    next(1, "ABB", "LRS", (switch("pg-0", "pg-2"), replacing(0)));
    next(1, "ABB", "LRR", (Step::Keep, none(0)));
    next(1, "ABB", "RSL", (Step::Replace(0), replacing(0)));
    next(2, "AAB", "RLS", (switch("pg-1", "pg-2"), replacing(1)));
    // None is upgraded that may lead: the one leads whose pod goes last.
    next(3, "AAA", "SSL", (switch("pg-2", "pg-0"), replacing(2)));
    next(2, "AAB", "SLR", (switch("pg-1", "pg-0"), replacing(1)));
    // It came to lead after its pod was let go.
    next(2, "AAA", "SRL", (Step::Hold(3), replacing(2)));
    next(0, "ABB", "LSR", (Step::Hold(1), replacing(0)));
    next(1, "A", "L", (Step::Replace(0), replacing(0)));
}

#[test]
fn an_upgrade_that_is_over_leaves_all_but_the_last_held() {
    check((0, "BBB", UPDATE), "SLR", (Step::Hold(2), None));
    check((0, "bBB", UPDATE), "-LS", (Step::Hold(2), Some(Waits::Away(0))));
    check((2, "BBB", ["b", "b"]), "SLR", (Step::Keep, None));
}

#[test]
fn what_a_refresh_broke_goes_back_first() {
    let back = ["a", "c"];
    // The last pod is the one: Kubernetes replaces it at once.
    check((2, "AAb", back), "LS.", (Step::Keep, Some(Waits::Replacing(2))));
    // Another is, and those after it are well: it is made as it was before they go.
    check((3, "AbB", back), "L.S", (Step::Recreate(1), Some(Waits::Away(1))));
    check((3, "AaB", back), "L.S", (Step::Keep, Some(Waits::Away(1))));
    check((3, "AAB", back), "LSR", (Step::Replace(2), Some(Waits::Replacing(2))));
    check((2, "AAC", back), "LSR", (Step::Replace(1), Some(Waits::Replacing(1))));
}

#[test]
fn nothing_is_done_before_kubernetes_has_noticed_the_last_change() {
    let upgrade = Upgrade { noticed: false, ..upgrade(1, "AAA", ["a", "a"]) };
    let cluster = cluster("LSR");
    let seen = Seen { upgrade: &upgrade, cluster: Some(&cluster), synchronous: true };
    assert_eq!(seen.next(), (Step::Keep, None));
}

#[test]
fn without_an_answer_of_patroni_no_pod_goes() {
    let seen_of = |partition| {
        let upgrade = upgrade(partition, "AAB", UPDATE);
        Seen { upgrade: &upgrade, cluster: None, synchronous: true }.next()
    };
    assert_eq!(seen_of(2), (Step::Keep, Some(Waits::NoPrimary)));
}

#[test]
fn where_no_commit_waits_any_standby_may_lead() {
    let (upgrade, cluster) = (upgrade(1, "ABB", UPDATE), cluster("LRR"));
    let seen = Seen { upgrade: &upgrade, cluster: Some(&cluster), synchronous: false };
    assert_eq!(seen.next().0, switch("pg-0", "pg-1"));
}

/// Whatever the last answers were, no step lets two pods go that are not both away already, and
/// none lets the primary's go while another may lead.
#[test]
fn no_step_lets_two_members_go_or_the_primary() {
    let (mut steps, letters) = (0, ['A', 'a', 'B', 'b', '-', '.']);
    for at in 0..6_usize.pow(3) {
        let pods: String = (0..3).map(|place| letters[at / 6_usize.pow(place) % 6]).collect();
        for members in ["LSR", "SLR", "RSL", "LS-", "L-S", "-LS", "-SR", "L..", "LS."] {
            for partition in 0..=3 {
                let upgrade = upgrade(partition, &pods, UPDATE);
                let cluster = cluster(members);
                let seen = Seen { upgrade: &upgrade, cluster: Some(&cluster), synchronous: true };
                let (Step::Replace(next), _) = seen.next() else { continue };
                steps += 1;
                let goes = |number: usize| pods.as_bytes()[number].eq_ignore_ascii_case(&b'a');
                let highest = (0..3).rev().find(|&number| goes(number)).unwrap();
                assert_eq!(next as usize, highest, "{pods} {members} {partition}");
                let away = (0..3).filter(|&number| number != highest);
                let well = away.clone().all(|number| {
                    pods.as_bytes()[number].is_ascii_uppercase()
                        && "LSR".contains(members.as_bytes()[number] as char)
                });
                assert!(well, "{pods} {members} {partition}");
                assert_ne!(members.as_bytes()[highest], b'L', "{pods} {members} {partition}");
            }
        }
    }
    assert!(steps > 20, "{steps}");
}

/// `pg/0` leads in Juju's sense and in Patroni's, and `pg/1` is upgraded.
fn rolling() -> Facts {
    let mut facts = joined();
    facts.cluster = Some(cluster("LS"));
    facts.upgrade = Some(upgrade(1, "AB", UPDATE));
    facts
}

#[test]
fn the_leader_takes_the_step_and_says_so() {
    let effects = list(&decide(&Event::UpdateStatus, &rolling()));
    let at = effects.iter().position(|one| one == "upgrade: switch over from pg-0 to pg-1");
    assert!(at.is_some_and(|at| effects[at + 1] == "upgrade: upgrading pg/0"), "{effects:?}");
    let follower = Facts { leader: false, ..rolling() };
    check_without(&decide(&Event::UpdateStatus, &follower), "upgrade");
    check_without(&decide(&Event::UpdateStatus, &rolling()), "restart");
}

#[test]
fn the_action_of_the_operator_goes_on_without_a_unit() {
    let act = |name: &str, facts: &Facts| {
        let event = Event::Action { name: name.to_owned(), id: "1".to_owned() };
        list(&decide(&event, facts))
    };
    let mut facts = rolling();
    facts.upgrade = Some(upgrade(2, "AAb", UPDATE));
    facts.cluster = Some(cluster("LS."));
    let resumed = ["partition 1", "result message=Upgrade will resume on unit 1"];
    assert_eq!(act("resume-upgrade", &facts), resumed);
    facts.upgrade = Some(upgrade(2, "AAA", ["a", "a"]));
    let nothing = ["fail: Nothing to resume, upgrade stack unset."];
    assert_eq!(act("resume-upgrade", &facts), nothing);
    let unwell = "fail: Pre-upgrade check failed and cannot safely upgrade: \
        pg/2 does not follow, or it is not ready";
    assert_eq!(act("pre-upgrade-check", &facts), [unwell]);
    facts.cluster = Some(cluster("RSL"));
    let prepared = act("pre-upgrade-check", &facts);
    assert_eq!(prepared[0], "upgrade: switch over from pg-2 to pg-1");
    assert!(prepared.iter().any(|one| one.contains("upgrade-stack")), "{prepared:?}");
    facts.leader = false;
    let follower = ["fail: Action must be ran on the Juju leader."];
    assert_eq!(act("pre-upgrade-check", &facts), follower);
}

#[test]
fn a_prepared_upgrade_stops_after_its_first_unit() {
    let mut facts = rolling();
    facts.upgrade = Some(upgrade(2, "AAB", UPDATE));
    facts.cluster = Some(cluster("LSR"));
    facts.upgrade.as_mut().unwrap().stack = Some(("3".parse().unwrap(), true));
    let effects = list(&decide(&Event::UpdateStatus, &facts));
    let paused = "upgrade: pg/2 is upgraded. To go on: `juju run pg/0 resume-upgrade`";
    assert!(effects.iter().any(|one| one == paused), "{effects:?}");
    check_without(&decide(&Event::UpdateStatus, &facts), "partition");
    let event = Event::Action { name: "resume-upgrade".to_owned(), id: "1".to_owned() };
    let resumed = list(&decide(&event, &facts));
    assert_eq!(resumed[0], "partition 1");
    assert!(resumed[1].contains("upgrade-stack"), "{resumed:?}");
}
