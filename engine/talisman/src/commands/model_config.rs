//! `model-config`: the model's options.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{say, show};
use crate::api::Request;
use crate::args::Format;
use crate::client::Client;

/// The options that a model has, with their defaults.
const OPTIONS: [(&str, &str); 2] =
    [("automatically-retry-hooks", "true"), ("update-status-hook-interval", "5m")];

/// Shows or changes the model's options.
pub(super) async fn model_config(
    client: &Client,
    settings: &[String],
    reset: &[String],
    format: Format,
) -> Result<()> {
    let mut set = BTreeMap::new();
    for key in reset {
        set.insert(key.clone(), default(key)?.to_owned());
    }
    let mut read = Vec::new();
    for setting in settings {
        match setting.split_once('=') {
            Some((key, value)) => {
                default(key)?;
                set.insert(key.to_owned(), value.to_owned());
            }
            None => read.push(setting.as_str()),
        }
    }
    if !set.is_empty() {
        change(client, set).await?;
    }
    for key in &read {
        default(key)?;
        let options = client.ask(&Request::GetModelConfig).await?;
        match &options[*key]["Value"] {
            Value::String(text) => say(text)?,
            value => say(&value.to_string())?,
        }
    }
    if settings.is_empty() && reset.is_empty() {
        show(&client.ask(&Request::GetModelConfig).await?, format)?;
    }
    Ok(())
}

/// Changes options; the model checks the values.
pub(super) async fn change(client: &Client, set: BTreeMap<String, String>) -> Result<()> {
    client.ask(&Request::SetModelConfig { set }).await.map(drop)
}

/// The default of an option, or why there is none.
pub(super) fn default(key: &str) -> Result<&'static str> {
    match OPTIONS.iter().find(|(name, _)| *name == key) {
        Some((_, default)) => Ok(default),
        None => {
            let known = OPTIONS.map(|(name, _)| name).join(", ");
            bail!("cannot find the model option {key:?}: the engine knows {known}")
        }
    }
}
