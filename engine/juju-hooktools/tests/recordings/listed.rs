//! The list of what is different: a reason, and after it the rows that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const LIST: &str = include_str!("differences.txt");

type Place = (String, u32);

/// `# reason`, then lines of a table and its rows: `secret 9 12-14`.
fn read() -> BTreeSet<Place> {
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut places = BTreeSet::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let table = words.next().unwrap();
        for rows in words {
            let (from, to) = rows.split_once('-').unwrap_or((rows, rows));
            for row in from.parse::<u32>().unwrap()..=to.parse().unwrap() {
                let fresh = places.insert((table.to_owned(), row));
                assert!(fresh, "{table} {row} is listed twice");
            }
        }
    }
    places
}

pub(crate) fn check(known: &BTreeSet<Place>, differing: &BTreeMap<Place, Vec<String>>) {
    let listed = read();
    let mut words = String::new();
    for ((table, row), how) in differing.iter().filter(|(at, _)| !listed.contains(*at)) {
        let first: BTreeSet<&str> = how.iter().map(|how| how.split_once('\n').unwrap().1).collect();
        let runs = how.len();
        let _ = writeln!(words, "{table} {row} differs and is not listed, {runs} times:");
        for how in first.iter().take(3) {
            let _ = writeln!(words, "{how}");
        }
    }
    for (table, row) in listed.iter().filter(|at| !differing.contains_key(*at)) {
        let why = if known.contains(&(table.clone(), *row)) { "is equal" } else { "is not there" };
        let _ = writeln!(words, "{table} {row} is listed and {why}");
    }
    let (rows, odd) = (known.len(), differing.len());
    assert!(words.is_empty(), "{words}of {rows} rows {odd} differ");
}
