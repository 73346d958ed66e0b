//! Secrets for the command line: Juju's JSON, and the operator's own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use juju_model::{Model, Owner, Secret};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::daemon::error::{RequestError, list};

/// The shape of `juju secrets --format json`.
pub(crate) fn all(model: &Model) -> Value {
    let all: Map<String, Value> =
        model.secrets().map(|secret| (bare(secret), facts(secret))).collect();
    Value::Object(all)
}

/// The shape of `juju show-secret --format json`, all revisions named.
pub(crate) fn one(
    model: &Model,
    wanted: &str,
    reveal: bool,
    revision: Option<u32>,
) -> Result<Value, RequestError> {
    let is_it = |secret: &&Secret| {
        let id = bare(secret);
        wanted.rsplit([':', '/']).next() == Some(&id)
            || (secret.owner == Owner::Model && secret.label.as_deref() == Some(wanted))
    };
    let secret = model.secrets().find(is_it).ok_or_else(|| RequestError::Unknown {
        what: "secret",
        name: wanted.to_owned(),
        known: list(model.secrets().map(bare)),
    })?;
    let mut shown = facts(secret);
    let revisions = secret.revisions.iter().map(|(number, revision)| {
        let mut shown = json!({
            "revision": number,
            "backend": "internal",
            "created": iso(revision.created),
            "updated": iso(revision.created),
        });
        if let Some(expire) = revision.expire {
            shown["expires"] = json!(iso(expire));
        }
        shown
    });
    shown["revisions"] = revisions.collect();
    let access = secret.grants.iter().map(|grant| {
        let scope =
            grant.relation.and_then(|id| model.relation(id)).map(juju_model::Relation::describe);
        json!({
            "target": format!("application-{}", grant.app),
            "scope": scope.map_or("model".to_owned(), |relation| format!("relation-{relation}")),
            "role": "view",
        })
    });
    shown["access"] = access.collect();
    if reveal || revision.is_some() {
        let number = revision.unwrap_or(secret.latest);
        let found = secret.revisions.get(&number).ok_or_else(|| RequestError::Unknown {
            what: "revision",
            name: number.to_string(),
            known: list(secret.revisions.keys()),
        })?;
        shown["revision"] = json!(number);
        if !reveal {
            return Ok(json!({ bare(secret): shown }));
        }
        let plain: BTreeMap<&String, String> =
            found.content.reveal().iter().map(|(key, value)| (key, plain(value))).collect();
        let digest = Sha256::digest(serde_json::to_vec(&plain).unwrap_or_default());
        let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        shown["content"] = json!({ "Data": plain });
        shown["checksum"] = json!(checksum);
    }
    Ok(json!({ bare(secret): shown }))
}

/// The id without `secret:`.
fn bare(secret: &Secret) -> String {
    let id = secret.id.to_string();
    id.strip_prefix("secret:").unwrap_or(&id).to_owned()
}

fn facts(secret: &Secret) -> Value {
    let owner = match &secret.owner {
        Owner::Unit(unit) => unit.to_string(),
        Owner::App(app) => app.to_string(),
        Owner::Model => "<model>".to_owned(),
    };
    let first = secret.revisions.values().next();
    let last = secret.revisions.get(&secret.latest).or(first);
    let mut shown = json!({
        "revision": secret.latest,
        "owner": owner,
        "rotation": secret.rotation.word(),
        "created": first.map(|revision| iso(revision.created)),
        "updated": last.map(|revision| iso(revision.created)),
    });
    let name = if secret.owner == Owner::Model { "name" } else { "label" };
    if let Some(label) = &secret.label {
        shown[name] = json!(label);
    }
    if !secret.description.is_empty() {
        shown["description"] = json!(secret.description);
    }
    if let Some(expire) = last.and_then(|revision| revision.expire) {
        shown["expires"] = json!(iso(expire));
    }
    if let Some(rotates) = secret.next_rotation {
        shown["rotates"] = json!(iso(rotates));
    }
    shown
}

/// Seconds are enough for people.
fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn plain(value: &str) -> String {
    let bytes = STANDARD.decode(value).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}
