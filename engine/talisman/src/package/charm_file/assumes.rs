//! What a charm assumes of the Juju that runs it.

use serde_json::Value;

/// What is there to be assumed: the feature and its version.
pub(super) type Features<'a> = [(&'a str, &'a str)];

/// Checks a list of assumptions, all of which must hold; the answer names those that do not.
pub(super) fn unmet(assumes: &[Value], features: &Features<'_>) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for one in assumes {
        if !holds(one, features)? {
            found.push(words(one));
        }
    }
    Ok(found)
}

/// Whether an assumption holds: `<feature>`, `<feature> >= <version>`, `<feature> < <version>`,
/// or a list of such under `any-of` or `all-of`.
fn holds(one: &Value, features: &Features<'_>) -> Result<bool, String> {
    if let Some(text) = one.as_str() {
        return feature(text, features);
    }
    let wrong = || format!("it cannot be read: {one}; write a feature, any-of or all-of");
    let map = one.as_object().filter(|map| map.len() == 1).ok_or_else(wrong)?;
    let (key, list) = map.iter().next().ok_or_else(wrong)?;
    let list = list.as_array().ok_or_else(wrong)?;
    let held = list.iter().map(|one| holds(one, features)).collect::<Result<Vec<_>, _>>()?;
    match key.as_str() {
        "any-of" => Ok(held.contains(&true)),
        "all-of" => Ok(!held.contains(&false)),
        _ => Err(wrong()),
    }
}

fn feature(text: &str, features: &Features<'_>) -> Result<bool, String> {
    let wrong = || format!("it cannot be read: {text:?}; write for instance juju >= 3.6");
    let (name, bound) = match (text.split_once(">="), text.split_once('<')) {
        (Some((name, version)), _) => (name, Some((true, version))),
        (None, Some((name, version))) => (name, Some((false, version))),
        (None, None) => (text, None),
    };
    let known = features.iter().find(|(known, _)| *known == name.trim());
    let Some((at_least, version)) = bound else { return Ok(known.is_some()) };
    let wanted = numbers(version.trim()).ok_or_else(wrong)?;
    let Some((_, version)) = known else { return Ok(false) };
    let here = numbers(version).ok_or_else(wrong)?;
    Ok((here >= wanted) == at_least)
}

/// A version's numbers; what is not written is zero.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = version.split('.');
    for number in &mut numbers {
        match parts.next() {
            Some(part) => *number = part.parse().ok()?,
            None => break,
        }
    }
    parts.next().is_none().then_some(numbers)
}

/// An assumption as a sentence has it.
fn words(one: &Value) -> String {
    let list = |list: &Value, between: &str| -> String {
        let all = list.as_array().into_iter().flatten().map(words);
        format!("({})", all.collect::<Vec<_>>().join(between))
    };
    match (one.as_str(), one.get("any-of"), one.get("all-of")) {
        (Some(text), ..) => text.to_owned(),
        (None, Some(any), _) => list(any, " or "),
        (None, None, Some(all)) => list(all, " and "),
        _ => one.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(assumes: &str, want: Result<&[&str], &str>) {
        let assumes: Vec<Value> = serde_saphyr::from_str(assumes).unwrap();
        let found = unmet(&assumes, &[("juju", "3.6.11"), ("k8s-api", "1.34.0")]);
        match (found, want) {
            (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => assert_eq!(found.unwrap(), want.unwrap()),
        }
    }

    #[test]
    fn assumptions_are_checked_as_juju_checks_them() {
        check("[]", Ok(&[]));
        check("[k8s-api, juju >= 3.6]", Ok(&[]));
        check("[juju >= 3.6.12]", Ok(&["juju >= 3.6.12"]));
        check("[juju>=3.5.1, juju < 4]", Ok(&[]));
        check("[juju < 3.6.11]", Ok(&["juju < 3.6.11"]));
        check("[juju >= 3.10]", Ok(&["juju >= 3.10"]));
        check("[vm-api]", Ok(&["vm-api"]));
        check("[k8s-api >= 1.40]", Ok(&["k8s-api >= 1.40"]));
        check("[any-of: [juju < 3, all-of: [juju >= 3.4, juju < 4]]]", Ok(&[]));
        check(
            "[any-of: [juju < 3, all-of: [juju >= 5, k8s-api]]]",
            Ok(&["(juju < 3 or (juju >= 5 and k8s-api))"]),
        );
        check("[juju >= new]", Err("juju >= new"));
        check("[some-of: []]", Err("any-of or all-of"));
        check("[5]", Err("cannot be read: 5"));
    }
}
