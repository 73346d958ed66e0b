//! What the documentation says of tests: every answer in a flowchart, every acceptance scenario,
//! every rule of the contract with charms and every promise of a simulated part has one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use end_to_end::root;

/// The pages with charts, each with the sources that hold its tests. A page that is not
/// there yet has no charts.
const PAGES: [(&str, &str); 2] = [
    ("docs/reference/hooks.md", "charms/pgbouncer-k8s"),
    ("docs/reference/hooks-postgresql.md", "charms/postgresql-k8s"),
];

/// One arrow of a chart.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    answer: Option<String>,
    to: String,
}

/// A chart: its heading as a part of a function's name, its arrows, its questions.
#[derive(Debug, Default)]
struct Chart {
    name: String,
    edges: Vec<Edge>,
    questions: BTreeSet<String>,
}

impl Chart {
    /// Reads one line of a chart: nodes with arrows between.
    fn line(&mut self, line: &str) -> Result<()> {
        let mut parts = line.split("-->").map(str::trim).peekable();
        let mut from: Option<(String, Option<String>)> = None;
        while let Some(part) = parts.next() {
            // In `a -- yes --> b` the answer stands before the arrow's head.
            let (node, answer) = match part.rsplit_once(" -- ") {
                Some((node, answer)) if parts.peek().is_some() => (node, Some(slug(answer))),
                _ => (part, None),
            };
            let id: String =
                node.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            ensure!(!id.is_empty(), "{}: no node in {line:?}", self.name);
            if node[id.len()..].starts_with('{') {
                self.questions.insert(id.clone());
            }
            if let Some((from, answer)) = from {
                self.edges.push(Edge { from, answer, to: id.clone() });
            }
            from = Some((id, answer));
        }
        Ok(())
    }

    /// What the tests' names have to begin with: one for each answer that is a result. An
    /// answer that leads to another question is met by the tests of that question.
    fn prefixes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for edge in &self.edges {
            let asks = self.questions.contains(&edge.from);
            ensure!(asks == edge.answer.is_some(), "{}: {edge:?} needs an answer", self.name);
            if let (Some(answer), false) = (&edge.answer, self.questions.contains(&edge.to)) {
                found.push(format!("{}_{}_{answer}", self.name, edge.from));
            }
        }
        if found.is_empty() {
            found.push(self.name.clone());
        }
        Ok(found)
    }
}

fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    text.trim().chars().map(plain).collect()
}

fn charts(page: &str) -> Result<Vec<Chart>> {
    let (mut charts, mut heading, mut inside) = (Vec::new(), String::new(), false);
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = slug(text);
        } else if line == "```mermaid" {
            inside = true;
            charts.push(Chart { name: heading.clone(), ..Chart::default() });
        } else if line == "```" {
            inside = false;
        } else if inside && !line.starts_with("flowchart") {
            charts.last_mut().context("a chart")?.line(line.trim())?;
        }
    }
    Ok(charts)
}

/// The names of all test functions below a folder.
fn tests(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            tests(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let mut lines = text.lines().map(str::trim);
            while lines.any(|line| line == "#[test]") {
                let name = lines.by_ref().find_map(|line| line.strip_prefix("fn "));
                let name = name.and_then(|line| line.split('(').next());
                found.extend(name.map(str::to_owned));
            }
        }
    }
    Ok(())
}

#[test]
fn every_edge_of_every_chart_has_a_test_named_after_it() -> Result<()> {
    let mut missing = BTreeMap::new();
    for (page, sources) in PAGES {
        let Ok(text) = std::fs::read_to_string(root().join(page)) else { continue };
        let mut known = BTreeSet::new();
        tests(&root().join(sources), &mut known)?;
        let charts = charts(&text)?;
        ensure!(!charts.is_empty(), "{page} has no chart");
        for chart in charts {
            let prefixes = chart.prefixes()?;
            let untested = prefixes.into_iter().filter(|prefix| {
                let whole = format!("{prefix}_");
                !known.iter().any(|name| name == prefix || name.starts_with(&whole))
            });
            let untested: Vec<String> = untested.collect();
            if !untested.is_empty() {
                missing.insert(format!("{page}: {}", chart.name), untested);
            }
        }
    }
    ensure!(missing.is_empty(), "edges without a test: {missing:#?}");
    Ok(())
}

