//! The part of a status that selectors name.

use serde_json::{Map, Value};

/// Leaves the applications and units that one of the selectors matches, and says whether there
/// are any. A selector is the name of an application or unit, in which `*` stands for anything,
/// or a status of a unit. Without selectors all stays.
pub(crate) fn select(status: &mut Value, selectors: &[String]) -> bool {
    if selectors.is_empty() {
        return true;
    }
    let Some(applications) = status["applications"].as_object_mut() else { return false };
    applications.retain(|name, app| keep(name, app, selectors));
    let kept: Vec<String> = applications.keys().cloned().collect();
    let known = |side: &Value| {
        let app = side.as_str().and_then(|side| side.split(':').next());
        app.is_some_and(|app| kept.iter().any(|kept| kept == app))
    };
    if let Some(relations) = status["relations"].as_array_mut() {
        relations.retain(|one| known(&one["provider"]) && known(&one["requirer"]));
    }
    !kept.is_empty()
}

/// Whether an application stays: it is named, or one of its units is.
fn keep(name: &str, app: &mut Value, selectors: &[String]) -> bool {
    let is_named = selectors.iter().any(|selector| matches(selector, name));
    let Some(units) = app.get_mut("units").and_then(Value::as_object_mut) else { return is_named };
    units.retain(|unit, facts| is_named || is_meant(unit, facts, selectors));
    let some = !Map::is_empty(units);
    is_named || some
}

fn is_meant(unit: &str, facts: &Value, selectors: &[String]) -> bool {
    let states = [&facts["workload-status"]["current"], &facts["juju-status"]["current"]];
    selectors.iter().any(|selector| {
        matches(selector, unit) || states.iter().any(|state| **state == selector.as_str())
    })
}

/// Whether a pattern, in which `*` stands for any letters of one name, is the text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.take_while(|at| !rest[..*at].contains('/')).any(|at| matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selectors: &[&str], want: &[&str]) {
        let unit = |workload: &str| json!({"workload-status": {"current": workload}, "juju-status": {"current": "idle"}});
        let mut status = json!({"applications": {
            "db": {"units": {"db/0": unit("active"), "db/1": unit("blocked")}},
            "db-client": {"units": {"db-client/0": unit("active")}},
            "none": {},
        }, "relations": [{"provider": "db:a", "requirer": "db-client:b"}]});
        let selectors: Vec<String> = selectors.iter().map(|&text| text.to_owned()).collect();
        let matched = select(&mut status, &selectors);
        let mut found = Vec::new();
        for (name, app) in status["applications"].as_object().unwrap() {
            let units = app["units"].as_object().into_iter().flatten();
            found.push(name.as_str());
            found.extend(units.map(|(unit, _)| unit.as_str()));
        }
        assert_eq!(found, want, "{selectors:?}");
        assert_eq!(matched, !want.is_empty(), "{selectors:?}");
    }

    #[test]
    fn selectors_are_names_and_statuses() {
        check(&["db"], &["db", "db/0", "db/1"]);
        check(&["db/1"], &["db", "db/1"]);
        check(&["blocked"], &["db", "db/1"]);
        check(&["db*"], &["db", "db/0", "db/1", "db-client", "db-client/0"]);
        check(&["*/0"], &["db", "db/0", "db-client", "db-client/0"]);
        check(&["none"], &["none"]);
        check(&["nope"], &[]);
    }

    #[test]
    fn a_relation_stays_with_both_its_sides() {
        let mut status = json!({"applications": {"db": {}, "b": {}},
            "relations": [{"provider": "db:a", "requirer": "b:b"}]});
        select(&mut status, &["db".to_owned()]);
        assert_eq!(status["relations"], json!([]));
    }
}
