//! Scripted scenarios in which each hook dies before and after each single effect.

use crate::gate::{Fault, Mischief};
use crate::history::{Client, DatabaseOp, History, Op, Run};

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
        name: "a client comes and goes",
        units: 1,
        databases: 0,
        clients: vec![client(false, "waltz")],
        ops: vec![Op::Backend, Op::Relate(0), Op::Part(0)],
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
            Op::Part(0),
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
        ops: vec![Op::Direct(0), Op::PartDirect(0)],
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
    fn play(&self, strike: Option<(u64, Mischief)>) -> Option<Run> {
        let (clients, units) = (self.clients.clone(), self.units);
        let (seed, databases, slow, old_image) = (1, self.databases, true, false);
        let steps = Vec::new();
        let history = History { seed, units, databases, clients, slow, old_image, steps };
        let mut run = Run::begin(&history, false)?;
        run.strike = strike;
        for op in &self.ops {
            run.settle();
            run.operate(op);
        }
        run.end();
        Some(run)
    }

    /// Plays it once, without faults; what is wrong.
    pub(crate) fn once(&self) -> Vec<String> {
        self.play(None).map(|run| run.played.wrong).unwrap_or_default()
    }

    /// Plays it once for each effect of each hook and each fault; only `every` such way.
    pub fn exhaust(&self, faults: &[Fault], every: u64) -> Exhausted {
        let mut all = Exhausted::default();
        let Some(clean) = self.play(None) else { return all };
        all.wrong.extend(clean.played.wrong.iter().cloned());
        let effects = clean.played.effects.clone();
        for (hook, effects) in (0_u64..).zip(&effects) {
            for (at, fault) in (0..*effects).flat_map(|at| faults.iter().map(move |f| (at, *f))) {
                all.runs += 1;
                if all.runs % every.max(1) != 0 {
                    continue;
                }
                let Some(run) = self.play(Some((hook, Mischief { fault, at }))) else { continue };
                all.hooks += run.played.hooks;
                let name = clean.played.names.get(hook as usize).cloned().unwrap_or_default();
                let way = format!("{}: {name}, {} effect {at}", self.name, fault.about().0);
                all.wrong.extend(run.played.wrong.iter().map(|wrong| format!("{way}: {wrong}")));
                if run.played.view != clean.played.view && run.played.wrong.is_empty() {
                    let only = |line: &&String| !clean.played.view.contains(line);
                    let lines: Vec<&String> = run.played.view.iter().filter(only).collect();
                    all.wrong.push(format!("{way}: the world differs: {lines:?}"));
                }
            }
        }
        all
    }
}
