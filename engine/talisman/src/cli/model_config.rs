//! `model-config`: the model's options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::config;
use super::invocation::Invocation;
use super::output::{Usage, print, say, show, tell};
use super::values::{Format, option_text};
use crate::api::{Change, Read};
use crate::client::Client;
use crate::model_options::{self, ACTED_ON};
use crate::table::Table;

/// Shows or changes the model's options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman model-config update-status-hook-interval
  talisman model-config update-status-hook-interval=1m
  talisman model-config --file options.yaml --reset logging-config")]
pub(crate) struct ModelConfig {
    /// `<option>` to read, `<option>=<value>` or `<option>=@<file>` to change.
    settings: Vec<String>,
    /// Options to set back to their defaults.
    #[arg(long, value_delimiter = ',')]
    reset: Vec<String>,
    /// A YAML file of options and values, or of what `--format yaml` printed; `-` is standard
    /// input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Accepted for Juju's sake: no option is for reading only.
    #[arg(long)]
    ignore_read_only_fields: bool,
    /// Accepted for Juju's sake: there are no colours.
    #[arg(long)]
    no_color: bool,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl ModelConfig {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let (typed, read) = args.sorted()?;
        if typed.is_empty() && args.reset.is_empty() && args.file.is_none() {
            let options = client.ask(Read::GetModelConfig).await?;
            return match read {
                None => list(&options, args.format),
                Some(key) => one(&options, &key, args.format),
            };
        }
        let mut set = match &args.file {
            Some(file) => options_in(file)?,
            None => BTreeMap::new(),
        };
        set.retain(|key, _| !args.reset.contains(key));
        for (key, value) in typed {
            set.insert(key, config::content(&value)?);
        }
        warn(set.keys());
        // The two that the engine acts on go back to a value, the others go.
        let defaults = args.reset.iter().filter(|key| ACTED_ON.contains(&key.as_str()));
        set.extend(defaults.filter_map(|key| {
            let (name, _, default) = model_options::find(key)?;
            Some(((*name).to_owned(), (*default).to_owned()))
        }));
        change(&client, set, args.reset).await
    }

    /// The options with a value to set, and the one to read.
    fn sorted(&self) -> Result<(BTreeMap<String, String>, Option<String>), Usage> {
        let mut set = BTreeMap::new();
        let mut read = None;
        for setting in &self.settings {
            let twice = match setting.split_once('=') {
                Some((key, value)) => set.insert(key.to_owned(), value.to_owned()).is_some(),
                None => read.replace(setting.clone()).is_some(),
            };
            if twice {
                let words = "cannot read several options, or set one twice, in one command";
                return Err(Usage(words.to_owned()));
            }
        }
        let changes = !set.is_empty() || !self.reset.is_empty() || self.file.is_some();
        if let Some(key) = read.as_ref().filter(|_| changes) {
            let words = format!("cannot read {key} and change options in one command; use two");
            return Err(Usage(words));
        }
        match self.reset.iter().find(|key| set.contains_key(*key)) {
            Some(key) => Err(Usage(format!("cannot set and reset {key} in one command"))),
            None => Ok((set, read)),
        }
    }
}

/// Shows one option: its value for people, itself with its source for programs.
fn one(options: &Value, key: &str, format: Format) -> Result<()> {
    let Some(option) = options.get(key) else {
        let hint =
            if Path::new(key).is_file() { "; add --file to read options from it" } else { "" };
        bail!("key {key:?} not found in model config{hint}");
    };
    match format {
        Format::Json | Format::Yaml => list(&json!({ key: option }), format),
        _ => say(&option_text(&option["Value"])),
    }
}

fn list(options: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json => return show(options, format),
        Format::Yaml => return show(&in_small_letters(options), format),
        _ => {}
    }
    let mut table = Table::new(&["Attribute", "From", "Value"]);
    for (name, option) in options.as_object().into_iter().flatten() {
        let from = option["Source"].as_str().unwrap_or_default().to_owned();
        table.row(vec![name.clone(), from, option_text(&option["Value"])]);
    }
    print(&table.to_string())
}

/// The options with their parts as Go names these in YAML.
fn in_small_letters(options: &Value) -> Value {
    let all = options.as_object().into_iter().flatten();
    let one = |(name, option): (&String, &Value)| {
        (name.clone(), json!({"value": option["Value"], "source": option["Source"]}))
    };
    Value::Object(all.map(one).collect())
}

/// The options in a file: values, or values with their sources.
fn options_in(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = config::text_of(file)?;
    let all: Map<String, Value> = serde_saphyr::from_str(&text)
        .with_context(|| format!("cannot read {} as options and values", file.display()))?;
    let value = |option: &Value| option_text(option.get("value").unwrap_or(option));
    Ok(all.iter().map(|(key, option)| (key.clone(), value(option))).collect())
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
