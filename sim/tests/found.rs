//! What the simulator has found, each as the shortest history that shows it.

use sim::exhaust::scenarios;
use sim::fault::{Fault, Injection};
use sim::history::Op::{Backend, Config, NoBackend, Refresh, Relate, Scale, Unrelate};
use sim::history::{Client, History, Op, Step};
use sim::play::play;

fn client(old: bool, database: &str) -> Client {
    Client { old, database: database.to_owned(), roles: String::new() }
}

fn history(units: u32, clients: Vec<Client>, steps: Vec<Step>) -> History {
    let (seed, databases, slow, old_image, shuffled) = (1, 0, true, false, false);
    History { seed, units, databases, clients, slow, old_image, shuffled, steps }
}

#[track_caller]
fn check_history(history: &History) {
    let wrong = play(history, false).wrong;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn operators(ops: &[Op]) -> Vec<Step> {
    ops.iter().cloned().map(Step::Op).collect()
}

/// Plays these operators twice: all at once, and each after the one before has come to rest.
#[track_caller]
fn check(clients: Vec<Client>, ops: &[Op]) {
    check_history(&history(1, clients, operators(ops)));
}

#[test]
fn a_client_that_parts_leaves_others_their_lookup() {
    let clients = vec![client(false, "waltz"), client(false, "tango")];
    check(clients, &[Backend, Relate(0), Relate(1), Unrelate(0)]);
}

#[test]
fn a_client_that_parts_after_its_server_leaves_no_secret() {
    check(vec![client(false, "waltz")], &[Backend, Relate(0), NoBackend, Unrelate(0)]);
}

#[test]
fn an_old_client_that_parts_after_its_server_leaves_no_role() {
    check(vec![client(true, "waltz")], &[Backend, Relate(0), NoBackend, Unrelate(0)]);
}

#[test]
fn poolers_that_were_scaled_to_zero_come_back() {
    check(vec![client(true, "waltz")], &[Backend, Relate(0), Scale(0), Scale(2)]);
}

#[test]
fn the_user_list_goes_with_the_server_even_if_an_option_is_bad() {
    let bad = Config("pgbouncer-settings", "auth_type=any");
    check(Vec::new(), &[bad, Backend, Scale(0), Scale(2), NoBackend]);
}

/// Seed 1795263316000534: an option that was mended started nothing before update-status.
#[test]
fn a_container_that_came_while_an_option_was_bad_starts_when_it_is_mended() {
    let bad = Config("database-pool-sizes", "waltz");
    let mended = Config("database-pool-sizes", "");
    check(vec![client(false, "waltz")], &[Backend, bad, Refresh, mended]);
}

/// Seed 26: a new container was set up before its PgBouncer's version was read.
#[test]
fn an_old_pgbouncer_gets_no_setting_that_it_does_not_know() {
    let steps = vec![Step::Hook(495, None), Step::Strike(Fault::PodChurn, 780)];
    let played = history(2, Vec::new(), steps);
    check_history(&History { slow: false, old_image: true, ..played });
}

/// Seeds 846, 1128, 1602 and 1605 with hooks in any order: a unit that left took the end of its
/// own part in a relation for the end of the relation, once it had left its peers.
#[test]
fn units_that_leave_take_nothing_of_the_clients_with_them() {
    let clients = vec![client(false, "waltz"), client(true, "tango")];
    let steps = operators(&[Backend, Relate(0), Relate(1), Scale(0), Scale(3)]);
    for seed in 0..10 {
        let played = history(2, clients.clone(), steps.clone());
        check_history(&History { seed, shuffled: true, ..played });
    }
}

/// Seed 1263: a hook died between the layer and the replan. The plan was as it should be, so no
/// replan started the exporter.
#[test]
fn a_layer_that_nothing_was_started_by_is_made_up_for() {
    let before = [536, 787, 798, 282, 197, 395, 146, 749, 967, 212, 19, 367];
    let after = [
        802, 923, 933, 941, 796, 534, 803, 858, 536, 312, 656, 874, 879, 655, 963, 411, 482, 644,
        440, 10, 284, 405, 720, 507, 621, 733, 675,
    ];
    let mut steps = operators(&[Backend]);
    steps.extend(before.map(|pick| Step::Hook(pick, None)));
    steps.extend(operators(&[Relate(0)]));
    steps.extend(after.map(|pick| Step::Hook(pick, None)));
    let spoilt = |pick, fault, at| Step::Hook(pick, Some(Injection { fault, at }));
    steps.extend([spoilt(262, Fault::LeaderLost, 2), spoilt(115, Fault::KillBefore, 43)]);
    let played = history(2, vec![client(false, "postgres")], steps);
    check_history(&History { seed: 1263, shuffled: true, ..played });
}

/// A server came back, one statement for a client who had a user before was refused, and that user
/// was not made again. So it was where the API hid the Service in that hook.
#[test]
fn a_refused_statement_on_a_server_that_is_back_is_made_up_for() {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name.starts_with("the server"));
    let faults = [Fault::SqlFails, Fault::Kube403];
    let wrong = scenario.map(|scenario| scenario.exhaust(&faults, 3, false).wrong);
    assert_eq!(wrong, Some(Vec::new()));
}

