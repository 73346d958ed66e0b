//! Verbs about secrets.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::{say, show};
use crate::api::Request;
use crate::args::Format;
use crate::args_juju::SecretContent;
use crate::client::Client;

/// `secrets`
pub(super) async fn list(client: &Client, owner: Option<&str>, format: Format) -> Result<()> {
    let all = client.ask(&Request::Secrets).await?;
    let all = all.as_object().cloned().unwrap_or_default();
    let is_wanted = |secret: &Value| {
        let shown = secret["owner"].as_str().unwrap_or_default();
        owner.is_none_or(|owner| {
            shown == owner || owner.split_once('-').is_some_and(|(_, name)| shown == name)
        })
    };
    let wanted: Map<String, Value> =
        all.into_iter().filter(|(_, secret)| is_wanted(secret)).collect();
    show(&Value::Object(wanted), format)
}

/// What of a secret to show.
pub(super) struct Part {
    pub(super) reveal: bool,
    pub(super) revisions: bool,
    pub(super) revision: Option<u32>,
}

/// `show-secret`
pub(super) async fn show_one(
    client: &Client,
    secret: String,
    part: Part,
    format: Format,
) -> Result<()> {
    if part.revisions && (part.reveal || part.revision.is_some()) {
        bail!("cannot show all revisions and reveal one; use two commands");
    }
    let revision = part.revision;
    let reveal = part.reveal || revision.is_some();
    let mut shown = client.ask(&Request::ShowSecret { secret, reveal, revision }).await?;
    if !part.revisions {
        for secret in shown.as_object_mut().into_iter().flat_map(Map::values_mut) {
            secret.as_object_mut().map(|secret| secret.remove("revisions"));
        }
    }
    show(&shown, format)
}

/// `add-secret` and, with `id`, `update-secret`
pub(super) async fn put(
    client: &Client,
    name: String,
    content: SecretContent,
    update: bool,
) -> Result<()> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    if let Some(file) = &content.file {
        let text = crate::files::read_given(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let read: BTreeMap<String, Value> = serde_saphyr::from_str(&text)
            .map_err(|_| anyhow::anyhow!("cannot read {} as keys and values", file.display()))?;
        values.extend(read.into_iter().map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        }));
    }
    for (key, value) in content.values {
        match key.strip_suffix("#file") {
            Some(key) => {
                let text = crate::files::read_given(std::path::Path::new(&value))
                    .with_context(|| format!("cannot read {value}"))?;
                values.insert(key.to_owned(), text);
            }
            None => drop(values.insert(key, value)),
        }
    }
    let request = Request::PutSecret { name, values, info: content.info, update };
    let id = client.ask(&request).await?;
    match id.as_str() {
        Some(id) if !update => say(id),
        _ => Ok(()),
    }
}
