//! Draws a history from a seed.

use std::collections::BTreeSet;

use super::options::{OPTIONS, OptionSpec};
use super::{Client, History, Op, Step, Which, database};
use crate::fault::{Fault, Injection};
use crate::rng::Rng;

/// Which faults may strike.
#[derive(Debug, Clone)]
pub struct Faults(pub BTreeSet<Fault>);

impl Default for Faults {
    fn default() -> Self {
        Self(Fault::all().collect())
    }
}

const ROLES: [&str; 9] = ["", "", "", "", "", "createdb", "admin", "superuser", "nosuchrole"];

/// The last two are impossible.
const DATABASES: [&str; 8] = [
    "waltz",
    "tango",
    "samba",
    "test-database",
    "Polka",
    "a_name_that_leaves_no_room_for_what_is_put_behind_it_in_the_ini",
    "postgres",
    "pgbouncer",
];

/// The pooler's actions.
const ACTIONS: [&str; 2] = ["get-console-credentials", "set-tls-private-key"];

/// The history of a seed.
pub fn draw(seed: u64, faults: &Faults) -> History {
    let mut rng = Rng::new(seed);
    let units = 1 + [0, 0, 1, 1, 2, 2, 3, 4][rng.below(8)];
    let crowd = if rng.chance(50) { 20 } else { 5 };
    let kinds = 1 + rng.below(6);
    let clients: Vec<Client> = (0..rng.below(crowd + 1)).map(|_| client(&mut rng, kinds)).collect();
    // Some of the faults, at a rate of their own: some histories hardly know any.
    let mut on: Vec<Fault> = faults.0.iter().copied().collect();
    on.retain(|_| rng.chance(400));
    let rate = [0, 50, 150, 400][rng.below(4)];
    let slow = on.contains(&Fault::NoUpdateStatus) || rng.chance(500);
    let mut steps = Vec::new();
    steps.push(Step::Op(Op::Backend));
    for _ in 0..4 + rng.below(12) {
        steps.push(Step::Op(op(&mut rng, &clients)));
        let hooks = if rng.chance(300) { 60 } else { 12 };
        hooks_between(&mut rng, &mut steps, hooks, &on, rate);
    }
    let old_image = rng.chance(200);
    let shuffled = on.contains(&Fault::Shuffled);
    pauses(seed, &mut steps);
    History { seed, units, databases: 0, clients, slow, old_image, shuffled, steps }
}

/// The history of a seed with the real PostgreSQL charm.
pub fn draw_database(seed: u64, faults: &Faults) -> History {
    let mut rng = Rng::new(seed ^ 0x6461_7461_6261_7365);
    let databases = 1 + [0, 1, 1, 2, 2, 2, 3, 4][rng.below(8)];
    let crowd = if rng.chance(30) { 20 } else { 3 };
    let clients: Vec<Client> = (0..rng.below(crowd + 1)).map(|_| client(&mut rng, 2)).collect();
    let units = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5][rng.below(14)];
    let mut on: Vec<Fault> = faults.0.iter().copied().collect();
    on.retain(|_| rng.chance(400));
    let rate = [0, 50, 150, 400][rng.below(4)];
    let slow = on.contains(&Fault::NoUpdateStatus) || rng.chance(500);
    let mut steps = Vec::new();
    if units > 0 {
        steps.push(Step::Op(Op::Backend));
    }
    for _ in 0..4 + rng.below(10) {
        let of_pooler = units > 0 && rng.chance(250);
        let next =
            if of_pooler { op(&mut rng, &clients) } else { database::draw(&mut rng, &clients) };
        steps.push(Step::Op(next));
        let hooks = if rng.chance(300) { 60 } else { 12 };
        hooks_between(&mut rng, &mut steps, hooks, &on, rate);
    }
    let (old_image, shuffled) = (false, on.contains(&Fault::Shuffled));
    pauses(seed, &mut steps);
    History { seed, units, databases, clients, slow, old_image, shuffled, steps }
}

/// In some histories an operator pauses processes; all else is as it is without.
fn pauses(seed: u64, steps: &mut Vec<Step>) {
    let mut rng = Rng::new(seed ^ 0x7061_7573_6573_2121);
    if rng.chance(150) {
        for _ in 0..1 + rng.below(3) {
            let pick = rng.below(10) as u32;
            steps.insert(rng.below(steps.len()), Step::Pause(pick));
        }
    }
}

/// Some hooks, with faults in and between them.
fn hooks_between(rng: &mut Rng, steps: &mut Vec<Step>, most: usize, on: &[Fault], rate: u32) {
    for _ in 0..rng.below(most) {
        let pick = rng.below(1000) as u32;
        if rng.chance(rate / 6) {
            let between: Vec<Fault> =
                Fault::between_hooks().filter(|fault| on.contains(fault)).collect();
            if let Some(fault) = rng.pick(&between) {
                steps.push(Step::Strike(*fault, pick));
            }
        }
        let injection = if rng.chance(rate) { injection(rng, on) } else { None };
        steps.push(Step::Hook(pick, injection));
    }
}

fn client(rng: &mut Rng, kinds: usize) -> Client {
    let bad = rng.chance(60);
    let database =
        if bad { rng.pick(&DATABASES[6..]) } else { rng.pick(&DATABASES[..kinds.min(6)]) };
    Client {
        old: rng.chance(250),
        database: database.copied().unwrap_or_default().to_owned(),
        roles: rng.pick(&ROLES).copied().unwrap_or_default().to_owned(),
    }
}

fn op(rng: &mut Rng, clients: &[Client]) -> Op {
    let client = rng.below(clients.len());
    match rng.below(20) {
        0..=7 if !clients.is_empty() => Op::Relate(client),
        8..=10 if !clients.is_empty() => Op::Unrelate(client),
        11 => Op::NoBackend,
        12 => Op::Backend,
        13 | 14 => {
            let OptionSpec { key, values, .. } = OPTIONS[rng.below(OPTIONS.len())];
            // Half of the time the default, so that invalid values do not stay.
            let value = if rng.chance(500) { values.first() } else { rng.pick(values) };
            Op::Config(key, value.copied().unwrap_or_default())
        }
        15 | 16 => Op::Scale([1, 1, 2, 3, 0, 5][rng.below(6)]),
        17 => Op::Refresh,
        18 => Op::Rotate,
        19 if rng.chance(300) => Op::Trust(rng.chance(500)),
        19 if rng.chance(500) => again(rng, clients),
        _ => Op::Action(ACTIONS[rng.below(ACTIONS.len())]),
    }
}

/// Removes an application, or deploys it again.
fn again(rng: &mut Rng, clients: &[Client]) -> Op {
    let which = match rng.below(4) {
        0 => Which::Pooler,
        1 => Which::Server,
        _ if clients.is_empty() => Which::Pooler,
        _ => Which::Client(rng.below(clients.len())),
    };
    if rng.chance(400) { Op::Remove(which, rng.chance(500)) } else { Op::Deploy(which) }
}

fn injection(rng: &mut Rng, on: &[Fault]) -> Option<Injection> {
    let able: Vec<Fault> = Fault::of_effects().filter(|fault| on.contains(fault)).collect();
    let fault = *rng.pick(&able)?;
    let most = if fault.port().is_some() { 14 } else { 45 };
    Some(Injection { fault, at: rng.below(most) as u32 })
}