/// PgBouncer does not report a reload that failed: its processes are queried. Seed 3786349838:
/// those whose user list goes with the last server were not, neither the leader's (effect 4) nor a
/// follower's (effect 5).
#[test]
fn a_reload_that_is_refused_is_noticed_and_made_up_for() {
    let scenarios = scenarios();
    let named = |start| scenarios.iter().find(|scenario| scenario.name.starts_with(start));
    let alone = named("a client").map(|one| one.exhaust(&[Fault::ReloadRefused], 1, false).wrong);
    assert_eq!(alone, Some(Vec::new()));
    let several = named("an old").map(|several| {
        let at = |at| several.exhaust_at(Fault::ReloadRefused, at).wrong;
        [at(4), at(5)].concat()
    });
    assert_eq!(several, Some(Vec::new()));
}

/// Scenario "an old client, a second pooler, another port", a hook that dies after effect 31: a
/// user list that no process read stayed in memory.
#[test]
fn no_user_list_stays_behind_a_hook_that_died() {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name.starts_with("an old"));
    let wrong = scenario.map(|scenario| scenario.exhaust_at(Fault::KillAfter, 31).wrong);
    assert_eq!(wrong, Some(Vec::new()));
}

/// Seed 1795299814002038: a hook that wrote another port died before the restart, and in the next
/// one something else had changed too, for which a SIGHUP is enough.
#[test]
fn a_restart_that_is_owed_is_made_up_for_whatever_changed_since() {
    let picks = [
        93, 725, 745, 710, 855, 280, 268, 743, 668, 897, 513, 515, 252, 735, 57, 837, 593, 450,
        786, 454, 900, 230,
    ];
    let mut steps = operators(&[Backend]);
    steps.extend(picks.map(|pick| Step::Hook(pick, None)));
    steps.extend(operators(&[Config("listen_port", "1")]));
    steps.push(Step::Hook(654, Some(Injection { fault: Fault::PebbleAway, at: 6 })));
    let admin = Client { roles: "admin".to_owned(), ..client(false, "pgbouncer") };
    let played = history(3, vec![admin], steps);
    for (slow, shuffled) in [(true, false), (true, true), (false, false), (false, true)] {
        check_history(&History { seed: 1795299814002038, slow, shuffled, ..played.clone() });
    }
}

/// Seed 1795304992001005: a unit that came to lead before it had the events of a legacy relation,
/// which the leader before it served, took that client for gone.
#[test]
fn a_new_leader_keeps_a_client_of_which_it_has_not_heard() {
    let before = [
        804, 558, 782, 379, 971, 115, 72, 295, 773, 331, 469, 481, 39, 557, 360, 552, 523, 60, 505,
        536, 191, 690, 80, 591, 521, 118, 544, 322, 981, 797, 932, 673, 274, 913, 222, 343, 47,
        210, 784, 435, 672, 830, 691, 768,
    ];
    let after = [
        155, 342, 885, 801, 594, 589, 58, 60, 577, 13, 338, 572, 126, 398, 502, 292, 756, 737, 848,
        591, 310, 966, 147, 774, 847, 45, 507, 967, 491, 144,
    ];
    let mut steps = operators(&[Backend, Scale(3)]);
    steps.extend(before.map(|pick| Step::Hook(pick, None)));
    steps.extend(operators(&[Relate(0)]));
    steps.extend(after.map(|pick| Step::Hook(pick, None)));
    steps.push(Step::Hook(530, Some(Injection { fault: Fault::LeaderLost, at: 6 })));
    let superuser = Client { roles: "superuser".to_owned(), ..client(true, "samba") };
    let played = history(1, vec![superuser, client(false, "waltz")], steps);
    for (slow, shuffled) in [(true, false), (true, true), (false, false), (false, true)] {
        check_history(&History { seed: 1795304992001005, slow, shuffled, ..played.clone() });
    }
}

