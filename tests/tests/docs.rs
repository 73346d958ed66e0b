//! What the documentation says of tests: every answer in a flowchart, every acceptance scenario,
//! every rule of the contract with charms and every promise of a simulated part has one. And of
//! files: what it names is there, and what is there it names.

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

/// All that the files of a folder say, tests left out.
fn sources(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let (Some(name), Some("rs")) =
            (path.file_stem(), path.extension().and_then(|e| e.to_str()))
        {
            found.insert(name.to_string_lossy().into_owned(), std::fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

/// A chart has a function of its name, or a row of the table that stands beside the decision.
#[test]
fn every_chart_has_its_function_or_its_row() -> Result<()> {
    for (page, charm) in PAGES {
        let decide = sources(&root().join(charm).join("src/decide"))?;
        let rows = decide["mod"].lines().filter_map(|line| line.strip_prefix("/// | "));
        let rows: Vec<Vec<&str>> =
            rows.map(|row| row.split('|').map(str::trim).collect()).collect();
        let declares = |text: &str, name: &str| {
            text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"))
        };
        for chart in charts(&std::fs::read_to_string(root().join(page))?)? {
            let named = decide.values().any(|text| declares(text, &chart.name));
            let has = |row: &&Vec<&str>| row[0].split(", ").any(|name| slug(name) == chart.name);
            ensure!(named || rows.iter().any(|row| has(&row)), "{page}: {}", chart.name);
        }
        for part in rows.iter().filter_map(|row| row.get(2)).flat_map(|cell| cell.split(", ")) {
            let Some(path) = part.strip_prefix("[`").and_then(|part| part.strip_suffix("`]"))
            else {
                continue;
            };
            let (file, name) = path.split_once("::").unwrap_or(("mod", path));
            let there = decide.get(file).is_some_and(|text| declares(text, name));
            ensure!(there || path == "validate", "{charm}: no {path}");
        }
    }
    Ok(())
}

/// What the last cell of a line may begin with in the place of a test.
const REASONS: [&str; 3] = ["not yet: ", "differs: ", "not applicable: "];

/// The functions that the last cell of a line names, as `file`: `function`.
fn carriers(cell: &str) -> Vec<(&str, &str)> {
    let quoted: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    quoted.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn has_function(file: &str, function: &str) -> Result<()> {
    let text = std::fs::read_to_string(root().join(file)).context(file.to_owned())?;
    ensure!(text.contains(&format!("fn {function}(")), "{file} has no function {function}");
    Ok(())
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
            has_function(file, function).context(number.to_owned())?;
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

/// The folders with rooms of their own in the code map.
const CODE: [&str; 3] = ["charms", "crates", "engine"];

/// The names of a folder's entries, hidden ones and what is built left out.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let names: Vec<_> = names.collect::<Result<_>>()?;
    let names = names.into_iter().map(|name| name.to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.') && name != "target" && name != "dist").collect())
}

/// The paths in this repository that a page quotes.
fn quoted_paths(page: &str) -> Result<Vec<String>> {
    let top = entries(&root())?;
    let quoted = page.split('`').skip(1).step_by(2).map(|path| path.trim_end_matches('/'));
    let inside = quoted.filter(|path| {
        let first = path.split('/').next().unwrap_or_default();
        top.iter().any(|name| name == first) && !path.contains(' ')
    });
    Ok(inside.map(str::to_owned).collect())
}

/// Whether a path is there; a `*` stands for any part of a name.
fn is_there(path: &str) -> Result<bool> {
    let Some((before, after)) = path.split_once('*') else { return Ok(root().join(path).exists()) };
    let (folder, prefix) = before.rsplit_once('/').unwrap_or_default();
    let (suffix, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    for name in entries(&root().join(folder))? {
        let matches = name.starts_with(prefix) && name.ends_with(suffix);
        if matches && is_there(&format!("{folder}/{name}{rest}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn every_path_that_a_page_names_is_there() -> Result<()> {
    for page in pages()? {
        let text = std::fs::read_to_string(root().join(&page))?;
        for path in quoted_paths(&text)? {
            ensure!(is_there(&path)?, "{page} names {path}, which is not there");
        }
    }
    Ok(())
}

/// The most files that a change of one kind may need.
const FILES_MAX: usize = 5;

#[test]
fn a_change_needs_few_files() -> Result<()> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let section = page.split("## To change X").nth(1).context("no table of changes")?;
    let rows = section.split("\n## ").next().unwrap_or_default().lines();
    let rows: Vec<&str> = rows.filter(|line| line.starts_with("| ")).skip(2).collect();
    for row in &rows {
        let files = quoted_paths(row)?.len();
        ensure!((1..=FILES_MAX).contains(&files), "{files} files: {row}");
    }
    ensure!(rows.len() >= 8, "there are only {}", rows.len());
    Ok(())
}

#[test]
fn every_invariant_has_its_test() -> Result<()> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let section = page.split("## Invariants").nth(1).context("no invariants")?;
    let rows = section.split("\n## ").next().unwrap_or_default().lines();
    let mut count = 0;
    for row in rows.filter(|line| line.starts_with("| ")).skip(2) {
        let cell = row.trim_matches(['|', ' ']).rsplit(" | ").next().context("no cells")?;
        let mut quoted = cell.split('`').skip(1).step_by(2);
        let mut file = quoted.next().with_context(|| format!("no test: {row}"))?;
        for name in quoted {
            match name.contains('/') {
                true => file = name,
                false if file.ends_with(".rs") => has_function(file, name)?,
                false => {}
            }
        }
        count += 1;
    }
    ensure!(count > 8, "there are only {count}");
    Ok(())
}

#[test]
fn the_code_map_names_every_folder() -> Result<()> {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let map = page.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next());
    let mapped = quoted_paths(map.context("no code map")?)?;
    let mut folders: Vec<String> = entries(&root())?;
    folders.retain(|name| root().join(name).is_dir() && !CODE.contains(&name.as_str()));
    for parent in CODE {
        let rooms = entries(&root().join(parent))?.into_iter();
        let rooms = rooms.map(|name| format!("{parent}/{name}"));
        folders.extend(rooms.filter(|name| root().join(name).is_dir()));
    }
    folders.retain(|folder| !mapped.contains(folder));
    ensure!(folders.is_empty(), "the code map leaves out {folders:?}");
    Ok(())
}

#[test]
fn every_page_is_listed() -> Result<()> {
    let list = std::fs::read_to_string(root().join("docs/README.md"))?;
    for kind in ["tutorial", "how-to", "reference", "explanation"] {
        for page in entries(&root().join("docs").join(kind))? {
            let listed = list.contains(&format!("({kind}/{page})"));
            ensure!(listed || !page.ends_with(".md"), "docs/README.md leaves out {kind}/{page}");
        }
    }
    Ok(())
}

/// The pages at the root and below `docs`.
fn pages() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new(), "docs/".to_owned()];
    folders.extend(
        ["tutorial", "how-to", "reference", "explanation"].map(|kind| format!("docs/{kind}/")),
    );
    for folder in folders {
        let names = entries(&root().join(&folder))?.into_iter();
        found.extend(names.filter(|name| name.ends_with(".md")).map(|name| folder.clone() + &name));
    }
    Ok(found)
}

#[test]
fn every_link_leads_to_a_file() -> Result<()> {
    for page in pages()? {
        let text = std::fs::read_to_string(root().join(&page))?;
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let path = root().join(&page).parent().context("a folder")?.join(file);
            ensure!(
                file.is_empty() || path.exists(),
                "{page} links to {target}, which is not there"
            );
        }
    }
    Ok(())
}
