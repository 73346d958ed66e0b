//! What holds clients while a primary stops, and dies at any step; and faults that are planted in it.

use sim::planned::{Flaw, exhaust};

/// Of so many steps one is played; `--planned` plays each.
const EVERY: usize = 40;

#[test]
fn nobody_waits_too_long_whoever_dies() {
    let tally = exhaust(None, EVERY, false);
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert!(tally.stories > 60, "only {} were played", tally.stories);
}

#[test]
fn planted_faults_are_caught() {
    let missed = |flaw: &Flaw| exhaust(Some(*flaw), 1, true).wrong.is_empty();
    let missed: Vec<&str> =
        Flaw::ALL.iter().filter(|flaw| missed(flaw)).map(|f| f.name()).collect();
    assert_eq!(missed, Vec::<&str>::new());
}
