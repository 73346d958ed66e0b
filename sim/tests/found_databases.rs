//! What the simulator has found in postgresql-k8s, each as the shortest history that shows it.

use sim::gate::{Fault, Mischief};
use sim::history::Op::{Backend, Database, Direct};
use sim::history::{Client, DatabaseOp, History, Op, Step, play};

fn client(database: &str) -> Client {
    Client { old: false, database: database.to_owned(), roles: String::new() }
}

/// Plays these steps, and their operators once more, each after the one before has come to rest.
#[track_caller]
fn check(units: u32, databases: u32, clients: Vec<Client>, steps: Vec<Step>) {
    let (seed, slow, old_image) = (1, true, false);
    let history = History { seed, units, databases, clients, slow, old_image, steps };
    let wrong = play(&history, false).wrong;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn operators(ops: &[Op]) -> Vec<Step> {
    ops.iter().cloned().map(Step::Op).collect()
}

/// Seed 118: a hook died when the server had the new password and Juju had not kept it; nobody
/// could log in as the operator any more.
#[test]
fn a_password_that_is_not_kept_is_taken_back() {
    for (user, at) in (26..40).flat_map(|at| ["operator", "backup"].map(|user| (user, at))) {
        let rest = |steps: &mut Vec<Step>| steps.extend((0..60).map(|_| Step::Hook(0, None)));
        let mut steps = Vec::new();
        rest(&mut steps);
        steps.push(Step::Op(Database(DatabaseOp::SetPassword(user))));
        steps.push(Step::Hook(0, Some(Mischief { fault: Fault::KillAfter, at })));
        rest(&mut steps);
        check(0, 1, Vec::new(), steps);
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
