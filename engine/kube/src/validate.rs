//! The rules that Kubernetes checks on every object's metadata.

use serde_json::Value;

use crate::store::Key;
use crate::{ApiError, Kind};

/// Whether a body that names itself means the object of the path.
pub(crate) fn identity(key: &Key, body: &Value) -> Result<(), ApiError> {
    let metadata = &body["metadata"];
    let differs = |field: &Value, expected: &str| {
        field.as_str().is_some_and(|found| !found.is_empty() && found != expected)
    };
    if differs(&metadata["name"], &key.name) {
        return Err(ApiError::BadRequest(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            metadata["name"].as_str().unwrap_or_default(),
            key.name
        )));
    }
    if key.kind.namespaced() && differs(&metadata["namespace"], &key.namespace) {
        return Err(ApiError::BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
                .to_owned(),
        ));
    }
    for (field, expected) in [("apiVersion", key.kind.api_version()), ("kind", key.kind.name())] {
        if differs(&body[field], expected) {
            return Err(ApiError::BadRequest(format!(
                "the {field} in the data ({}) does not match the expected {field} ({expected})",
                body[field].as_str().unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// An object's parts that are maps must be maps.
pub(crate) fn shape(value: &Value) -> Result<(), ApiError> {
    let is_map = |part: &Value| part.is_object() || part.is_null();
    if value.is_object() && ["metadata", "spec", "status"].iter().all(|part| is_map(&value[*part]))
    {
        return Ok(());
    }
    Err(ApiError::BadRequest("the object provided is unrecognized: not a JSON object".to_owned()))
}

/// Names, labels and annotations.
pub(crate) fn metadata(key: &Key, value: &Value) -> Result<(), ApiError> {
    let name_fits = match key.kind {
        Kind::Service => dns_label(&key.name),
        _ => key.name.len() <= 253 && key.name.split('.').all(dns_label),
    };
    if !name_fits {
        return Err(invalid(key, "metadata.name", &key.name, "must be a DNS name"));
    }
    for field in ["labels", "annotations"] {
        text_map(key, field, &value["metadata"][field])?;
    }
    let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
    for (_, label) in labels {
        let label = label.as_str().unwrap_or_default();
        if !label_value(label) {
            let rule = "a valid label must be at most 63 letters, digits, '-', '_' or '.', \
                        starting and ending with a letter or digit";
            return Err(invalid(key, "metadata.labels", label, rule));
        }
    }
    Ok(())
}

/// A field's value that breaks a rule.
pub(crate) fn invalid(key: &Key, field: &str, value: &str, rule: &str) -> ApiError {
    ApiError::Invalid {
        kind: key.kind,
        name: key.name.clone(),
        why: format!("{field}: Invalid value: \"{value}\": {rule}"),
    }
}

fn text_map(key: &Key, field: &str, map: &Value) -> Result<(), ApiError> {
    let wrong = match map {
        Value::Null => None,
        Value::Object(entries) => entries.values().find(|value| !value.is_string()),
        other => Some(other),
    };
    let Some(wrong) = wrong else { return Ok(()) };
    let found = match wrong {
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => "string",
    };
    Err(ApiError::BadRequest(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: json: cannot unmarshal \
         {found} into Go struct field ObjectMeta.metadata.{field} of type string",
        kind = key.kind.name(),
        version = key.kind.api_version(),
    )))
}

fn dns_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn label_value(text: &str) -> bool {
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && end(text.chars().next())
        && end(text.chars().next_back())
}
