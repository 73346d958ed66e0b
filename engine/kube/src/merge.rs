//! How patches change an object: merge, strategic merge, what an apply takes back, and what is
//! left out of the result.

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
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(without_directives(patch));
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/")
            && let (Some(Value::Array(items)), Some(gone)) =
                (target.get_mut(list), value.as_array())
        {
            items.retain(|item| !gone.contains(item));
        }
    }
    let orders: Vec<(&str, &Vec<Value>, Vec<Value>)> = patch
        .iter()
        .filter_map(|(key, order)| {
            let list = key.strip_prefix("$setElementOrder/")?;
            let before = target.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            Some((list, order.as_array()?, before))
        })
        .collect();
    merge_fields(target, patch);
    for (list, order, before) in orders {
        if let Some(Value::Array(items)) = target.get_mut(list) {
            put_in_order(items, order, &before, list);
        }
    }
}

/// Brings items into the order that the client saw. Those that it did not see come before the
/// first item that stood behind them.
fn put_in_order(items: &mut Vec<Value>, order: &[Value], before: &[Value], field: &str) {
    let by = list_key(field, &Value::Array(order.to_vec()));
    let place = |all: &[Value], item: &Value| {
        all.iter().position(|other| match by {
            Some(by) => item.get(by) == other.get(by),
            None => item == other,
        })
    };
    let (mut seen, unseen): (Vec<_>, Vec<_>) =
        std::mem::take(items).into_iter().partition(|item| place(order, item).is_some());
    seen.sort_by_key(|item| place(order, item));
    let mut unseen = unseen.into_iter().peekable();
    for item in seen {
        let at = place(before, &item);
        while let Some(other) = unseen.next_if(|other| place(before, other) < at) {
            items.push(other);
        }
        items.push(item);
    }
    items.extend(unseen);
}

/// Merges the fields of a strategic merge patch that are no directives.
fn merge_fields(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            target.remove(key);
            continue;
        }
        let slot = target.entry(key.as_str()).or_insert(Value::Null);
        match (list_key(key, value), value) {
            (Some(by), Value::Array(items)) => merge_list(slot, items, by),
            // The one list of texts that adds up.
            (None, Value::Array(items)) if key == "finalizers" && slot.is_array() => {
                for item in items {
                    if let Some(list) = slot.as_array_mut().filter(|list| !list.contains(item)) {
                        list.push(item.clone());
                    }
                }
            }
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
    let is_whole = |item: &Value| item["$patch"] == "replace";
    let items: Vec<&Value> = items.iter().filter(|item| !is_whole(item)).collect();
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
    if patch.iter().any(|change| change["$patch"] == "replace") {
        items.clear();
    }
    for change in patch.iter().filter(|change| change["$patch"] != "replace") {
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

/// Makes nothing an empty text where a map holds texts, as decoding into Kubernetes' types does.
pub(crate) fn empty_texts(value: &mut Value) {
    for field in ["labels", "annotations"] {
        let Some(map) = value["metadata"].get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        for text in map.values_mut().filter(|text| text.is_null()) {
            *text = Value::String(String::new());
        }
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

/// Fields that Kubernetes omits when they are empty.
pub(crate) fn drop_empty(value: &mut Value) {
    let is_empty = |field: Option<&Value>| match field {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    };
    let drop = |value: &mut Value, names: &[&str]| {
        let Some(fields) = value.as_object_mut() else { return };
        for name in names {
            if is_empty(fields.get(*name)) {
                fields.remove(*name);
            }
        }
    };
    drop(&mut value["metadata"], &["labels", "annotations", "ownerReferences", "finalizers"]);
    drop(value, &["subsets", "status", "spec"]);
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
    fn items_come_in_the_order_that_the_client_saw() {
        let named = |names: &str| -> Value {
            names.split(' ').map(|name| json!({ "name": name })).collect()
        };
        let check_order = |before: &str, changed: &str, order: &str, want: &str| {
            let patch = json!({
                "containers": named(changed), "$setElementOrder/containers": named(order),
            });
            check(
                strategic,
                json!({"containers": named(before)}),
                patch,
                json!({
                    "containers": named(want),
                }),
            );
        };
        check_order("a b", "c", "c a b", "c a b");
        check_order("a b c", "a", "c b a", "c b a");
        check_order("a x b", "b", "b a", "x b a");
        check_order("a x", "c", "a c", "a c x");
        let texts = json!({"finalizers": ["b", "a"], "$setElementOrder/finalizers": ["b", "a"]});
        check(strategic, json!({"finalizers": ["a"]}), texts, json!({"finalizers": ["b", "a"]}));
    }

    #[test]
    fn directives_delete_and_replace() {
        let named = |names: &[&str]| -> Value {
            names.iter().map(|name| json!({ "name": name })).collect()
        };
        let whole = json!([{ "$patch": "replace" }, { "name": "c" }]);
        let list = json!({ "containers": named(&["a", "b"]) });
        check(
            strategic,
            list,
            json!({ "containers": whole }),
            json!({ "containers": named(&["c"]) }),
        );
        let map = json!({ "m": { "a": 1 }, "n": 1 });
        check(strategic, map, json!({ "m": { "$patch": "delete" } }), json!({ "m": {}, "n": 1 }));
        let texts = json!({ "finalizers": ["a", "b"] });
        let patch =
            json!({ "finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"] });
        check(strategic, texts, patch, json!({ "finalizers": ["b", "c"] }));
    }

    #[test]
    fn nulls_vanish_at_every_depth() {
        let mut value = json!({"a": null, "l": [{"b": null, "c": 1}]});
        prune(&mut value);
        assert_eq!(value, json!({"l": [{"c": 1}]}));
    }
}
