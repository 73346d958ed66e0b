//! Tidiness as a test: sizes, module headers, arrows between crates.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file's length in lines, tests included.
const FILE_LINES_MAX: usize = 500;
/// A function's length in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Tables, which are long because what they list is long.
const LONG_FILES: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = ["crates", "engine", "charms", "tests", "benches", "sim"]
        .map(|folder| root().join(folder))
        .to_vec();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
fn check(offenders: Vec<String>) {
    assert!(offenders.is_empty(), "\n{}", offenders.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let bare = rust_files().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    check(bare.map(|(path, _)| path.display().to_string()).collect());
}

#[test]
fn files_fit_in_a_head() {
    let long = rust_files().into_iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        let listed = LONG_FILES.iter().any(|file| path == Path::new(file));
        (lines > FILE_LINES_MAX && !listed).then(|| format!("{}: {lines} lines", path.display()))
    });
    check(long.collect());
}

#[test]
fn functions_fit_a_screen() {
    let mut long = Vec::new();
    for (path, text) in rust_files() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = line.trim_start().trim_start_matches("pub").trim_start_matches("(crate)");
            let is_fn = starts.trim_start().trim_start_matches("async ").starts_with("fn ");
            if open.is_none() && is_fn && !line.trim_end().ends_with([';', '}']) {
                open = Some((number, indent, line.trim().to_owned()));
            } else if let Some((start, at, name)) = &open
                && line.starts_with('}') | (line.trim() == "}")
                && indent == *at
            {
                if number - start + 1 > FUNCTION_LINES_MAX {
                    long.push(format!("{}:{}: {name}", path.display(), start + 1));
                }
                open = None;
            }
        }
    }
    check(long);
}

#[test]
fn nothing_is_left_to_do() {
    let marks = ["todo!(", "dbg!(", "unimplemented!(", "FIXME", "XXX"];
    let offenders = rust_files().into_iter().filter(|(path, _)| !path.ends_with("tidy.rs"));
    let offenders = offenders.flat_map(|(path, text)| {
        let found = marks.iter().filter(move |mark| text.contains(**mark));
        found.map(move |mark| format!("{}: {mark}", path.display())).collect::<Vec<_>>()
    });
    check(offenders.collect());
}

/// The workspace's crates, each with its non-test dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut graph = BTreeMap::new();
    for parent in ["crates", "engine", "charms", "."] {
        let Ok(entries) = std::fs::read_dir(root().join(parent)) else { continue };
        for folder in entries.map(|entry| entry.unwrap().path()) {
            let Ok(text) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
            let name = text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
            let section = text.split("[dependencies]").nth(1).unwrap_or_default();
            let section = section.split("\n[").next().unwrap_or_default();
            let uses = section
                .lines()
                .filter_map(|line| line.split(['.', ' ', '=']).next())
                .filter(|name| !name.is_empty() && !name.starts_with('#'))
                .map(str::to_owned);
            graph.insert(name.trim_matches('"').to_owned(), uses.collect());
        }
    }
    graph
}

fn reach(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for used in graph.get(&name).into_iter().flatten() {
            if seen.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    seen
}

#[test]
fn cores_do_no_io() {
    let graph = dependencies();
    let mut offenders = Vec::new();
    for core in ["names", "model", "hooktools", "pgbouncer"] {
        let reached = reach(&graph, core);
        for banned in ["tokio", "hyper", "rustix", "rand", "redb"] {
            if reached.contains(banned) {
                offenders.push(format!("{core} reaches {banned}"));
            }
        }
    }
    check(offenders);
}

#[test]
fn charms_and_engine_do_not_know_each_other() {
    let graph = dependencies();
    let engine = ["model", "hooktools", "kube-api", "node", "talisman"];
    let mut offenders = Vec::new();
    for charm in ["pgbouncer-k8s", "postgresql-k8s", "data-integrator"] {
        let reached = reach(&graph, charm);
        offenders.extend(
            engine.iter().filter(|e| reached.contains(**e)).map(|e| format!("{charm} reaches {e}")),
        );
    }
    // The simulator knows them all; nothing knows the simulator.
    let knows = graph.iter().filter(|(_, uses)| uses.contains("sim"));
    offenders.extend(knows.map(|(name, _)| format!("{name} reaches sim")));
    for part in engine {
        let reached = reach(&graph, part);
        let banned = ["pgbouncer", "patroni", "postgres", "interfaces"];
        offenders.extend(
            banned.iter().filter(|b| reached.contains(**b)).map(|b| format!("{part} reaches {b}")),
        );
    }
    check(offenders);
}

#[test]
fn the_engine_holds_no_word_of_the_charms() {
    let words = ["postgres", "pgbouncer", "patroni"];
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        if !path.starts_with("engine") || path.components().any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        // Examples in help texts and tests may name them; code may not decide by them.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let bare = line.trim_start();
            let example = bare.starts_with("//") || bare.starts_with("talisman ");
            if !example && words.iter().any(|word| bare.to_lowercase().contains(word)) {
                offenders.push(format!("{}:{}: {bare}", path.display(), number + 1));
            }
        }
    }
    check(offenders);
}

#[test]
fn every_dependency_has_a_reason() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let mut before = "";
    let mut offenders = Vec::new();
    for line in section.lines().filter(|line| !line.is_empty()) {
        let ours = line.contains("path = ");
        if !line.starts_with('#') && !ours && !before.starts_with('#') {
            offenders.push(line.to_owned());
        }
        before = line;
    }
    check(offenders);
}
