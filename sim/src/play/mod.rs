//! Plays a history: steps, then peace, then the checks.

mod apps;
mod database;
mod operate;
mod quiesce;
mod run;

pub use run::Played;
pub(crate) use run::Run;

use crate::check;
use crate::fault::Fault;
use crate::history::{History, Op, Which};

/// Plays a history and, without faults, what its operators did; both must end alike.
pub fn play(history: &History, tracing: bool) -> Played {
    let Some(mut run) = Run::begin(history, tracing) else { return Played::default() };
    let lasting = [(history.shuffled, Fault::Shuffled), (history.slow, Fault::NoUpdateStatus)];
    for (_, fault) in lasting.into_iter().filter(|(there, _)| *there) {
        *run.played.faults.entry(fault).or_default() += 1;
    }
    for step in &history.steps {
        run.step(step);
    }
    run.end();
    let mut played = run.played;
    if played.wrong.is_empty() {
        compare(history, &mut played, tracing);
    }
    played
}

/// Plays what the operators did once more, each time until nothing is due.
fn compare(history: &History, played: &mut Played, tracing: bool) {
    let Some(mut clean) = Run::begin(history, tracing) else { return };
    // Patroni takes its time, and hooks of its charm wait for it.
    clean.calm = history.databases == 0;
    clean.unspoilt = true;
    for op in &played.taken {
        if clean.calm {
            clean.promptly();
        } else {
            clean.settle();
        }
        clean.tell(|| format!("operator: {op:?}"));
        clean.operate(op);
    }
    clean.promptly();
    clean.leisurely();
    clean.end();
    clean.played.trace.insert(0, "the same without faults".to_owned());
    if tracing {
        played.trace.append(&mut clean.played.trace);
    }
    played.hooks += clean.played.hooks;
    let wrong = clean.played.wrong.iter().map(|text| format!("without faults: {text}"));
    played.wrong.extend(wrong);
    // Who led last, and so who may lead when fewer units come back, is a matter of chance.
    let headless = |view: &[String]| view == [check::HEADLESS];
    if headless(&clean.played.view) || headless(&played.view) {
        return;
    }
    // So is whether a server had data when it was removed; its successor refuses those.
    let kept = played.taken.iter().any(|op| matches!(op, Op::Remove(Which::Server, true)));
    if kept && clean.played.view.is_empty() != played.view.is_empty() {
        return;
    }
    if clean.played.view == played.view {
        return;
    }
    let lines = |view: &[String], other: &[String], sign: char| {
        let only = view.iter().filter(|line| !other.contains(line));
        only.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let mut text = vec!["the world differs from the one without faults".to_owned()];
    text.extend(lines(&clean.played.view, &played.view, '-'));
    text.extend(lines(&played.view, &clean.played.view, '+'));
    played.wrong.push(text.join("\n    "));
}
