//! What a real Juju answered a charm, call by call, and what this engine answers.
//!
//! `juju-4.0.15/history.jsonl` is played on the model: each hook that the units of the probe
//! charm ran, in their order, with the calls that they made. Answers are compared byte by byte.
//! What is different stands in `differences.txt` with its reason; nothing else may be, and
//! nothing that stands there may have become equal.
#![allow(clippy::unwrap_used, reason = "tests")]

mod compare;
mod history;
mod listed;
mod stage;

use std::collections::BTreeMap;

use history::Row;
use stage::Stage;

/// What became of the rows of one place: equal in all of its runs, or how they differ.
type Outcome = BTreeMap<(String, u32), Vec<String>>;

#[test]
fn the_hook_tools_answer_as_juju_did() {
    let mut stage = Stage::new();
    let mut outcome = Outcome::new();
    for group in history::read() {
        let Some(mut turn) = stage.enter(&group) else {
            for row in group.rows.iter().filter(|row| !row.unseen) {
                let how = format!("{} of {}\n  does not come", group.event, group.unit);
                outcome.entry((row.table.clone(), row.row)).or_default().push(how);
            }
            continue;
        };
        for row in &group.rows {
            let ours = turn.call(row);
            if row.unseen {
                continue;
            }
            let differs = compare::differs(row, &ours, turn.ids());
            let at = outcome.entry((row.table.clone(), row.row)).or_default();
            at.extend(differs.map(|how| format!("{} of {}\n{how}", group.event, group.unit)));
        }
        turn.leave(group.code);
    }
    let differing = outcome.iter().filter(|(_, how)| !how.is_empty());
    let differing: BTreeMap<_, _> = differing.map(|(at, how)| (at.clone(), how.clone())).collect();
    listed::check(&outcome.keys().cloned().collect(), &differing);
}

/// `relation-get -r peer:0 - x`, for people.
fn typed(row: &Row) -> String {
    compare::beginning(&row.argv.join(" "), 200).to_owned()
}
