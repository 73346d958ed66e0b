//! The fields of an object, one by one, as field managers own them.
//!
//! A path is a list of steps, each written as Kubernetes writes it: `.spec`, `.ports`,
//! `[port=80,protocol="TCP"]`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Kind;

/// The way to a field.
pub(crate) type Path = Vec<String>;

/// Fields of an object.
pub(crate) type Fields = BTreeSet<Path>;

/// The fields of `metadata` that no manager owns.
const NOBODYS: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// How the parts of a map or a list belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Each entry of the map is a field.
    Map,
    /// All of it is one field.
    Whole,
    /// A list of texts, each once.
    Set,
    /// A list of maps that are distinguished by these keys, with the values of those left out.
    Keyed(&'static [(&'static str, Option<&'static str>)]),
}

const NAME: Shape = Shape::Keyed(&[("name", None)]);
const TYPE: Shape = Shape::Keyed(&[("type", None)]);
const IP: Shape = Shape::Keyed(&[("ip", None)]);
const UID: Shape = Shape::Keyed(&[("uid", None)]);
const TCP: Option<&str> = Some("TCP");

/// The shape of what is in a field of that name.
fn shape(kind: Kind, field: &str, value: &Value) -> Option<Shape> {
    let whole = ["selector", "nodeSelector", "fieldRef", "secretKeyRef", "configMapKeyRef"];
    match value {
        Value::Object(_) if whole.contains(&field) => Some(Shape::Whole),
        Value::Object(_) => Some(Shape::Map),
        Value::Array(_) => Some(match field {
            "ownerReferences" => UID,
            "finalizers" => Shape::Set,
            "ports" if kind == Kind::Service => Shape::Keyed(&[("port", None), ("protocol", TCP)]),
            "ports" => Shape::Keyed(&[("containerPort", None), ("protocol", TCP)]),
            "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets"
            | "secrets" => NAME,
            "volumeMounts" => Shape::Keyed(&[("mountPath", None)]),
            "volumeDevices" => Shape::Keyed(&[("devicePath", None)]),
            "conditions" => TYPE,
            "podIPs" | "hostIPs" | "hostAliases" => IP,
            _ => Shape::Whole,
        }),
        _ => None,
    }
}

/// The step to an item of a list whose items are distinguished.
fn item_step(shape: Shape, item: &Value) -> Option<String> {
    let keys = match shape {
        Shape::Set => return Some(format!("[={item}]")),
        Shape::Keyed(keys) => keys,
        Shape::Map | Shape::Whole => return None,
    };
    let parts = keys.iter().map(|(key, usual)| match (&item[*key], usual) {
        (Value::Null, Some(usual)) => format!("{key}={usual:?}"),
        (value, _) => format!("{key}={value}"),
    });
    Some(format!("[{}]", parts.collect::<Vec<_>>().join(",")))
}

/// Every field of an object that a manager can own, with its value; an item of a list is a field of
/// its own beside those in it.
pub(crate) fn all(kind: Kind, object: &Value) -> BTreeMap<Path, &Value> {
    let mut found = BTreeMap::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let fields = value.as_object().into_iter().flatten();
                for (name, value) in fields.filter(|(name, _)| !NOBODYS.contains(&name.as_str())) {
                    let mut path = vec![".metadata".to_owned(), format!(".{name}")];
                    walk(kind, name, value, &mut path, &mut found);
                }
            }
            _ => walk(kind, name, value, &mut vec![format!(".{name}")], &mut found),
        }
    }
    found
}

fn walk<'a>(
    kind: Kind,
    field: &str,
    value: &'a Value,
    path: &mut Path,
    found: &mut BTreeMap<Path, &'a Value>,
) {
    match (shape(kind, field, value), value) {
        (Some(Shape::Map), Value::Object(fields)) if !fields.is_empty() => {
            for (name, inner) in fields {
                path.push(format!(".{name}"));
                walk(kind, name, inner, path, found);
                path.pop();
            }
        }
        (Some(shape @ (Shape::Set | Shape::Keyed(_))), Value::Array(items)) => {
            for item in items {
                let Some(step) = item_step(shape, item) else { continue };
                path.push(step);
                found.insert(path.clone(), &Value::Null);
                for (name, inner) in item.as_object().into_iter().flatten() {
                    path.push(format!(".{name}"));
                    walk(kind, name, inner, path, found);
                    path.pop();
                }
                path.pop();
            }
        }
        _ => drop(found.insert(path.clone(), value)),
    }
}