#[test]
fn a_chart_is_read_as_drawn() -> Result<()> {
    let page = "## a b\n```mermaid\nflowchart TD\n  x([go]) --> q{why?}\n  q -- no --> r{and?}\n  \
                q -- yes --> s[done] --> t\n  r -- so what --> s\n```\n";
    let charts = charts(page)?;
    assert_eq!(charts[0].prefixes()?, ["a_b_q_yes", "a_b_r_so_what"]);
    let unanswered = page.replace("q -- yes -->", "q -->");
    ensure!(self::charts(&unanswered)?[0].prefixes().is_err());
    Ok(())
}

/// What the last cell of a line may begin with in the place of a test.
const REASONS: [&str; 3] = ["not yet: ", "differs: ", "not applicable: "];

/// The functions that the last cell of a line names, as `file`: `function`.
fn carriers(cell: &str) -> Vec<(&str, &str)> {
    let quoted: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    quoted.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The numbers of a page's scenarios; each has its test or a reason.
fn scenarios(page: &str) -> Result<Vec<String>> {
    let page = std::fs::read_to_string(root().join(page))?;
    let mut numbers = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let number = cells[0];
        if !number.ends_with(|end: char| end.is_ascii_digit()) {
            continue;
        }
        numbers.push(number.to_owned());
        let cell = cells.last().context("no cells")?;
        if *cell == "not yet" || REASONS.iter().any(|reason| cell.starts_with(reason)) {
            continue;
        }
        let carriers = carriers(cell);
        ensure!(!carriers.is_empty(), "{number} has no test and no reason");
        for (file, function) in carriers {
            let text = std::fs::read_to_string(root().join(file)).context(file.to_owned())?;
            let there = text.contains(&format!("fn {function}("));
            ensure!(there, "{number}: {file} has no function {function}");
        }
    }
    Ok(numbers)
}

#[test]
fn every_acceptance_scenario_has_its_test_or_a_reason() -> Result<()> {
    let numbered = |letter: &str, last: u32| (1..=last).map(|n| format!("{letter}{n}")).collect();
    let pooler: Vec<String> = numbered("", 41);
    ensure!(scenarios("docs/reference/acceptance.md")? == pooler, "the pooler's scenarios");
    let server: [Vec<String>; 2] = [numbered("C", 28), numbered("H", 13)];
    let found = scenarios("docs/reference/acceptance-postgresql.md")?;
    ensure!(found == server.concat(), "the server's scenarios");
    Ok(())
}

#[test]
fn every_rule_of_the_contract_has_its_test_or_a_reason() -> Result<()> {
    let found = scenarios("docs/reference/contract.md")?;
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for number in &found {
        let (section, row) = number.rsplit_once('.').context("a number without a section")?;
        let before = last.insert(section, row.parse()?).unwrap_or(0);
        ensure!(last[section] == before + 1, "{number} does not follow {section}.{before}");
    }
    let sections = ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2", "2.3", "2.4", "2.5"];
    let tools = ["3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "5", "6", "7"];
    ensure!(last.keys().eq(sections.iter().chain(&tools)), "the sections are {last:?}");
    Ok(())
}

#[test]
fn every_stuck_state_has_its_test_or_a_reason() -> Result<()> {
    let states = scenarios("docs/reference/stuck-postgresql.md")?;
    ensure!(states.len() > 20, "there are only {}", states.len());
    Ok(())
}

/// The promises of a suite: its functions of a far side.
fn promises(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let text = std::fs::read_to_string(entry?.path())?;
        let names = text.lines().filter_map(|line| line.strip_prefix("pub(crate) async fn "));
        found.extend(names.filter_map(|rest| Some(rest.split_once("(far")?.0.to_owned())));
    }
    Ok(found)
}

#[test]
fn every_promise_is_kept_by_the_simulated_part_and_the_real_one() -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/explanation/simulator.md"))?;
    let mut suites = 0;
    for line in page.lines().filter(|line| line.contains("/tests/contract` |")) {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let [suite, simulated, real] = quoted[..] else { continue };
        let promises = promises(&root().join(suite))?;
        ensure!(promises.len() > 5, "{suite} has few promises: {promises:?}");
        for file in [simulated, real] {
            let text = std::fs::read_to_string(root().join(file)).context(file.to_owned())?;
            let words: BTreeSet<&str> =
                text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for promise in &promises {
                ensure!(words.contains(promise.as_str()), "{file} leaves out {promise}");
            }
        }
        suites += 1;
    }
    ensure!(suites == 4, "the page names {suites} suites");
    Ok(())
}
