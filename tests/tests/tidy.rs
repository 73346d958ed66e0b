//! Tidiness as a test: sizes, module headers, arrows between crates, the form of the changelog.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/declared.rs"]
mod declared;

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

/// Words in place of which STYLE.md has another.
const PRIVATE_WORDS: [&str; 8] =
    ["vouch", "vouches", "whoever", "somebody", "told", "parted", "old interface", "a stranger"];

/// The private words in the comments of a file; what is quoted in them does not count.
fn private_words(text: &str) -> Vec<&'static str> {
    let comments = text.lines().filter_map(|line| Some(line.split_once("//")?.1));
    let prose: String = comments
        .flat_map(|comment| comment.split('`').step_by(2))
        .flat_map(|prose| [" ", prose])
        .map(|prose| prose.replace(|c: char| !c.is_alphanumeric(), " "))
        .collect();
    PRIVATE_WORDS.into_iter().filter(|word| prose.contains(&format!(" {word} "))).collect()
}

#[test]
fn comments_speak_the_words_of_the_glossary() {
    assert_eq!(private_words("a(); // Whether it was told of `whoever`.\nlet told;"), ["told"]);
    let offenders = rust_files().into_iter().filter(|(path, _)| !path.ends_with("tidy.rs"));
    let offenders = offenders.flat_map(|(path, text)| {
        let found = private_words(&text).into_iter();
        found.map(|word| format!("{}: {word}", path.display())).collect::<Vec<_>>()
    });
    check(offenders.collect());
}

/// The names of engines and the ports in a text: `e2e…` in a string or a path, and 16000 to 16999.
fn of_its_own(text: &str) -> BTreeSet<&str> {
    let quoted = text.split(['"', '/']).filter(|word| word.starts_with("e2e"));
    let words = text.split(|sign: char| !sign.is_ascii_digit());
    let ports = words.filter(|word| word.len() == 5 && word.starts_with("16"));
    quoted.chain(ports).collect()
}

#[test]
fn scenarios_run_beside_each_other() {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in rust_files().iter().filter(|(path, _)| path.starts_with("tests/tests")) {
        for name in of_its_own(text) {
            users.entry(name.to_owned()).or_default().push(path.display().to_string());
        }
    }
    assert!(users.len() > 60, "only {} engines and ports", users.len());
    let shared = users.into_iter().filter(|(name, files)| files.len() > 1 && name != "e2e");
    check(shared.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect());
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
    assert!(graph.contains_key(from), "no crate {from}");
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
    for core in ["juju-names", "juju-model", "juju-hooktools", "pgbouncer"] {
        let reached = reach(&graph, core);
        for banned in ["tokio", "hyper", "rustix", "rand", "redb"] {
            if reached.contains(banned) {
                offenders.push(format!("{core} reaches {banned}"));
            }
        }
    }
    check(offenders);
}

/// The names of files, sockets, processes, clocks, tasks and randomness.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::{",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "tokio",
    "rand::",
    "SysRng",
    ".await",
];

/// Whether a file decides only: the engine's rules, and of a charm what follows from the facts.
fn is_pure(path: &Path) -> bool {
    let part = |name: &str| path.components().any(|part| part.as_os_str() == name);
    let rules = path.starts_with("engine/juju-model") || path.starts_with("engine/juju-hooktools");
    let phase = |name: &&str| part(name) || path.ends_with(format!("{name}.rs"));
    let of_charm = path.starts_with("charms") && ["decide", "validate", "render"].iter().any(phase);
    part("src") && (rules || of_charm)
}

#[test]
fn decisions_do_no_io() {
    let pure: Vec<_> = rust_files().into_iter().filter(|(path, _)| is_pure(path)).collect();
    assert!(pure.len() > 80, "only {} files decide", pure.len());
    let offenders = pure.iter().flat_map(|(path, text)| {
        let lines = text.lines().enumerate();
        let impure = lines.filter(|(_, line)| {
            let code = line.split("//").next().unwrap_or_default();
            IMPURE.iter().any(|name| code.contains(name))
        });
        impure.map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim()))
    });
    check(offenders.collect());
}

/// What only a charm's port to the outside names; `Instant` bounds waits in `apply`.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "env::var",
    "Command::new",
    "SystemTime::now",
    "Timestamp::now",
    "rand::random",
    "rand::rng(",
    "SysRng",
];

#[test]
fn charms_reach_outside_through_their_ports() {
    let is_charm = |path: &Path| path.starts_with("charms") || path.starts_with("crates/charm-kit");
    let charms = rust_files().into_iter().filter(|(path, _)| is_charm(path));
    let inside = charms.filter(|(path, _)| !path.ends_with("ports.rs"));
    let offenders = inside.flat_map(|(path, text)| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found = OUTSIDE.iter().filter(|name| code.contains(**name));
        found.map(|name| format!("{}: {name}", path.display())).collect::<Vec<_>>()
    });
    check(offenders.collect());
}

