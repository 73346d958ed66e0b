//! What the simulator has found, each as the shortest history that shows it.

use sim::exhaust::scenarios;
use sim::gate::Fault;
use sim::history::Op::{Backend, Config, NoBackend, Part, Refresh, Relate, Scale};
use sim::history::{Client, History, Op, Step, play};

fn client(old: bool, database: &str) -> Client {
    Client { old, database: database.to_owned(), roles: String::new() }
}

/// Plays these operators twice: all at once, and each after the one before has come to rest.
#[track_caller]
fn check(clients: Vec<Client>, ops: &[Op]) {
    let steps = ops.iter().cloned().map(Step::Op).collect();
    let (seed, units, databases, slow) = (1, 1, 0, true);
    let (old_image, shuffled) = (false, false);
    let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
    let wrong = play(&history, false).wrong;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_client_that_parts_leaves_others_their_lookup() {
    let clients = vec![client(false, "waltz"), client(false, "tango")];
    check(clients, &[Backend, Relate(0), Relate(1), Part(0)]);
}

#[test]
fn a_client_that_parts_after_its_server_leaves_no_secret() {
    check(vec![client(false, "waltz")], &[Backend, Relate(0), NoBackend, Part(0)]);
}

#[test]
fn an_old_client_that_parts_after_its_server_leaves_no_role() {
    check(vec![client(true, "waltz")], &[Backend, Relate(0), NoBackend, Part(0)]);
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

/// Seed 26: a new container was set up before anybody had asked its PgBouncer's version.
#[test]
fn an_old_pgbouncer_gets_no_setting_that_it_does_not_know() {
    let steps = vec![Step::Hook(495, None), Step::Strike(Fault::PodChurn, 780)];
    let (seed, units, slow, old_image) = (1, 2, false, true);
    let history = History {
        seed,
        units,
        databases: 0,
        clients: Vec::new(),
        slow,
        old_image,
        shuffled: false,
        steps,
    };
    let wrong = play(&history, false).wrong;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A server came back, one statement for a client who had a user before was refused, and nobody
/// made that user again. So it was where the API hid the Service in that hook.
#[test]
fn a_refused_statement_on_a_server_that_is_back_is_made_up_for() {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name.starts_with("the server"));
    let faults = [Fault::SqlFails, Fault::Kube403];
    let wrong = scenario.map(|scenario| scenario.exhaust(&faults, 3, false).wrong);
    assert_eq!(wrong, Some(Vec::new()));
}

/// Scenario "an old client, a second pooler, another port", a hook that dies after effect 31: a
/// user list stayed in memory that nobody read.
#[test]
fn no_user_list_stays_behind_a_hook_that_died() {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name.starts_with("an old"));
    let wrong = scenario.map(|scenario| scenario.exhaust_at(Fault::KillAfter, 31).wrong);
    assert_eq!(wrong, Some(Vec::new()));
}
