//! The rules that Kubernetes checks on every object, and the way to those of each kind.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cause::Cause;
use crate::store::Key;
use crate::validate_common::{labels, texts};
use crate::{
    ApiError, Kind, format, validate_endpoints, validate_pod, validate_service, validate_values,
};

/// The most bytes that the keys and values of all annotations may have.
const ANNOTATIONS_MAX: usize = 256 << 10;

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

/// Refuses an object that breaks a rule of its kind. `old` is what it replaces, `client` says
/// that a client writes it, not the engine.
pub(crate) fn object(
    key: &Key,
    value: &Value,
    old: Option<&Value>,
    client: bool,
) -> Result<(), ApiError> {
    let mut causes = metadata(key, &value["metadata"]);
    causes.extend(old.and_then(|old| new_finalizers(old, value)));
    match key.kind {
        Kind::Service => causes.extend(validate_service::causes(value, old)),
        Kind::Endpoints => causes.extend(validate_endpoints::causes(value)),
        Kind::Pod if client => causes.extend(validate_pod::pod(value, old)),
        Kind::StatefulSet if client => causes.extend(validate_pod::stateful_set(value, old)),
        Kind::Secret | Kind::ConfigMap => causes.extend(validate_values::causes(value, old)),
        _ => {}
    }
    refuse(key, causes)
}

/// The answer to an object with these causes; fine without any.
pub(crate) fn refuse(key: &Key, causes: Vec<Cause>) -> Result<(), ApiError> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::Invalid { kind: key.kind, name: key.name.clone(), causes })
}

fn metadata(key: &Key, metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    // One that no name was made of is not looked at.
    let made = |prefix: &&str| !prefix.is_empty() && key.name.starts_with(*prefix);
    if let Some(prefix) = metadata["generateName"].as_str().filter(made)
        && let Some(rule) = format::name_prefix(key.kind, prefix)
    {
        causes.push(Cause::invalid("metadata.generateName", prefix, &rule));
    }
    if let Some(rule) = format::object_name(key.kind, &key.name) {
        causes.push(Cause::invalid("metadata.name", key.name.as_str(), &rule));
    }
    if key.kind.namespaced()
        && let Some(rule) = format::dns_label(&key.namespace)
    {
        causes.push(Cause::invalid("metadata.namespace", key.namespace.as_str(), &rule));
    }
    causes.extend(labels("metadata.labels", &metadata["labels"]));
    causes.extend(annotations(&metadata["annotations"]));
    causes.extend(owners(&metadata["ownerReferences"]));
    causes.extend(finalizers(&metadata["finalizers"]));
    causes
}

fn annotations(map: &Value) -> Vec<Cause> {
    let field = "metadata.annotations";
    let wrong = texts(map).filter_map(|(key, _)| {
        // Capitals may be in an annotation's prefix.
        let rule = format::qualified_name(&key.to_ascii_lowercase())?;
        Some(Cause::invalid(field, key.as_str(), &rule))
    });
    let mut causes: Vec<Cause> = wrong.collect();
    let size: usize = texts(map).map(|(key, value)| key.len() + value.len()).sum();
    if size > ANNOTATIONS_MAX {
        causes.push(Cause::too_long(field, ANNOTATIONS_MAX));
    }
    causes
}

fn owners(list: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut controller: Option<String> = None;
    for owner in list.as_array().into_iter().flatten() {
        // Kubernetes does not say which of them it is.
        let field = |name: &str| format!("metadata.ownerReferences.{name}");
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        let version = text("apiVersion");
        if version.is_empty() || version.matches('/').count() > 1 || version.ends_with('/') {
            let rule = "version must not be empty";
            causes.push(Cause::invalid(field("apiVersion"), version, rule));
        }
        for name in ["kind", "name", "uid"] {
            if text(name).is_empty() {
                causes.push(Cause::invalid(field(name), "", "must not be empty"));
            }
        }
        if owner["controller"] != true {
            continue;
        }
        let this = format!("{}/{}", text("kind"), text("name"));
        match &controller {
            Some(first) => {
                let rule = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in \
                     references for {first} and {this}"
                );
                causes.push(Cause::invalid("metadata.ownerReferences", list.clone(), &rule));
            }
            None => controller = Some(this),
        }
    }
    causes
}

fn finalizers(list: &Value) -> Vec<Cause> {
    let field = "metadata.finalizers";
    let names: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let wrong = names
        .iter()
        .filter_map(|name| Some(Cause::invalid(field, *name, &format::qualified_name(name)?)));
    let mut causes: Vec<Cause> = wrong.collect();
    if ["orphan", "foregroundDeletion"].iter().all(|name| names.contains(name)) {
        let rule = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid(field, list.clone(), rule));
    }
    causes
}

/// What is wrong with finalizers that come when the object is deleted already.
fn new_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    let names = |value: &Value| -> BTreeSet<String> {
        let list = value["metadata"]["finalizers"].as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let before = names(old);
    let extra: Vec<String> =
        names(new).difference(&before).map(|name| format!("{name:?}")).collect();
    let rule = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{{{}}}",
        extra.join(", ")
    );
    let late = old["metadata"]["deletionTimestamp"].is_string() && !extra.is_empty();
    late.then(|| Cause::forbidden("metadata.finalizers", &rule))
}
