//! Histories of fixed seeds; `make sim` plays new ones.

use sim::catch::{self, Outcome};
use sim::exhaust::scenarios;
use sim::fault::Fault;
use sim::history::{Client, DatabaseOp, Faults, History, Op, Step, draw, draw_database};
use sim::mutant::{self, Target};
use sim::play::play;

/// How many fresh seeds of poolers each test plays: with those of databases about as many as two
/// minutes hold.
const POOLERS: u64 = 50;
/// How many fresh seeds of databases each test plays.
const DATABASES: u64 = 30;

type Draw = fn(u64, &Faults) -> History;

#[track_caller]
fn check(draw: Draw, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let wrong = play(&draw(seed, &Faults::default()), false).wrong;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}

#[test]
fn the_first_seeds_end_well() {
    check(draw, 0..20);
}

#[test]
fn more_seeds_end_well() {
    check(draw, 1000..1020);
}

#[test]
fn databases_of_the_first_seeds_end_well() {
    check(draw_database, 0..8);
}

/// Each commit plays seeds of its own, the same ones wherever it is tested: a failure can be
/// seen again, and `sim --seed N` replays it.
#[track_caller]
fn fresh(draw: Draw, part: u64, seeds: u64) {
    let commit =
        std::process::Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).output();
    let commit = commit.ok().filter(|output| output.status.success());
    let name = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let first = name.and_then(|name| u64::from_str_radix(&name, 16).ok()).unwrap_or(2000);
    check(draw, first + part * seeds..first + (part + 1) * seeds);
}

#[test]
fn fresh_seeds_end_well() {
    fresh(draw, 0, POOLERS);
}

#[test]
fn more_fresh_seeds_end_well() {
    fresh(draw, 1, POOLERS);
}

#[test]
fn databases_of_fresh_seeds_end_well() {
    fresh(draw_database, 0, DATABASES);
}

#[test]
fn databases_of_more_fresh_seeds_end_well() {
    fresh(draw_database, 1, DATABASES);
}

/// Without a planted fault every script and scenario goes well, or a planted one could not be
/// judged.
#[test]
fn scripts_end_well() {
    assert_eq!(catch::unplanted(Target::Pooler, 0..1), None);
}

#[test]
fn scripts_of_databases_end_well() {
    assert_eq!(catch::scripted(Target::Database), None);
}

#[test]
fn planted_faults_are_caught() {
    let all = mutant::all();
    assert!(all.len() >= 300, "{}", all.len());
    let known = [
        "effect remove client is dropped",
        "effect update uris is dropped",
        "relation-set --app does nothing",
        "key endpoints is not written",
        "the files lack auth_query",
        "SQL: CREATE FUNCTION is left out",
        "postgresql-k8s: effect reload is dropped",
        "postgresql-k8s: key endpoints is not written",
        "postgresql-k8s: SQL: DROP OWNED BY is left out",
        "postgresql-k8s: Patroni: nobody says who asks",
    ];
    for name in known {
        let mutant = all.iter().find(|mutant| mutant.name == name).expect(name);
        let outcome = catch::run(mutant, 0..4);
        assert!(matches!(outcome, Outcome::Caught(..)), "{name} is missed");
    }
}

#[test]
fn what_is_said_not_to_be_planted_is_not() {
    let planted = mutant::all();
    for (name, why) in mutant::not_planted() {
        assert!(
            planted.iter().all(|mutant| mutant.name != name),
            "{name} is planted, though {why}"
        );
    }
}

#[test]
fn a_seed_gives_the_same_history_every_time() {
    let history = draw(7, &Faults::default());
    assert_eq!(history, draw(7, &Faults::default()));
    let (first, second) = (play(&history, true), play(&history, true));
    assert_eq!(first.trace, second.trace);
}

#[test]
fn a_hook_may_die_at_any_effect() {
    for scenario in scenarios() {
        // Every 97th death; `sim --exhaust` dies them all.
        let all = scenario.exhaust(&[Fault::KillBefore, Fault::KillAfter], 97, false);
        assert!(all.wrong.is_empty(), "{:#?}", all.wrong);
    }
}

/// Texts with numbers of two digits sort otherwise than the numbers.
#[test]
fn units_of_two_digits_lead_and_take_writes() {
    let client =
        |database: &str| Client { old: false, database: database.to_owned(), roles: String::new() };
    let database = |op| Step::Op(Op::Database(op));
    let hooks = |count| (0..count).map(|pick| Step::Hook(pick, None));
    let mut steps = vec![Step::Op(Op::Backend), Step::Op(Op::Relate(0)), Step::Op(Op::Direct(1))];
    steps.extend(hooks(1500));
    // The lead goes from each unit to the next one: of poolers, and of PostgreSQL.
    for lot in (0..20).map(|turn| turn % 2) {
        steps.push(Step::Strike(Fault::LeaderTurns, lot));
        steps.extend(hooks(30));
    }
    steps.push(database(DatabaseOp::Act("promote-to-primary", 10)));
    steps.extend(hooks(200));
    steps.push(Step::Op(Op::Relate(2)));
    steps.push(Step::Op(Op::UnrelateDirect(1)));
    steps.push(database(DatabaseOp::SetPassword("operator")));
    steps.extend(hooks(600));
    steps.push(database(DatabaseOp::Scale(3)));
    let (seed, slow, old_image, shuffled) = (1, false, false, false);
    let clients = ["waltz", "tango", "samba"].map(client).to_vec();
    let history =
        History { seed, units: 11, databases: 11, clients, slow, old_image, shuffled, steps };
    let played = play(&history, true);
    assert!(played.wrong.is_empty(), "{:#?}", played.wrong);
    for app in ["pgbouncer-k8s", "postgresql-k8s"] {
        let name = format!("{app}/10 leader-elected");
        assert!(played.trace.iter().any(|line| line.contains(&name)), "{name} does not run");
    }
}
