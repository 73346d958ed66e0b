//! How patches change an object: merge, strategic merge, and what an apply takes back.

use serde_json::{Map, Value};

/// Merges `patch` into `target` as RFC 7386 says: nulls delete, lists replace.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// Merges as a strategic merge patch: as [`merge`], but lists with a merge key merge by it.
pub(crate) fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        *target = Value::Object(without_directives(patch));
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            target.remove(key);
            continue;
        }
        let slot = target.entry(key.as_str()).or_insert(Value::Null);
        match (list_key(key, value), value) {
            (Some(by), Value::Array(items)) => merge_list(slot, items, by),
            _ => strategic(slot, value),
        }
    }
}

/// The key by which Kubernetes merges the list in field `field`; none: the list is replaced.
fn list_key(field: &str, value: &Value) -> Option<&'static str> {
    let by = match field {
        "ownerReferences" => "uid",
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => "name",
        "volumeMounts" => "mountPath",
        "conditions" => "type",
        "ports" => "containerPort",
        _ => return None,
    };
    let items = value.as_array()?;
    // A service's ports merge by port, a container's by containerPort.
    let by = if field == "ports" && items.iter().all(|item| item.get("port").is_some()) {
        "port"
    } else {
        by
    };
    items.iter().all(|item| item.get(by).is_some()).then_some(by)
}

fn merge_list(target: &mut Value, patch: &[Value], by: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(items) = target else { return };
    for change in patch {
        let at = items.iter().position(|item| item.get(by) == change.get(by));
        let deletes = change.get("$patch").and_then(Value::as_str) == Some("delete");
        match at {
            Some(at) if deletes => {
                items.remove(at);
            }
            Some(at) => strategic(&mut items[at], change),
            None if deletes => {}
            None => {
                let mut item = Value::Null;
                strategic(&mut item, change);
                items.push(item);
            }
        }
    }
}

/// The keys that `before` had applied and `now` no longer mentions, as a merge patch of nulls.
pub(crate) fn withdrawn(before: &Value, now: &Value) -> Value {
    let (Value::Object(before), Value::Object(now)) = (before, now) else {
        return Value::Object(Map::new());
    };
    let mut patch = Map::new();
    for (key, old) in before {
        match now.get(key) {
            None => {
                patch.insert(key.clone(), removal(old));
            }
            Some(new) if old.is_object() && new.is_object() => {
                let inner = withdrawn(old, new);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            Some(_) => {}
        }
    }
    Value::Object(patch)
}

/// Only the leaves were applied; what others put beside them in the same map stays.
fn removal(old: &Value) -> Value {
    match old {
        Value::Object(fields) if !fields.is_empty() => {
            Value::Object(fields.iter().map(|(key, old)| (key.clone(), removal(old))).collect())
        }
        _ => Value::Null,
    }
}

/// Drops nulls at every depth, lists included, as decoding into Kubernetes' types does.
pub(crate) fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    let kept = fields.iter().filter(|(key, _)| !key.starts_with('$'));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(apply: fn(&mut Value, &Value), target: Value, patch: Value, expected: Value) {
        let mut result = target;
        apply(&mut result, &patch);
        assert_eq!(result, expected);
    }

    #[test]
    fn merge_deletes_nulls_and_replaces_lists() {
        check(
            merge,
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": null}}),
            json!({"a": {"c": 2}}),
        );
        check(merge, json!({"l": [1, 2]}), json!({"l": [3]}), json!({"l": [3]}));
        check(merge, json!({}), json!({"a": {"b": null}}), json!({"a": {}}));
        check(merge, json!({"a": 1}), json!({"a": {"b": 2}}), json!({"a": {"b": 2}}));
    }

    #[test]
    fn strategic_merges_known_lists_by_key() {
        check(
            strategic,
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "image": "2"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}),
        );
        check(
            strategic,
            json!({"ports": [{"port": 1, "nodePort": 30001}]}),
            json!({"ports": [{"port": 1, "name": "x"}, {"port": 2}]}),
            json!({"ports": [{"port": 1, "nodePort": 30001, "name": "x"}, {"port": 2}]}),
        );
        check(
            strategic,
            json!({"conditions": [{"type": "Ready", "status": "True"}]}),
            json!({"conditions": [{"type": "Ready", "$patch": "delete"}],
                   "$setElementOrder/conditions": []}),
            json!({"conditions": []}),
        );
        check(
            strategic,
            json!({"subsets": [{"ports": [1]}]}),
            json!({"subsets": []}),
            json!({"subsets": []}),
        );
        check(
            strategic,
            json!({"s": {"a": 1}}),
            json!({"s": {"$patch": "replace", "b": 2}}),
            json!({"s": {"b": 2}}),
        );
    }

    #[test]
    fn an_apply_takes_back_what_it_no_longer_mentions() {
        let before = json!({"m": {"a": "1", "b": "2"}, "n": {"c": "3"}, "l": [1]});
        let now = json!({"m": {"a": "9"}, "l": [2]});
        assert_eq!(withdrawn(&before, &now), json!({"m": {"b": null}, "n": {"c": null}}));
    }

    #[test]
    fn nulls_vanish_at_every_depth() {
        let mut value = json!({"a": null, "l": [{"b": null, "c": 1}]});
        prune(&mut value);
        assert_eq!(value, json!({"l": [{"c": 1}]}));
    }
}
