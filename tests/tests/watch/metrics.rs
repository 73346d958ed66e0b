//! Which metrics rules and dashboards rest on.

use std::collections::BTreeSet;

use juju_interfaces::alert_rules::{PLACEHOLDER, Rules};
use serde_json::Value;

use super::{CHARMS, read, rules};

/// What the names of metrics begin with, but for `up`.
const PREFIXES: [&str; 3] = ["pgbouncer_", "patroni_", "pg_"];

/// The metrics of a query, each with what follows its name.
fn metrics(query: &str) -> Vec<(&str, &str)> {
    let is_word = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let mut found = Vec::new();
    // What is quoted is a label's value.
    for part in query.split('"').step_by(2) {
        let mut rest = part;
        while let Some(start) = rest.find(is_word) {
            let word = &rest[start..];
            let end = word.find(|sign| !is_word(sign)).unwrap_or(word.len());
            let (name, after) = word.split_at(end);
            if name == "up" || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                let at = name.as_ptr() as usize - query.as_ptr() as usize + name.len();
                found.push((name, &query[at..]));
            }
            rest = after;
        }
    }
    found
}

#[test]
fn metrics_are_found_in_queries() {
    let query = r#"sum by (unit) (pg_up{name="pg_down"}) / on (x) rate(pgbouncer_x[5m]) > up"#;
    let names: Vec<&str> = metrics(query).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["pg_up", "pgbouncer_x", "up"]);
}

/// The queries of a dashboard, each with its panel's title.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        if panel["type"] == "row" {
            continue;
        }
        // Grafana's charm adds the matchers of model, application and unit to these only.
        assert_eq!(panel["datasource"]["uid"], "${prometheusds}", "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        for target in panel["targets"].as_array().unwrap() {
            found.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    found
}

/// What the exporters of a charm export, as it was recorded.
fn exported(charm: &str, files: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["up".to_owned()]);
    for file in files {
        let sample = read(charm, &format!("tests/samples/{file}.prom"));
        let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
        names.extend(sample.lines().map(name));
    }
    names
}

#[test]
fn rules_and_dashboards_rest_on_what_is_exported() {
    for (charm, files, dashboards) in CHARMS {
        let exported = exported(charm, files);
        let mut queries = Vec::new();
        for file in files {
            let text = rules(charm, file);
            let rules = Rules::parse(&[(file, &text)]).unwrap();
            let rules = rules.groups.into_iter().flat_map(|group| group.rules);
            queries.extend(rules.map(|rule| (rule.alert, rule.expr)));
        }
        for name in dashboards {
            let text = read(charm, &format!("src/grafana_dashboards/{name}.json"));
            let dashboard: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(dashboard["tags"][0], format!("charm: {charm}"));
            queries.extend(self::queries(&dashboard));
        }
        assert!(queries.len() > 40, "{charm} has only {} queries", queries.len());
        for (of, query) in &queries {
            let found = metrics(query);
            assert!(!found.is_empty(), "{of} looks at nothing");
            for (name, _) in found {
                assert!(exported.contains(name), "{of} looks at {name}, which nothing exports");
            }
        }
    }
}

#[test]
fn every_metric_of_a_rule_is_of_this_application() {
    for (charm, files, _) in CHARMS {
        for file in files {
            let text = rules(charm, file);
            let rules = Rules::parse(&[(file, &text)]).unwrap();
            for rule in rules.groups.iter().flat_map(|group| &group.rules) {
                for (name, after) in metrics(&rule.expr) {
                    let matchers = after.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                    let matched = matchers.is_some_and(|(inside, _)| inside.contains(PLACEHOLDER));
                    assert!(matched, "{}: {name} of every application", rule.alert);
                }
            }
        }
    }
}
