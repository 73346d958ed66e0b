//! Parameters of actions: the part of JSON schema that Juju's actions use.

use serde_json::{Map, Value};

use crate::ActionMeta;
use crate::error::listed;

/// The parameters with defaults filled in, or what is wrong with them.
pub(crate) fn filled(
    action: &str,
    meta: &ActionMeta,
    mut params: Map<String, Value>,
    undeclared: bool,
) -> Result<Map<String, Value>, String> {
    for (key, value) in &params {
        match meta.params.get(key) {
            Some(schema) => {
                check(&format!("parameter {key:?} of action {action:?}"), schema, value)?
            }
            None if meta.additional_properties.unwrap_or(undeclared) => {}
            None => {
                let known = listed(meta.params.keys());
                return Err(format!("action {action:?} has no parameter {key:?}; it has {known}"));
            }
        }
    }
    if let Some(missing) = meta.required.iter().find(|key| !params.contains_key(*key)) {
        return Err(format!("action {action:?} needs parameter {missing:?}"));
    }
    for (key, schema) in &meta.params {
        fill(&mut params, key, schema);
    }
    Ok(params)
}

/// Fills in a default, inside of objects too.
fn fill(map: &mut Map<String, Value>, key: &str, schema: &Value) {
    if let (Some(default), false) = (schema.get("default"), map.contains_key(key)) {
        map.insert(key.to_owned(), default.clone());
    }
    let (Some(Value::Object(properties)), Some(Value::Object(inner))) =
        (schema.get("properties"), map.get_mut(key))
    else {
        return;
    };
    for (key, schema) in properties {
        fill(inner, key, schema);
    }
}

/// Checks one value: type, choices, bounds, and what is inside of it.
fn check(what: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind.as_str()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind, value)) {
        return Err(format!("{what} is of type {}, and {value} is not", kinds.join(" or ")));
    }
    if let Some(Value::Array(choices)) = schema.get("enum")
        && !choices.contains(value)
    {
        return Err(format!("{what} is one of {}, not {value}", listed(choices)));
    }
    if let (Some(number), Some(least)) = (value.as_f64(), bound(schema, "minimum"))
        && number < least
    {
        return Err(format!("{what} is at least {least}, not {value}"));
    }
    if let (Some(number), Some(most)) = (value.as_f64(), bound(schema, "maximum"))
        && number > most
    {
        return Err(format!("{what} is at most {most}, not {value}"));
    }
    if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
        for value in values {
            check(&format!("an item of {what}"), items, value)?;
        }
    }
    if let (Some(Value::Object(properties)), Value::Object(map)) = (schema.get("properties"), value)
    {
        for (key, value) in map {
            if let Some(schema) = properties.get(key) {
                check(&format!("{key:?} of {what}"), schema, value)?;
            }
        }
    }
    Ok(())
}

fn bound(schema: &Value, key: &str) -> Option<f64> {
    schema.get(key).and_then(Value::as_f64)
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(whole),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn whole(number: f64) -> bool {
    number.fract() == 0.0
}
