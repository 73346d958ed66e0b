//! Histories against planted faults, until one of them fails.

use super::{Mutant, plant};
use crate::exhaust::scenarios;
use crate::gate::Fault;
use crate::history::{Client, Faults, History, Op, Step, draw, play};

/// How a planted fault fared.
pub enum Outcome {
    /// It was caught after so many histories, by this.
    Caught(u64, String),
    /// No history failed.
    Missed,
}

/// What operators do seldom enough that few seeds have it.
fn scripts() -> Vec<History> {
    let client = |old, database: &str, roles: &str| Client {
        old,
        database: database.to_owned(),
        roles: roles.to_owned(),
    };
    let clients = vec![
        client(false, "waltz", ""),
        client(false, "tango", "superuser"),
        client(true, "", ""),
        client(true, "", "superuser"),
        client(false, LONG, ""),
    ];
    let all = [Op::Backend, Op::Relate(0), Op::Relate(1), Op::Relate(2), Op::Relate(3)];
    let after: [&[Op]; 10] = [
        &[Op::Config("listen_port", "6433")],
        &[Op::Config("pool_mode", "transaction"), Op::Config("max_prepared_statements", "0")],
        &[Op::Relate(4)],
        &[Op::NoBackend, Op::Part(0), Op::Part(2)],
        &[Op::NoBackend, Op::Backend],
        &[Op::Part(0), Op::Part(1), Op::Part(2), Op::Part(3)],
        &[Op::Scale(0), Op::Scale(2)],
        &[Op::Scale(1), Op::Scale(3), Op::Scale(2)],
        &[Op::Refresh, Op::Rotate, Op::Action],
        &[Op::Config("expose-external", "nodeport"), Op::Config("expose-external", "false")],
    ];
    let history = |ops: &[Op]| {
        let ops = all.iter().chain(ops);
        // Each comes to rest before the next.
        let pause = || (0..120).map(|_| Step::Hook(0, None));
        let steps = ops.flat_map(|op| std::iter::once(Step::Op(op.clone())).chain(pause()));
        let clients = clients.clone();
        let (seed, units, databases, slow, old_image) = (1, 2, 0, true, false);
        History { seed, units, databases, clients, slow, old_image, steps: steps.collect() }
    };
    after.map(history).into()
}

/// A database's name that leaves no room for what older charms put behind it.
const LONG: &str = "a_name_that_leaves_no_room_for_what_is_put_behind_it_in_the_ini";

/// What is wrong although no fault is planted: then nothing can be told of those that are.
pub fn unplanted(seeds: std::ops::Range<u64>) -> Option<String> {
    plant(None);
    caught(seeds).map(|(_, why)| why)
}

/// Plays scenarios, then as many seeds, until one fails.
pub fn run(mutant: &Mutant, seeds: std::ops::Range<u64>) -> Outcome {
    plant(Some(mutant.plant.clone()));
    let found = caught(seeds);
    plant(None);
    found.map_or(Outcome::Missed, |(histories, why)| Outcome::Caught(histories, why))
}

fn caught(seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let mut histories = 0;
    let first =
        |wrong: &[String]| wrong.first().and_then(|text| text.lines().next()).map(str::to_owned);
    for scenario in scenarios() {
        histories += 1;
        if let Some(why) = first(&scenario.once()) {
            return Some((histories, why));
        }
    }
    for history in scripts() {
        histories += 1;
        if let Some(why) = first(&play(&history, false).wrong) {
            return Some((histories, why));
        }
    }
    let calm = Faults(Default::default());
    for seed in seeds.clone() {
        for faults in [&calm, &Faults::default()] {
            histories += 1;
            if let Some(why) = first(&play(&draw(seed, faults), false).wrong) {
                return Some((histories, why));
            }
        }
    }
    // What a death leaves behind, at some of the effects.
    for scenario in scenarios() {
        let all = scenario.exhaust(&[Fault::KillBefore, Fault::KillAfter], 97);
        histories += all.runs / 97;
        if let Some(why) = first(&all.wrong) {
            return Some((histories, why));
        }
    }
    None
}
