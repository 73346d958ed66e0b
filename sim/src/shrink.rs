//! Makes a failing history shorter while it still fails in the same way.

use crate::history::{History, Step};
use crate::play::{Played, play};

/// The most histories that are tried.
const TRIES: u32 = 400;

/// A failure without what differs from one shrunk history to the next.
fn kind(played: &Played) -> Option<String> {
    let first = played.wrong.first()?.lines().next()?;
    let plain: String = first.chars().filter(|c| !c.is_ascii_digit()).collect();
    Some(plain.split(':').next().unwrap_or_default().chars().take(40).collect())
}

/// The shortest history found that fails as this one does, and what playing it gives.
pub fn shrink(history: &History) -> (History, Played) {
    let mut best = history.clone();
    let mut played = play(&best, false);
    let Some(wanted) = kind(&played) else { return (best, played) };
    let mut tries = 0;
    let mut attempt = |candidate: History, best: &mut History, played: &mut Played| {
        tries += 1;
        let found = play(&candidate, false);
        let fails = kind(&found).as_ref() == Some(&wanted);
        if fails {
            *best = candidate;
            *played = found;
        }
        (fails, tries < TRIES)
    };
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            candidate.steps.drain(at..(at + chunk).min(best.steps.len()));
            match attempt(candidate, &mut best, &mut played) {
                (_, false) => return (best, played),
                (true, _) => {}
                (false, _) => at += chunk,
            }
        }
        chunk /= 2;
    }
    for index in 0..best.steps.len() {
        let mut candidate = best.clone();
        if let Some(Step::Hook(_, injection @ Some(_))) = candidate.steps.get_mut(index) {
            *injection = None;
            if !attempt(candidate, &mut best, &mut played).1 {
                return (best, played);
            }
        }
    }
    while best.units > 1 {
        let candidate = History { units: best.units - 1, ..best.clone() };
        if !attempt(candidate, &mut best, &mut played).0 {
            break;
        }
    }
    (best, played)
}
