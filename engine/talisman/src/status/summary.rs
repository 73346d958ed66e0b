//! `status --format summary`: how many there are of what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::map;

/// Ports in use, units by status, and applications with whether they are exposed.
pub(crate) fn summary(status: &Value) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ports: BTreeSet<&str> = BTreeSet::new();
    let mut apps = Vec::new();
    for (name, app) in map(status, "applications") {
        let exposed = usize::from(app["exposed"] == true);
        apps.push((name.clone(), format!("{exposed}/1  exposed")));
        for (_, unit) in map(app, "units") {
            let state = unit["workload-status"]["current"].as_str().unwrap_or_default();
            *states.entry(state).or_default() += 1;
            ports.extend(
                unit["open-ports"].as_array().into_iter().flatten().filter_map(Value::as_str),
            );
        }
    }
    let units = states.values().sum::<usize>();
    let blank = || (String::new(), String::new());
    let mut rows = vec![("# Machines:".to_owned(), "(0)".to_owned()), blank()];
    rows.push(("# Units:".to_owned(), format!("({units})")));
    rows.extend(states.iter().map(|(state, count)| (format!("{state}:"), format!(" {count}"))));
    rows.extend([blank(), ("# Applications:".to_owned(), format!("({})", apps.len()))]);
    rows.extend(apps);
    rows.extend([blank(), ("# Remote:".to_owned(), "(0)".to_owned())]);
    let ports: Vec<&str> = ports.into_iter().collect();
    let mut lines = vec!["Running on subnets:".to_owned()];
    lines.push(format!(" Utilizing ports:  {}", ports.join(", ")).trim_end().to_owned());
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or_default() + 2;
    lines.extend(rows.iter().map(|(key, value)| format!("{key:>width$}  {value}")));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}
