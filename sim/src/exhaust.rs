//! Scripted scenarios in which each hook dies before and after each single effect.

use crate::check;
use crate::fault::{Fault, Injection};
use crate::history::{Client, DatabaseOp, History, Op};
use crate::play::Run;

/// A scenario: operators who wait until nothing is due.
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    units: u32,
    databases: u32,
    clients: Vec<Client>,
    ops: Vec<Op>,
}

/// What playing a scenario in every way gave.
#[derive(Debug, Default)]
pub struct Exhausted {
    /// How many ways there were.
    pub runs: u64,
    /// Hooks that ran in all of them.
    pub hooks: u64,
    /// What went wrong, and in which way.
    pub wrong: Vec<String>,
}

fn client(old: bool, database: &str) -> Client {
    Client { old, database: database.to_owned(), roles: String::new() }
}

/// The scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let first = Scenario {
        name: "a client comes and goes, and at last the server",
        units: 1,
        databases: 0,
        clients: vec![client(false, "waltz")],
        ops: vec![Op::Backend, Op::Relate(0), Op::Unrelate(0), Op::NoBackend],
    };
    let second = Scenario {
        name: "an old client, a second pooler, another port",
        units: 1,
        databases: 0,
        clients: vec![client(true, "waltz")],
        ops: vec![
            Op::Backend,
            Op::Relate(0),
            Op::Scale(2),
            Op::Config("listen_port", "6433"),
            Op::Unrelate(0),
            Op::NoBackend,
        ],
    };
    let third = Scenario {
        name: "the server goes and comes back, then gives a new password",
        units: 1,
        databases: 0,
        clients: vec![client(false, "waltz")],
        ops: vec![Op::Backend, Op::Relate(0), Op::NoBackend, Op::Backend, Op::Rotate],
    };
    vec![first, second, third]
}

/// The scenarios with the real PostgreSQL charm.
pub fn database_scenarios() -> Vec<Scenario> {
    let first = Scenario {
        name: "a cluster of two is made, a client comes and goes",
        units: 0,
        databases: 2,
        clients: vec![client(false, "waltz")],
        ops: vec![Op::Direct(0), Op::UnrelateDirect(0)],
    };
    let password = |user| Op::Database(DatabaseOp::SetPassword(user));
    let second = Scenario {
        name: "new passwords, another primary, another size",
        units: 0,
        databases: 2,
        clients: Vec::new(),
        ops: vec![
            password("operator"),
            password("replication"),
            password("backup"),
            Op::Database(DatabaseOp::Act("switchover", 0)),
            Op::Database(DatabaseOp::Config("memory_max_prepared_transactions", "100")),
            Op::Database(DatabaseOp::Scale(1)),
        ],
    };
    vec![first, second]
}

impl Scenario {
    /// Plays it once; the fault strikes the hook of this number.
    fn play(&self, strike: Option<(u64, Injection)>) -> Option<Run> {
        let (clients, units) = (self.clients.clone(), self.units);
        let (seed, databases, slow) = (1, self.databases, true);
        let (old_image, shuffled, steps) = (false, false, Vec::new());
        let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
        let mut run = Run::begin(&history, false)?;
        run.strike = strike;
        run.settle();
        for op in &self.ops {
            let before = run.world.look(check::cluster);
            run.operate(op);
            run.settle();
            run.look(|state, _| check::failed(state, op, &before));
        }
        run.end();
        Some(run)
    }

    /// Plays it once for each effect of each hook and each fault; only `every` such way, and
    /// no further than the first that goes wrong where that is enough.
    pub fn exhaust(&self, faults: &[Fault], every: u64, first: bool) -> Exhausted {
        let mut number = 0;
        self.spoil(faults, first, |_| {
            number += 1;
            number % every.max(1) == 0
        })
    }

    /// Plays it once for each hook that has an effect of this number, spoilt there.
    pub fn exhaust_at(&self, fault: Fault, at: u32) -> Exhausted {
        self.spoil(&[fault], false, |injection| injection.at == at)
    }

    fn spoil(
        &self,
        faults: &[Fault],
        first: bool,
        mut wanted: impl FnMut(Injection) -> bool,
    ) -> Exhausted {
        let mut all = Exhausted::default();
        let Some(clean) = self.play(None) else { return all };
        all.wrong.extend(clean.played.wrong.iter().cloned());
        for (hook, injection) in ways(&clean, faults) {
            if !wanted(injection) {
                continue;
            }
            if first && !all.wrong.is_empty() {
                break;
            }
            all.runs += 1;
            let Some(run) = self.play(Some((hook, injection))) else { continue };
            all.hooks += run.played.hooks;
            let name = clean.played.names.get(hook as usize).cloned().unwrap_or_default();
            let Injection { fault, at } = injection;
            let way = format!("{}: {name}, {} effect {at}", self.name, fault.name());
            all.wrong.extend(run.played.wrong.iter().map(|wrong| format!("{way}: {wrong}")));
            if run.played.view != clean.played.view && run.played.wrong.is_empty() {
                let only = |line: &&String| !clean.played.view.contains(line);
                let lines: Vec<&String> = run.played.view.iter().filter(only).collect();
                all.wrong.push(format!("{way}: the world differs: {lines:?}"));
            }
        }
        all
    }
}

/// Each effect that each fault could strike, with the number of its hook.
fn ways(clean: &Run, faults: &[Fault]) -> Vec<(u64, Injection)> {
    let mut ways = Vec::new();
    for (hook, (all, by_port)) in (0_u64..).zip(&clean.played.effects) {
        for fault in faults {
            let effects = match fault.port() {
                // What refuses in the last round is no peace.
                Some(_) if hook >= clean.played.before_peace => 0,
                Some(port) => by_port.on(port),
                None => *all,
            };
            ways.extend((0..effects).map(|at| (hook, Injection { fault: *fault, at })));
        }
    }
    ways
}
