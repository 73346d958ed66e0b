//! Secrets of the operator's: `add-secret`, `update-secret`, `grant-secret`, `revoke-secret`, `remove-secret`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use juju_names::AppName;
use serde_json::Value;

use super::invocation::Invocation;
use super::output::say;
use super::values::key_value;
use crate::api::Change;
use crate::client::Client;

/// Adds a secret for applications to read.
#[derive(Debug, Args)]
pub(crate) struct AddSecret {
    name: String,
    #[command(flatten)]
    content: SecretContent,
}

impl AddSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        put(&at.client()?, self.name, self.content, false).await
    }
}

/// Gives a secret other content.
#[derive(Debug, Args)]
pub(crate) struct UpdateSecret {
    secret: String,
    /// Accepted for Juju's sake: revisions that no consumer tracks are not kept.
    #[arg(long)]
    auto_prune: bool,
    #[command(flatten)]
    content: SecretContent,
}

impl UpdateSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        put(&at.client()?, self.secret, self.content, true).await
    }
}

/// Lets applications read a secret.
#[derive(Debug, Args)]
pub(crate) struct GrantSecret {
    secret: String,
    #[arg(value_delimiter = ',')]
    apps: Vec<AppName>,
}

impl GrantSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        grant(&at.client()?, self.secret, self.apps, true).await
    }
}

/// Lets applications read a secret no longer.
#[derive(Debug, Args)]
pub(crate) struct RevokeSecret {
    secret: String,
    #[arg(value_delimiter = ',')]
    apps: Vec<AppName>,
}

impl RevokeSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        grant(&at.client()?, self.secret, self.apps, false).await
    }
}

/// Removes a secret.
#[derive(Debug, Args)]
pub(crate) struct RemoveSecret {
    secret: String,
}

impl RemoveSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        at.client()?.ask(Change::RemoveSecret { secret: self.secret }).await.map(drop)
    }
}

#[derive(Args)]
pub(crate) struct SecretContent {
    /// `<key>=<value>`
    #[arg(value_parser = key_value)]
    pub(crate) values: Vec<(String, String)>,
    /// A YAML file of keys and values.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// A description.
    #[arg(long)]
    pub(crate) info: Option<String>,
}

impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretContent(..)")
    }
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
    let request = Change::PutSecret { name, values, info: content.info, update };
    let id = client.ask(request).await?;
    match id.as_str() {
        Some(id) if !update => say(id),
        _ => Ok(()),
    }
}

async fn grant(client: &Client, secret: String, apps: Vec<AppName>, granted: bool) -> Result<()> {
    if apps.is_empty() {
        bail!("cannot change who may read {secret}: name applications, separated by commas");
    }
    client.ask(Change::GrantSecret { secret, apps, granted }).await.map(drop)
}
