//! `model-config`: the model's options.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};

use super::invocation::Invocation;
use super::output::{print, say, show, tell};
use super::values::{Format, option_text};
use crate::api::{Change, Read};
use crate::client::Client;
use crate::model_options::{self, ACTED_ON};
use crate::table::Table;

/// Shows or changes the model's options.
#[derive(Debug, Args)]
pub(crate) struct ModelConfig {
    /// `<option>` to read, `<option>=<value>` to change, a YAML file of options.
    settings: Vec<String>,
    /// Options to set back to their defaults.
    #[arg(long, value_delimiter = ',')]
    reset: Vec<String>,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl ModelConfig {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { settings, reset, format }) = (at.client()?, self);
        let mut set = BTreeMap::new();
        let mut read = Vec::new();
        for setting in &settings {
            match setting.split_once('=') {
                Some((key, value)) => drop(set.insert(key.to_owned(), value.to_owned())),
                None if Path::new(setting).is_file() => set.extend(options_in(Path::new(setting))?),
                None => read.push(setting.as_str()),
            }
        }
        if !set.is_empty() || !reset.is_empty() {
            warn(set.keys());
            // The two that the engine acts on go back to a value, the others go.
            let defaults = reset.iter().filter(|key| ACTED_ON.contains(&key.as_str()));
            set.extend(defaults.filter_map(|key| {
                let (name, _, default) = model_options::find(key)?;
                Some(((*name).to_owned(), (*default).to_owned()))
            }));
            change(&client, set, reset.to_vec()).await?;
        }
        if read.is_empty() && !(settings.is_empty() && reset.is_empty()) {
            return Ok(());
        }
        let options = client.ask(Read::GetModelConfig).await?;
        for key in &read {
            let option = options.get(*key);
            let option =
                option.with_context(|| format!("key {key:?} not found in model config"))?;
            say(&option_text(&option["Value"]))?;
        }
        if read.is_empty() { list(&options, format) } else { Ok(()) }
    }
}

fn list(options: &Value, format: Format) -> Result<()> {
    if matches!(format, Format::Json | Format::Yaml) {
        return show(options, format);
    }
    let mut table = Table::new(&["Attribute", "From", "Value"]);
    for (name, option) in options.as_object().into_iter().flatten() {
        let from = option["Source"].as_str().unwrap_or_default().to_owned();
        table.row(vec![name.clone(), from, option_text(&option["Value"])]);
    }
    print(&table.to_string())
}

/// The options in a file.
fn options_in(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = crate::files::read_given(file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let all: Map<String, Value> = serde_saphyr::from_str(&text)
        .with_context(|| format!("cannot read {} as options and values", file.display()))?;
    Ok(all.iter().map(|(key, value)| (key.clone(), option_text(value))).collect())
}

/// Names the options that are unknown, and those that change nothing here.
pub(super) fn warn<'a>(keys: impl Iterator<Item = &'a String>) {
    for key in keys {
        if model_options::find(key).is_none() {
            tell(&format!(
                "WARNING key {key:?} is not defined in the known model configuration: possible misspelling"
            ));
        } else if !ACTED_ON.contains(&key.as_str()) {
            tell(&format!("the option {key} is kept and has no effect here"));
        }
    }
}

/// Changes options; the model checks the values that it acts on.
pub(super) async fn change(
    client: &Client,
    set: BTreeMap<String, String>,
    reset: Vec<String>,
) -> Result<()> {
    client.ask(Change::SetModelConfig { set, reset }).await.map(drop)
}
