//! What Juju 4.0.15 answered on a real cluster, against what the same words give here.
//!
//! `recordings/juju-4.0.15.jsonl` has the command lines and their answers. Each is carried out on
//! a model in the state in which it was recorded. What differs stands in `differences.txt`, with
//! the reason; a line there that says nothing any more fails too.

mod compare;
mod further;
mod options;
mod world;

use std::cell::RefCell;
use std::rc::Rc;

use clap::FromArgMatches;
use serde::Deserialize;

use super::Cli;
use super::invocation::Invocation;
use super::output::captured;
use crate::client::Client;
use crate::paths::Paths;
use world::World;

const RECORDED: &str = include_str!("../../../recordings/juju-4.0.15.jsonl");
const LISTED: &str = include_str!("differences.txt");

/// One command line and its answer.
#[derive(Debug, Deserialize)]
struct Row {
    stage: String,
    argv: Vec<String>,
    code: u8,
    stdout: String,
    stderr: String,
}

/// A difference that is meant: `<command line> :: <its start> -- <reason>`, where a command line
/// may end in `*`.
struct Listed {
    line: &'static str,
    argv: &'static str,
    difference: &'static str,
}

fn listed() -> Vec<Listed> {
    let lines = LISTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let one = |line: &'static str| {
        let (what, reason) = line.split_once(" -- ").unwrap_or_else(|| panic!("no reason: {line}"));
        let (argv, difference) = what.split_once(" :: ").unwrap_or_else(|| panic!("{line}"));
        assert!(!reason.is_empty());
        Listed { line, argv, difference }
    };
    lines.map(one).collect()
}

impl Listed {
    fn is(&self, argv: &str, difference: &str) -> bool {
        let same = match self.argv.strip_suffix('*') {
            Some(start) => argv.starts_with(start),
            None => argv == self.argv,
        };
        // A place is listed without the values that differ there; `*` is any part of a path.
        let place = difference.split(": ").next().unwrap_or_default();
        let parts: Vec<&str> = self.difference.split('*').collect();
        let within = match parts.as_slice() {
            [whole] => place == *whole,
            [start, end] => place.starts_with(start) && place.ends_with(end),
            [start, middle, end] => {
                place.starts_with(start) && place.contains(middle) && place.ends_with(end)
            }
            _ => false,
        };
        same && within
    }
}

/// What a command line gives here: code, result, words.
fn answered(world: &Rc<RefCell<World>>, argv: &[String]) -> (u8, String, String) {
    let words = std::iter::once("talisman").chain(argv.iter().map(String::as_str));
    let matches = match super::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => return (2, String::new(), super::usage(&error)),
    };
    let cli = Cli::from_arg_matches(&matches).unwrap();
    let answering = world.clone();
    let client = Client::answered_by(move |request| answering.borrow_mut().answer(request));
    let at = Invocation {
        stand_in: Some(client),
        // People asked a few minutes later.
        time: Some(world.borrow().now + jiff::SignedDuration::from_mins(5)),
        ..Invocation::new(Paths::new("recorded", None, None), None)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    super::write_to(super::file(&matches));
    let (code, out, words) = captured::during(|| match runtime.block_on(cli.command.run(&at)) {
        Ok(()) => 0,
        Err(error) => super::refused(&error, super::format(&matches)),
    });
    super::write_to(None);
    (code, out, words)
}

#[test]
fn commands_answer_as_juju_does() {
    let rows: Vec<Row> = RECORDED.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed = listed();
    let mut used = vec![false; listed.len()];
    let mut unlisted = Vec::new();
    let mut stage = (String::new(), Rc::new(RefCell::new(World::empty())));
    for row in rows {
        if stage.0 != row.stage {
            stage = (row.stage.clone(), Rc::new(RefCell::new(world(&row.stage))));
        }
        let argv = row.argv.join(" ");
        let (code, out, words) = answered(&stage.1, &row.argv);
        let mut found = compare::differences(&row.stdout, &out);
        if code != row.code {
            found.push(format!("code: {} | {code}", row.code));
        }
        let beside = compare::words(&row.stderr, &words);
        found.extend(beside.iter().map(|one| format!("stderr: {one}")));
        for difference in found {
            let known = listed.iter().position(|one| one.is(&argv, &difference));
            match known {
                Some(at) => used[at] = true,
                None => unlisted.push(format!("[{}] {argv} :: {difference}", row.stage)),
            }
        }
    }
    let idle = listed.iter().zip(used).filter(|(_, used)| !used);
    unlisted.extend(idle.map(|(one, _)| format!("no longer so: {}", one.line)));
    assert!(unlisted.is_empty(), "\n{}", unlisted.join("\n"));
}

fn world(stage: &str) -> World {
    match stage {
        "alone" => World::alone(),
        "empty" => World::empty(),
        "leaving" => World::leaving(),
        "secrets" => {
            let mut world = World::alone();
            world.secrets();
            world
        }
        _ => World::related(),
    }
}
