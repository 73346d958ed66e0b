//! Histories against planted faults, until one of them fails.

use crate::exhaust::{Scenario, database_scenarios, scenarios};
use crate::fault::Fault;
use crate::history::{Faults, History, draw, draw_database};
use crate::mutant::{Mutant, Target, plant};
use crate::play::play;
use crate::script::{Script, database_scripts, scripts};

/// How a planted fault fared.
pub enum Outcome {
    /// It was caught after so many histories, by this.
    Caught(u64, String),
    /// No history failed.
    Missed,
}

/// What is wrong although no fault is planted: then planted ones cannot be judged.
pub fn unplanted(target: Target, seeds: std::ops::Range<u64>) -> Option<String> {
    plant(None);
    caught(target, seeds).map(|(_, why)| why)
}

/// Plays scripts and scenarios, then as many seeds, until one fails.
pub fn run(mutant: &Mutant, seeds: std::ops::Range<u64>) -> Outcome {
    plant(Some(mutant.clone()));
    let found = caught(mutant.target, seeds);
    plant(None);
    found.map_or(Outcome::Missed, |(histories, why)| Outcome::Caught(histories, why))
}

/// Faults that a hook meets and has to report.
const MET: [Fault; 5] =
    [Fault::SqlFails, Fault::SqlCut, Fault::Kube403, Fault::Kube500, Fault::ReloadRefused];

impl Target {
    fn scripts(self) -> Vec<Script> {
        match self {
            Self::Pooler => scripts(),
            Self::Database => database_scripts(),
        }
    }

    fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::Pooler => scenarios(),
            Self::Database => database_scenarios(),
        }
    }

    fn draw(self, seed: u64, faults: &Faults) -> History {
        match self {
            Self::Pooler => draw(seed, faults),
            Self::Database => draw_database(seed, faults),
        }
    }
}

/// What is wrong with a script of this charm although no fault is planted.
pub fn scripted(target: Target) -> Option<String> {
    plant(None);
    target.scripts().iter().find_map(|script| script.play().into_iter().next())
}

fn caught(target: Target, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let mut histories = 0;
    let first =
        |wrong: &[String]| wrong.first().and_then(|text| text.lines().next()).map(str::to_owned);
    for script in target.scripts() {
        histories += 1;
        if let Some(why) = first(&script.play()) {
            return Some((histories, why));
        }
    }
    for scenario in target.scenarios() {
        let all = scenario.exhaust(&MET, 1, true);
        histories += all.runs;
        if let Some(why) = first(&all.wrong) {
            return Some((histories, why));
        }
    }
    for scenario in target.scenarios() {
        let all = scenario.exhaust_at(Fault::PeersLate, 0);
        histories += all.runs;
        if let Some(why) = first(&all.wrong) {
            return Some((histories, why));
        }
    }
    let calm = Faults(Default::default());
    for seed in seeds.clone() {
        for faults in [&calm, &Faults::default()] {
            histories += 1;
            if let Some(why) = first(&play(&target.draw(seed, faults), false).wrong) {
                return Some((histories, why));
            }
        }
    }
    // What a death leaves behind, at some of the effects.
    for scenario in target.scenarios() {
        let all = scenario.exhaust(&[Fault::KillBefore, Fault::KillAfter], 97, true);
        histories += all.runs;
        if let Some(why) = first(&all.wrong) {
            return Some((histories, why));
        }
    }
    None
}