fn hooks(picks: &[u32]) -> Vec<Step> {
    picks.iter().map(|pick| Step::Hook(*pick, None)).collect()
}

/// Seed 1795307174000693: a leader lost the lead after it had made a client's user, and the
/// relation ended before the next leader came to it.
#[test]
fn a_user_that_was_made_for_nothing_goes() {
    let mut steps = operators(&[Backend]);
    steps.extend(hooks(&[804, 189, 822, 270, 230]));
    steps.extend(operators(&[Scale(1)]));
    steps.extend(hooks(&[
        614, 882, 462, 731, 958, 976, 585, 734, 237, 723, 624, 433, 298, 34, 970, 766,
    ]));
    steps.push(Step::Strike(Fault::ServerDown, 690));
    steps.extend(hooks(&[669, 814, 142, 957]));
    steps.extend(operators(&[Relate(1)]));
    steps.extend(hooks(&[926, 535, 523, 920, 67, 250, 825, 36, 203]));
    steps.extend(operators(&[Scale(2)]));
    steps.push(Step::Strike(Fault::ServerDown, 382));
    steps.push(Step::Hook(382, Some(Injection { fault: Fault::LeaderLost, at: 9 })));
    steps.extend(operators(&[Unrelate(1)]));
    let roles = ["admin", "createdb", "", ""].map(str::to_owned);
    let databases = ["tango", "waltz", "waltz", "waltz"];
    let clients = databases.into_iter().zip(roles);
    let clients = clients.map(|(name, roles)| Client { roles, ..client(false, name) }).collect();
    let played = history(2, clients, steps);
    for (slow, old_image) in [(true, false), (true, true), (false, false), (false, true)] {
        check_history(&History { seed: 1795307174000693, slow, old_image, ..played.clone() });
    }
}

/// Seed 3020417: a relation ended before the leader had run a hook of it, although it had read and
/// remembered its bag.
#[test]
fn nothing_is_remembered_of_a_relation_that_no_hook_told_of() {
    let mut steps = Vec::new();
    steps.extend(hooks(&[
        147, 204, 640, 833, 490, 999, 216, 119, 321, 23, 187, 304, 89, 345, 121, 623, 528, 95, 220,
        124, 815, 396, 877, 831,
    ]));
    steps.extend(operators(&[Scale(1)]));
    steps.extend(hooks(&[947, 972, 96]));
    steps.extend(operators(&[Backend]));
    steps.extend(hooks(&[130, 979, 607]));
    steps.extend(operators(&[Relate(3)]));
    steps.extend(hooks(&[958]));
    steps.extend(operators(&[Unrelate(3)]));
    let long = "a_name_that_leaves_no_room_for_what_is_put_behind_it_in_the_ini";
    let admin = Client { roles: "admin".to_owned(), ..client(false, long) };
    let stranger = Client { roles: "nosuchrole".to_owned(), ..client(false, "waltz") };
    let clients = vec![stranger, admin, client(true, "tango"), client(false, long)];
    let played = history(3, clients, steps);
    for (slow, shuffled) in [(true, false), (true, true), (false, false), (false, true)] {
        check_history(&History { seed: 3020417, slow, shuffled, ..played.clone() });
    }
}

/// Seed 50460: a client that may use all databases came after another had left one behind, which
/// it could not read on replicas before update-status.
#[test]
fn a_client_of_all_databases_finds_those_that_are_there() {
    for (old, roles) in [(false, "admin"), (true, "superuser")] {
        let wide = Client { roles: roles.to_owned(), ..client(old, "tango") };
        let clients = vec![wide, client(false, "waltz")];
        check(clients, &[Backend, Relate(1), Unrelate(1), Relate(0)]);
    }
}
