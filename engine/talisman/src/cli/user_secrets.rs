//! Secrets of the operator's: `add-secret`, `update-secret`, `grant-secret`, `revoke-secret`, `remove-secret`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use juju_names::AppName;
use serde_json::Value;

use super::invocation::Invocation;
use super::output::{Usage, say};
use super::values::{key_value, option_text};
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
        let Self { name: secret, content } = self;
        let (values, info) = (content.values()?, content.info);
        if values.is_empty() {
            return Err(Usage(
                "cannot add a secret without a value: write <key>=<value>".to_owned(),
            )
            .into());
        }
        let id = at.client()?.ask(Change::AddSecret { secret, values, info }).await?;
        say(id.as_str().unwrap_or_default())
    }
}

/// Gives a secret other content.
#[derive(Debug, Args)]
pub(crate) struct UpdateSecret {
    /// Its id or name.
    secret: String,
    /// Another name for it.
    #[arg(long)]
    name: Option<String>,
    /// From now on, let old revisions go when no application tracks them.
    #[arg(long)]
    auto_prune: bool,
    #[command(flatten)]
    content: SecretContent,
}

impl UpdateSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { secret, name, auto_prune, content } = self;
        let (values, info) = (content.values()?, content.info);
        if values.is_empty() && name.is_none() && info.is_none() && !auto_prune {
            bail!("cannot update the secret {secret:?}: say what is to change");
        }
        let request = Change::UpdateSecret { secret, values, name, info, auto_prune };
        at.client()?.ask(request).await.map(drop)
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
    /// Its id or name.
    secret: String,
    /// Only this revision.
    #[arg(long)]
    revision: Option<u32>,
}

impl RemoveSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let Self { secret, revision } = self;
        at.client()?.ask(Change::RemoveSecret { secret, revision }).await.map(drop)
    }
}

#[derive(Args)]
pub(crate) struct SecretContent {
    /// `<key>=<value>`, `<key>#base64=<value>` or `<key>#file=<path>`
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

impl SecretContent {
    /// The values by key, those that are typed over those in the file.
    fn values(&self) -> Result<BTreeMap<String, String>> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        if let Some(file) = &self.file {
            let text = crate::files::read_given(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let read: BTreeMap<String, Value> = serde_saphyr::from_str(&text).map_err(|_| {
                anyhow::anyhow!("cannot read {} as keys and values", file.display())
            })?;
            values.extend(read.into_iter().map(|(key, value)| (key, option_text(&value))));
        }
        for (key, value) in &self.values {
            match key.strip_suffix("#file") {
                Some(key) => {
                    let text = crate::files::read_given(std::path::Path::new(value))
                        .with_context(|| format!("cannot read {value}"))?;
                    values.insert(key.to_owned(), text);
                }
                None => drop(values.insert(key.clone(), value.clone())),
            }
        }
        Ok(values)
    }
}

async fn grant(client: &Client, secret: String, apps: Vec<AppName>, granted: bool) -> Result<()> {
    if apps.is_empty() {
        bail!("cannot change who may read {secret}: name applications, separated by commas");
    }
    client.ask(Change::GrantSecret { secret, apps, granted }).await.map(drop)
}