/// Puts everything that `applied` says into `target`.
pub(crate) fn merge(kind: Kind, field: &str, target: &mut Value, applied: &Value) {
    match (shape(kind, field, applied), applied) {
        (Some(Shape::Map), Value::Object(fields)) => {
            if !target.is_object() {
                *target = Value::Object(serde_json::Map::new());
            }
            for (name, value) in fields {
                merge(kind, name, &mut target[name.as_str()], value);
            }
        }
        (Some(shape @ (Shape::Set | Shape::Keyed(_))), Value::Array(items)) => {
            if !target.is_array() {
                *target = Value::Array(Vec::new());
            }
            let Some(list) = target.as_array_mut() else { return };
            for item in items {
                let step = item_step(shape, item);
                match list.iter_mut().find(|other| item_step(shape, other) == step) {
                    Some(other) => merge(kind, "", other, item),
                    None => list.push(item.clone()),
                }
            }
        }
        _ => *target = applied.clone(),
    }
}

/// Takes a field out of an object.
pub(crate) fn remove(kind: Kind, object: &mut Value, path: &[String]) {
    let (mut place, mut field) = (object, "");
    for (at, step) in path.iter().enumerate() {
        let last = at + 1 == path.len();
        if let Some(name) = step.strip_prefix('.') {
            let Some(fields) = place.as_object_mut() else { return };
            if last {
                fields.remove(name);
                return;
            }
            let Some(inner) = fields.get_mut(name) else { return };
            (place, field) = (inner, name);
        } else {
            let Some(shape) = shape(kind, field, place) else { return };
            let Some(items) = place.as_array_mut() else { return };
            let position =
                items.iter().position(|item| item_step(shape, item).as_deref() == Some(step));
            let Some(position) = position else { return };
            if last {
                items.remove(position);
                return;
            }
            (place, field) = (&mut items[position], "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(object: Value, expected: &[&str]) {
        let found: Vec<String> =
            all(Kind::Service, &object).keys().map(|path| path.concat()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_are_told_apart() {
        check(
            json!({ "kind": "Service", "metadata": { "name": "a", "labels": { "b": "c" } } }),
            &[".metadata.labels.b"],
        );
        let ports = json!([{ "port": 80, "targetPort": 8080 }]);
        check(
            json!({ "spec": { "selector": { "a": "b", "c": "d" }, "ports": ports } }),
            &[
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
                ".spec.ports[port=80,protocol=\"TCP\"].targetPort",
                ".spec.selector",
            ],
        );
        check(
            json!({ "metadata": { "finalizers": ["a/b"] }, "spec": { "externalIPs": ["x"] } }),
            &[".metadata.finalizers[=\"a/b\"]", ".spec.externalIPs"],
        );
    }

    #[test]
    fn lists_merge_by_their_keys_and_maps_that_are_whole_are_replaced() {
        let mut target = json!({ "spec": {
            "selector": { "a": "b" }, "ports": [{ "port": 80, "protocol": "TCP", "name": "x" }],
        }});
        let applied = json!({ "spec": {
            "selector": { "c": "d" },
            "ports": [{ "port": 80, "targetPort": 1 }, { "port": 80, "protocol": "UDP" }],
        }});
        merge(Kind::Service, "", &mut target, &applied);
        let expected = json!({ "spec": {
            "selector": { "c": "d" },
            "ports": [
                { "port": 80, "protocol": "TCP", "name": "x", "targetPort": 1 },
                { "port": 80, "protocol": "UDP" },
            ],
        }});
        assert_eq!(target, expected);
        let paths: Fields = all(Kind::Service, &applied).into_keys().collect();
        paths.iter().for_each(|path| remove(Kind::Service, &mut target, path));
        assert_eq!(target, json!({ "spec": { "ports": [] } }));
    }
}
