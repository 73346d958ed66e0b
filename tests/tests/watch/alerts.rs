//! When each alert fires, and when it does not.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use juju_interfaces::alert_rules::Rules;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CHARMS, read, rules, topology};

/// The least number of alerts of both charms.
const LEAST: usize = 33;

/// Both cases of a rule.
#[derive(Deserialize)]
struct Cases {
    fires: Case,
    silent: Case,
}

/// Series by their names, and when the rule is looked at.
#[derive(Deserialize)]
struct Case {
    at: String,
    series: BTreeMap<String, String>,
}

impl Case {
    /// The series of a unit of an application, as Prometheus' tool reads them.
    fn series(&self, application: &str) -> Vec<Value> {
        let place = topology(application).matchers();
        let one = |(name, values): (&String, &String)| {
            let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
            let labels = labels.trim_end_matches('}');
            let mut labels = vec![place.as_str(), labels];
            labels.retain(|part| !part.is_empty());
            let unit = format!("juju_unit=\"{application}/0\"");
            if !labels.iter().any(|part| part.contains("juju_unit")) {
                labels.push(&unit);
            }
            json!({"series": format!("{name}{{{}}}", labels.join(", ")), "values": values})
        };
        self.series.iter().map(one).collect()
    }

    /// A test by Prometheus' tool.
    fn test(&self, alert: &str, of: &str, fires: bool) -> Value {
        let expr = format!("min(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
        let expected = if fires { json!([{"labels": "{}", "value": 1}]) } else { json!([]) };
        json!({
            "name": format!("{alert} of {of} {}", if fires { "fires" } else { "is silent" }),
            "interval": "1m",
            "input_series": self.series(of),
            "promql_expr_test": [{"expr": expr, "eval_time": self.at, "exp_samples": expected}],
        })
    }
}

/// What Prometheus' tool says of rules and tests.
fn promtool(rules: &Rules, tests: &[Value]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rules.yaml"), rules.text()).unwrap();
    let file = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    fs::write(path("tests.yaml"), file.to_string()).unwrap();
    for (words, file) in [(["check", "rules"], "rules.yaml"), (["test", "rules"], "tests.yaml")] {
        let run = Command::new("promtool").args(words).arg(path(file)).output();
        let run = run.map_err(|error| {
            format!("cannot run promtool: {error}; `tools/setup test` installs it")
        })?;
        if !run.status.success() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Err(text(&run.stdout) + &text(&run.stderr));
        }
    }
    Ok(())
}

/// The alerts of a file, and the cases in which they fire or not.
fn cases(charm: &str, file: &str) -> (Rules, Vec<Value>) {
    let text = rules(charm, file);
    let rules = Rules::parse(&[(file, &text)]).unwrap();
    let cases: BTreeMap<String, Cases> =
        serde_saphyr::from_str(&read(charm, &format!("tests/alerts/{file}.yaml"))).unwrap();
    let mut tests = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for rule in rules.groups.iter().flat_map(|group| &group.rules) {
        let Cases { fires, silent } =
            cases.get(&rule.alert).unwrap_or_else(|| panic!("{} has no case", rule.alert));
        tests.push(fires.test(&rule.alert, "a", true));
        tests.push(silent.test(&rule.alert, "a", false));
        // What happens to another application is no matter of this one, but that nothing is heard
        // of this one.
        if !rule.expr.contains("absent(") {
            tests.push(fires.test(&rule.alert, "b", false));
        }
        for key in ["summary", "description"] {
            let said = rule.annotations.get(key).is_some_and(|text| text.ends_with('.'));
            assert!(said, "{} has no {key}", rule.alert);
        }
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("warning" | "critical")), "{}", rule.alert);
        names.push(&rule.alert);
    }
    let unknown: Vec<_> = cases.keys().filter(|name| !names.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "no alerts {unknown:?}");
    (rules.of(&topology("a")), tests)
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let mut count = 0;
    for (charm, files, _) in CHARMS {
        for file in files {
            let (rules, tests) = cases(charm, file);
            count += rules.groups.iter().map(|group| group.rules.len()).sum::<usize>();
            promtool(&rules, &tests).unwrap_or_else(|said| panic!("{charm}, {file}:\n{said}"));
        }
    }
    assert!(count >= LEAST, "only {count} alerts");
}

#[test]
fn a_case_that_is_not_so_is_found() {
    let (rules, _) = cases("pgbouncer-k8s", "pgbouncer");
    let series = BTreeMap::from([("pgbouncer_up{}".to_owned(), "0x9".to_owned())]);
    let case = Case { at: "5m".to_owned(), series };
    assert_eq!(promtool(&rules, &[case.test("PgbouncerDown", "a", true)]), Ok(()));
    assert!(promtool(&rules, &[case.test("PgbouncerDown", "a", false)]).is_err());
    assert!(promtool(&rules, &[case.test("PgbouncerDown", "b", true)]).is_err());
}

#[test]
fn the_page_has_every_alert() {
    let page = end_to_end::root().join("docs/reference/alerts.md");
    let page = fs::read_to_string(page).unwrap();
    let mut wanted = 0;
    for (charm, files, _) in CHARMS {
        for file in files {
            let text = rules(charm, file);
            for rule in
                Rules::parse(&[(file, &text)]).unwrap().groups.iter().flat_map(|it| &it.rules)
            {
                let after = rule.pending.as_deref().unwrap_or("at once");
                let row = format!("| {} | {} | {after} | ", rule.alert, rule.labels["severity"]);
                assert!(page.contains(&row), "no row {row}");
                wanted += 1;
            }
        }
    }
    assert_eq!(page.matches("| warning |").count() + page.matches("| critical |").count(), wanted);
}
