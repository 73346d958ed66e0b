//! Histories of fixed seeds; `make sim` plays new ones.

use sim::exhaust::scenarios;
use sim::gate::Fault;
use sim::history::{Faults, draw, play};

#[track_caller]
fn check(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let wrong = play(&draw(seed, &Faults::default()), false).wrong;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}

#[test]
fn the_first_seeds_end_well() {
    check(0..20);
}

#[test]
fn more_seeds_end_well() {
    check(1000..1020);
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
        let all = scenario.exhaust(&[Fault::KillBefore, Fault::KillAfter], 97);
        assert!(all.wrong.is_empty(), "{:#?}", all.wrong);
    }
}
