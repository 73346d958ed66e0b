//! What the simulator has found in postgresql-k8s, each as the shortest history that shows it.

use sim::exhaust::database_scenarios;
use sim::fault::{Fault, Injection};
use sim::history::Op::{Backend, Database, Direct, UnrelateDirect};
use sim::history::{Client, DatabaseOp, History, Op, Step};
use sim::play::play;

fn client(database: &str) -> Client {
    Client { old: false, database: database.to_owned(), roles: String::new() }
}

/// Plays these steps, and their operators once more, each after the one before has come to rest.
#[track_caller]
fn check(units: u32, databases: u32, clients: Vec<Client>, steps: Vec<Step>) {
    check_at(true, units, databases, clients, steps);
}

/// As [`check`]; unless time passes slowly, Patroni and PostgreSQL go on between hooks.
#[track_caller]
fn check_at(slow: bool, units: u32, databases: u32, clients: Vec<Client>, steps: Vec<Step>) {
    let (seed, old_image, shuffled) = (1, false, false);
    let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
    let wrong = play(&history, false).wrong;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// As Juju does: changed options cause two events, the leader gets one for its own application's
/// databag, a secret's writer of the new revision.
#[test]
fn what_units_hear_of_their_own_doings_changes_nothing() {
    let mut steps = vec![Step::Strike(Fault::Echoes, 0)];
    for op in [
        Backend,
        Op::Relate(0),
        Direct(1),
        Database(DatabaseOp::SetPassword("operator")),
        Database(DatabaseOp::Config("connection_statement_timeout", "5000")),
        Op::Config("pool_mode", "transaction"),
        Database(DatabaseOp::Scale(1)),
        UnrelateDirect(1),
    ] {
        steps.extend((0..60).map(|_| Step::Hook(0, None)));
        steps.push(Step::Op(op));
    }
    check(2, 2, vec![client("waltz"), client("tango")], steps);
}

/// On a real Juju: survivors got no event for units that went and saw them listed on; commits
/// waited for standbys that were gone, and units that took their numbers did not join.
#[test]
fn peers_of_whose_end_nobody_tells_do_not_count() {
    let scale = |units| Database(DatabaseOp::Scale(units));
    for sizes in [[3, 1, 3], [2, 1, 2], [3, 2, 3]] {
        let mut steps = vec![Step::Strike(Fault::Ghosts, 0)];
        steps.extend(operators(&[Backend, Op::Relate(0)]));
        for units in sizes {
            steps.extend((0..160).map(|_| Step::Hook(0, None)));
            steps.extend(operators(&[scale(units), Op::Scale(units)]));
        }
        check(1, 1, vec![client("waltz")], steps);
    }
}

/// On a real node: until `start` had run, the pod was not ready and its services led nowhere; each
/// hook before it waited for the service in front of the primary, and so for `start`.
#[test]
fn no_hook_waits_for_what_waits_for_its_end() {
    for databases in 1..=3 {
        check(1, databases, vec![client("waltz")], operators(&[Backend, Op::Relate(0)]));
    }
}

fn operators(ops: &[Op]) -> Vec<Step> {
    ops.iter().cloned().map(Step::Op).collect()
}

/// Seed 118: a hook died when the server had the new password and Juju had not kept it; no login as
/// the operator was possible any more.
#[test]
fn a_password_that_is_not_kept_is_taken_back() {
    for (user, at) in (26..40).flat_map(|at| ["operator", "backup"].map(|user| (user, at))) {
        let rest = |steps: &mut Vec<Step>| steps.extend((0..60).map(|_| Step::Hook(0, None)));
        let mut steps = Vec::new();
        rest(&mut steps);
        steps.push(Step::Op(Database(DatabaseOp::SetPassword(user))));
        steps.push(Step::Hook(0, Some(Injection { fault: Fault::KillAfter, at })));
        rest(&mut steps);
        check(0, 1, Vec::new(), steps);
    }
}

/// Seed 5035: a leader lost the lead while it made the cluster, and the next one took that for
/// what an earlier deployment had left; two members took writes at once.
#[test]
fn a_leader_that_changes_while_the_cluster_is_made_makes_no_second_one() {
    let scenarios = database_scenarios();
    let all = scenarios[0].exhaust(&[Fault::LeaderLost], 23, false);
    assert!(all.wrong.is_empty(), "{:#?}", all.wrong);
}

/// Seed 5088: the unit that led when a relation ended had never seen it, and its user stayed.
#[test]
fn a_client_that_goes_while_the_leader_changes_leaves_no_user() {
    let mut steps = operators(&[Direct(0)]);
    steps.extend((0..80).map(|_| Step::Hook(0, None)));
    steps.extend(operators(&[Database(DatabaseOp::Scale(2)), UnrelateDirect(0)]));
    steps.push(Step::Strike(Fault::LeaderTurns, 1));
    check(0, 1, vec![client("waltz")], steps);
}

/// Seed 5061: the set-up of a cluster that was tried twice put the charm's own users among
/// those of clients.
#[test]
fn a_hook_may_die_while_the_cluster_is_made() {
    let scenarios = database_scenarios();
    let all = scenarios[0].exhaust(&[Fault::KillBefore, Fault::KillAfter], 41, false);
    assert!(all.wrong.is_empty(), "{:#?}", all.wrong);
}

/// Seed 20254: a file was written but Patroni did not reload, then or later.
#[test]
fn patroni_reads_what_a_hook_wrote_before_it_died() {
    let option = Database(DatabaseOp::Config("connection_statement_timeout", "5000"));
    for at in 14..30 {
        let mut steps: Vec<Step> = (0..80).map(|_| Step::Hook(0, None)).collect();
        steps.push(Step::Op(option.clone()));
        let slow = Fault::PebbleSlow;
        let fault = if at % 2 == 0 { Fault::KillAfter } else { slow };
        let at = if fault == slow { at / 3 } else { at };
        steps.push(Step::Hook(0, Some(Injection { fault, at })));
        check(0, 1, Vec::new(), steps);
    }
}

/// Seed 20188: standbys that waited for a primary saw it at the next update-status only.
#[test]
fn standbys_hear_of_the_primary_that_they_waited_for() {
    let profile = |name| Database(DatabaseOp::Config("profile", name));
    let ops = [profile("holiday"), Database(DatabaseOp::Refresh), profile("production")];
    check(0, 4, Vec::new(), operators(&ops));
}

/// An option that could not be used any more kept PostgreSQL from starting in a new pod, so that a
/// refresh took the cluster down, one pod after another.
#[test]
fn a_new_pod_runs_while_an_option_cannot_be_used() {
    let bad = Database(DatabaseOp::Config("profile", "holiday"));
    for databases in [1, 3] {
        let clients = vec![client("waltz"), client("tango")];
        let ops = [Direct(0), bad.clone(), Database(DatabaseOp::Refresh), Direct(1)];
        check(0, databases, clients, operators(&ops));
    }
}

/// Seed 300297, as it was shrunk: a unit that had put off leader-elected and led no more failed
/// in every hook, and took clients that it does not see for gone.
#[test]
fn a_unit_that_leads_no_more_puts_nothing_into_the_bag() {
    let hooks = |picks: &[u32]| picks.iter().map(|pick| Step::Hook(*pick, None)).collect();
    let mut steps: Vec<Step> = operators(&[Backend]);
    let first: Vec<Step> = hooks(&[
        430, 580, 965, 165, 504, 51, 319, 539, 889, 455, 579, 905, 118, 946, 746, 883, 313, 830,
        639, 275, 487, 30,
    ]);
    let second: Vec<Step> =
        hooks(&[254, 316, 169, 61, 835, 753, 437, 366, 165, 681, 116, 384, 984, 747, 861, 573]);
    let third: Vec<Step> = hooks(&[104, 146, 90, 82]);
    steps.extend(first);
    steps.push(Step::Strike(Fault::MemberCut, 254));
    steps.extend(second);
    steps.push(Step::Op(Database(DatabaseOp::Scale(3))));
    steps.extend(third);
    steps.push(Step::Hook(777, Some(Injection { fault: Fault::LeaderLost, at: 11 })));
    steps.push(Step::Hook(382, None));
    steps.push(Step::Strike(Fault::LeaderTurns, 25));
    for slow in [false, true] {
        let (seed, units, databases, clients) = (300_297, 1, 2, Vec::new());
        let steps = steps.clone();
        let (old_image, shuffled) = (false, false);
        let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
        let wrong = play(&history, false).wrong;
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Seed 116: with strict commits and no standby left, a hook waited for ever.
#[test]
fn a_hook_does_not_wait_for_ever_for_a_standby() {
    let scale = |units| Database(DatabaseOp::Scale(units));
    check(1, 3, Vec::new(), operators(&[Backend, scale(0), scale(3)]));
}

/// Seed 152: what a client asked for showed the unit active although an option was invalid.
#[test]
fn a_client_hides_no_invalid_option() {
    let bad = Database(DatabaseOp::Config("instance_password_encryption", "plain"));
    check(0, 2, vec![client("waltz")], operators(&[bad, Direct(0)]));
}

/// Seed 140 of the first with pods that stand still: a pooler's client had made the database,
/// and one of the server's own could not make a table in it.
#[test]
fn a_client_may_use_a_database_that_another_charms_client_made() {
    let clients = vec![client("waltz"), client("waltz")];
    check(1, 1, clients, operators(&[Backend, Op::Relate(0), Direct(1)]));
}

/// Seed 1795283663000113: a leader lost the lead before it could say that the cluster is set up,
/// then its pod was replaced; the next leader took the objects for orphaned ones and made another one.
#[test]
fn a_cluster_whose_first_leader_is_away_is_not_made_anew() {
    let mut steps = operators(&[Database(DatabaseOp::Scale(2))]);
    steps.extend([926, 512, 570, 686, 392, 124].map(|pick| Step::Hook(pick, None)));
    steps.push(Step::Hook(302, Some(Injection { fault: Fault::LeaderLost, at: 8 })));
    steps.push(Step::Strike(Fault::PodChurn, 948));
    check(0, 5, Vec::new(), steps);
}

/// Seed 1795284798000228: a pod was replaced while its Patroni copied the primary. Patroni leaves
/// what is there, and no request for a new copy was made.
#[test]
fn a_copy_that_was_broken_off_is_made_anew() {
    let mut steps = Vec::new();
    steps.extend(
        [957, 980, 554, 405, 738, 251, 883, 463, 570, 866, 873, 423, 206, 941, 220, 282]
            .map(|pick| Step::Hook(pick, None)),
    );
    steps.extend(operators(&[Direct(1)]));
    steps.extend([497].map(|pick| Step::Hook(pick, None)));
    steps.extend(operators(&[Database(DatabaseOp::Refresh)]));
    steps.extend(
        [
            125, 43, 941, 899, 192, 720, 647, 676, 956, 460, 429, 460, 906, 836, 150, 709, 908,
            322, 537, 852, 213, 249, 371, 27, 256, 843, 436, 285,
        ]
        .map(|pick| Step::Hook(pick, None)),
    );
    steps.push(Step::Hook(776, Some(Injection { fault: Fault::KillBefore, at: 24 })));
    steps.extend([36, 758].map(|pick| Step::Hook(pick, None)));
    let superuser = Client { roles: "superuser".to_owned(), ..client("waltz") };
    check(0, 3, vec![superuser, client("tango"), client("tango")], steps);
}

/// Seed 1795299410000296: the container of a pod that stood still was started anew, and the pod
/// then stood still for ever, with the only data. A fault of the simulator's own.
#[test]
fn a_pod_whose_container_starts_anew_does_not_stand_still() {
    let picks = [414, 194, 949, 625, 674, 660, 90, 620, 671, 615];
    let mut steps: Vec<Step> = picks.map(|pick| Step::Hook(pick, None)).into();
    steps.extend(operators(&[Database(DatabaseOp::Scale(3))]));
    steps.push(Step::Hook(219, None));
    steps.push(Step::Strike(Fault::PodFrozen, 82));
    steps.push(Step::Strike(Fault::ContainerRestart, 757));
    let stranger = Client { roles: "nosuchrole".to_owned(), ..client("waltz") };
    let old = Client { old: true, ..client("waltz") };
    check(1, 1, vec![client("tango"), old, stranger], steps);
}

/// Seed 1795307174010388: a change of the replication's password waited for a standby that stood
/// still, and was given up; the server had it, the standbys had not, and no statement came to its
/// end any more, the one least of all that the charm tried before it would take it back.
#[test]
fn a_password_that_locks_the_standbys_out_is_taken_back_first() {
    let before = [
        988, 483, 596, 775, 870, 315, 922, 340, 359, 395, 923, 224, 370, 504, 558, 44, 850, 471,
        802, 3, 76, 150, 947, 886, 770, 21, 926, 180, 335, 12,
    ];
    let after = [692, 330, 114, 253, 672, 220, 33];
    let hooks =
        |picks: &[u32]| picks.iter().map(|pick| Step::Hook(*pick, None)).collect::<Vec<_>>();
    let mut steps = hooks(&before);
    steps.push(Step::Strike(Fault::PodFrozen, 702));
    steps.extend(hooks(&after));
    steps.extend(operators(&[Database(DatabaseOp::SetPassword("replication"))]));
    steps.extend(hooks(&[349]));
    steps.extend(operators(&[Direct(2)]));
    let superuser = Client { roles: "superuser".to_owned(), ..client("tango") };
    check(0, 2, vec![superuser, client("waltz"), client("tango")], steps);
}

/// Seed 1795316396000416: a relation ended while the server had a password that Juju had not; the
/// user could not be removed, and no later hook tried again.
#[test]
fn a_user_that_could_not_be_removed_is_removed_later() {
    let rest = || (0..80).map(|_| Step::Hook(0, None));
    let mut steps = operators(&[Direct(0)]);
    steps.extend(rest());
    steps.push(Step::Strike(Fault::StreamCut, 0));
    steps.extend(operators(&[Database(DatabaseOp::SetPassword("operator"))]));
    steps.push(Step::Hook(0, None));
    steps.extend(operators(&[UnrelateDirect(0)]));
    check(0, 2, vec![client("waltz")], steps);
}

/// Seed 4058734563: a unit came to lead before its `start`, and had not had the events of a
/// relation yet; it took it for gone and removed its user.
#[test]
fn a_client_of_which_a_new_leader_has_not_been_told_keeps_its_user() {
    let before = [
        161, 596, 187, 4, 655, 544, 529, 397, 409, 952, 220, 905, 511, 979, 446, 137, 995, 559,
        687, 555,
    ];
    let mut steps = Vec::new();
    steps.extend(before.map(|pick| Step::Hook(pick, None)));
    steps.extend(operators(&[Direct(0)]));
    steps.extend([342, 768, 412, 549, 246].map(|pick| Step::Hook(pick, None)));
    steps.push(Step::Strike(Fault::LeaderTurns, 498));
    let admin = Client { roles: "admin".to_owned(), ..client("waltz") };
    check_at(false, 0, 2, vec![admin, client("waltz")], steps);
}

/// Seed 4058734651: units came while the application was not trusted, and their hooks waited for a
/// Patroni that could not come up. A fault of the check's own.
#[test]
fn hooks_may_wait_while_the_application_is_not_trusted() {
    let steps = operators(&[Database(DatabaseOp::Trust(false)), Database(DatabaseOp::Scale(4))]);
    let old = Client { old: true, roles: "admin".to_owned(), ..client("waltz") };
    check(1, 1, vec![old, client("waltz")], steps);
}
