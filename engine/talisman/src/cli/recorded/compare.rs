//! What differs between two outputs of a command, beside what no two runs have in common.

use std::collections::BTreeSet;

use serde_json::Value;

/// The places in which two outputs differ: paths in what programs read, lines of what people do.
pub(super) fn differences(theirs: &str, ours: &str) -> Vec<String> {
    let mut found = Vec::new();
    match (parsed(theirs), parsed(ours)) {
        (Some(theirs), Some(ours)) => values("", &theirs, &ours, &mut found),
        _ => lines(theirs, ours, &mut found),
    }
    found
}

/// The same of what is said beside the result. Why a command is refused we say in words of our
/// own, with what to do next: only that it is counts.
pub(super) fn words(theirs: &str, ours: &str) -> Vec<String> {
    let told = |text: &str| -> String {
        let is_reason = |line: &&str| line.starts_with("ERROR") || line.ends_with("tasks:");
        let refusal = text.lines().find(is_reason);
        let kind = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        refusal.map_or_else(|| text.to_owned(), kind)
    };
    differences(&told(theirs), &told(ours))
}

/// JSON or YAML with something inside; a table is neither.
fn parsed(text: &str) -> Option<Value> {
    let json = serde_json::from_str(text).ok();
    let is_yaml = text.lines().next().is_some_and(|line| line.ends_with(':') || line == "{}");
    let is_yaml = is_yaml || text.starts_with("application: ");
    let yaml = || serde_saphyr::from_str(text).ok().filter(|_| is_yaml);
    let value = json.or_else(yaml).filter(|value: &Value| value.is_object() || value.is_array())?;
    Some(ordered(value))
}

/// Secrets by their labels, and relations by their endpoints: numbers and ids are no names.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let key = |key: String, value: &Value| match value["label"].as_str() {
                Some(label) => label.to_owned(),
                None => key,
            };
            let all = map.into_iter().map(|(name, value)| (key(name, &value), ordered(value)));
            Value::Object(all.collect())
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(ordered).collect();
            list.sort_by_key(|one| one["endpoint"].as_str().unwrap_or_default().to_owned());
            Value::Array(list)
        }
        value => value,
    }
}

fn values(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let missing = Value::from("<missing>");
                let side = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or_else(|| missing.clone())
                };
                values(&format!("{path}/{}", word(key)), &side(theirs), &side(ours), found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            let both = theirs.iter().zip(ours).enumerate();
            both.for_each(|(at, (a, b))| values(&format!("{path}/{at}"), a, b, found));
        }
        (Value::String(theirs), Value::String(ours)) if sentence(theirs) == sentence(ours) => {}
        (theirs, ours) if theirs == ours => {}
        (theirs, ours) => found.push(format!("{path}: {theirs} | {ours}")),
    }
}

fn lines(theirs: &str, ours: &str, found: &mut Vec<String>) {
    let all = |text: &str| -> Vec<String> {
        text.lines().map(sentence).filter(|line| !line.is_empty()).collect()
    };
    let (mut theirs, mut ours) = (all(theirs), all(ours));
    // Units and secrets of several applications have no promised order.
    theirs.sort();
    ours.sort();
    if theirs != ours {
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|line| !b.contains(line)).cloned().collect()
        };
        found.push(format!("text: {:?} | {:?}", only(&theirs, &ours), only(&ours, &theirs)));
    }
}

/// A line with single spaces and without what differs from run to run.
fn sentence(text: &str) -> String {
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// A word, or what kind of word it is where no two runs have the same.
fn word(text: &str) -> String {
    let bare = text.trim_matches(|c: char| "\"',.;:()".contains(c));
    let signs = |of: &dyn Fn(char) -> bool| !bare.is_empty() && bare.chars().all(of);
    let count = |sign: char| bare.matches(sign).count();
    let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let has_digit = bare.chars().any(|c| c.is_ascii_digit());
    let time = |c: char| c.is_ascii_digit() || "-:TZ.+".contains(c);
    let is_time = has_digit && signs(&time) && (count(':') > 0 || count('-') == 2)
        || ["Nov", "UTC", "+0000", "seconds", "minutes", "hours", "days"].contains(&bare);
    let kind = if ["3.6.11", "4.0.15"].contains(&bare) {
        "<version>"
    } else if ["ctrl", "talisman", "juju"].contains(&bare) {
        "<program>"
    } else if ["kk", "localhost"].contains(&bare) {
        "<cloud>"
    } else if bare.len() == 36 && count('-') == 4 && signs(&hex) {
        "<uuid>"
    } else if bare.len() == 20 && has_digit && signs(&small) {
        "<secret>"
    } else if count('.') == 3 && signs(&|c| c.is_ascii_digit() || "./".contains(c)) {
        "<address>"
    } else if is_time {
        "<time>"
    } else if bare.starts_with("agent:executing") || bare == "executing" {
        // Which of a unit's hooks ran in that second says nothing.
        return text.replacen("executing", "idle", 1);
    } else if bare.starts_with("pvc-") || bare.starts_with("rec-") {
        "<volume>"
    } else if signs(&|c| c.is_ascii_digit()) {
        "<number>"
    } else {
        return text.to_owned();
    };
    text.replacen(bare, kind, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(theirs: &str, ours: &str, want: &[&str]) {
        assert_eq!(differences(theirs, ours), want);
    }

    #[test]
    fn what_no_two_runs_share_is_no_difference() {
        let at = |time: &str| format!("{{\"at\":\"{time}\"}}");
        check(&at("28 Nov 2026 13:33:16Z"), &at("28 Nov 2026 10:00:00Z"), &[]);
        assert_eq!(differences(&at("13:33:16Z"), &at("soon")).len(), 1);
        check("a: 10.96.254.7\n", "a: 10.1.0.2\n", &[]);
        check("App  Rev\nx    1\n", "App Rev\nx 7", &[]);
        check("{\"a\":1}", "{\"b\":1}", &["/a: 1 | \"<missing>\"", "/b: \"<missing>\" | 1"]);
    }
}