#[test]
fn charms_and_engine_do_not_know_each_other() {
    let graph = dependencies();
    let engine = ["juju-model", "juju-hooktools", "hooktool", "kube-api", "node", "talisman"];
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
    let banned = ["pgbouncer", "patroni", "postgres", "juju-interfaces"];
    assert!(banned.iter().all(|name| graph.contains_key(*name)), "a crate has another name");
    for part in engine {
        let reached = reach(&graph, part);
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

/// The changelog's sections, as Keep a Changelog has them, in their order.
const SECTIONS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
/// The sub-headings of each section, in their order.
const COMPONENTS: &[&str] = &[
    "pgbouncer-k8s",
    "postgresql-k8s",
    "Both charms",
    "data-integrator",
    "Framework",
    "Engine",
    "Command line",
    "Development",
];
/// The length of a line of the changelog, in words.
const CHANGE_WORDS_MAX: usize = 25;
/// What a line of the changelog does not begin with, because none is a verb.
const NO_VERBS: &[&str] =
    &["A", "An", "All", "Each", "For", "If", "In", "It", "No", "Now", "On", "The", "When", "With"];

/// Why a line of the changelog is not a change as a reader looks for it.
fn change_fault(change: &str) -> Option<&'static str> {
    let words: Vec<&str> = change.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    let is_word = first.starts_with(char::is_uppercase) && first.chars().all(char::is_alphabetic);
    let is_third_person = first.ends_with('s') && !first.ends_with("ss");
    if !is_word || is_third_person || NO_VERBS.contains(&first) {
        Some("begins with no verb")
    } else if words.len() > CHANGE_WORDS_MAX {
        Some("has too many words")
    } else {
        (!change.ends_with('.')).then_some("does not end with a full stop")
    }
}

/// What is wrong with a changelog, as `line: reason`.
fn changelog_faults(text: &str) -> Vec<String> {
    let rank = |of: &[&str], name: &str| of.iter().position(|known| *known == name);
    let (mut section, mut component, mut faults) = (None, None, Vec::new());
    let versions = text.lines().enumerate().skip_while(|(_, line)| !line.starts_with("## "));
    for (number, line) in versions {
        let fault = if let Some(name) = line.strip_prefix("#### ") {
            let before = std::mem::replace(&mut component, rank(COMPONENTS, name));
            (section.is_none() || component <= before)
                .then_some("is no component, or not in its place")
        } else if let Some(name) = line.strip_prefix("### ") {
            let before = std::mem::replace(&mut section, rank(SECTIONS, name));
            component = None;
            (section <= before).then_some("is no section, or not in its place")
        } else if line.starts_with("## ") {
            (section, component) = (None, None);
            None
        } else if let Some(change) = line.strip_prefix("- ") {
            if component.is_none() { Some("is under no component") } else { change_fault(change) }
        } else {
            (!line.is_empty()).then_some("is neither a heading nor a change on one line")
        };
        faults.extend(fault.map(|why| format!("{}: {why}: {line}", number + 1)));
    }
    faults
}

#[test]
fn the_changelog_keeps_its_form() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(text.contains("\n## Unreleased\n"), "no section for what is not released");
    check(changelog_faults(&text));
}

#[test]
fn a_changelog_of_another_form_is_found() {
    #[track_caller]
    fn check(body: &str, want: &[&str]) {
        let faults = changelog_faults(&format!("# Changelog\n\n## Unreleased\n{body}"));
        assert_eq!(faults, want);
    }
    let long = format!("- Keep{}.\n", " it".repeat(25));
    check("### Added\n#### Engine\n- Keep it.\n### Fixed\n#### Engine\n- Keep it.\n", &[]);
    check("- Keep it.\n", &["4: is under no component: - Keep it."]);
    check("### News\n", &["4: is no section, or not in its place: ### News"]);
    check(
        "### Added\n#### Engine\n- Keep it.\n#### Framework\n- Keep it.\n",
        &["7: is no component, or not in its place: #### Framework"],
    );
    check("### Fixed\n### Added\n", &["5: is no section, or not in its place: ### Added"]);
    for (line, why) in [
        ("- Keeps it.\n", "begins with no verb"),
        ("- The engine keeps it.\n", "begins with no verb"),
        ("- `up`: keep it.\n", "begins with no verb"),
        ("- Keep it\n", "does not end with a full stop"),
        ("  and so on.\n", "is neither a heading nor a change on one line"),
        (long.as_str(), "has too many words"),
    ] {
        let want = format!("6: {why}: {}", line.trim_end());
        check(&format!("### Added\n#### Engine\n{line}"), &[&want]);
    }
}
