//! `config`: an application's options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use juju_names::AppName;
use serde_json::Value;

use super::invocation::Invocation;
use super::output::{say, show};
use super::values::{Format, option_text};
use crate::api::{Change, Read};
use crate::client::Client;

/// Shows or changes an application's options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman config pgbouncer-k8s
  talisman config pgbouncer-k8s pool_mode
  talisman config pgbouncer-k8s pool_mode=transaction max_db_connections=50
  talisman config pgbouncer-k8s --reset pool_mode")]
pub(crate) struct Config {
    app: AppName,
    /// `<option>` to read, `<option>=<value>` or `<option>=@<file>` to change.
    settings: Vec<String>,
    /// Options to set back to their defaults.
    #[arg(long, value_delimiter = ',')]
    reset: Vec<String>,
    /// A YAML file of options and values, or of such under the application's name; `-` is
    /// standard input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Accepted for Juju's sake: there are no colours.
    #[arg(long)]
    no_color: bool,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl Config {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let mut set = match &args.file {
            Some(file) => options_in(file, args.app.as_str())?,
            None => BTreeMap::new(),
        };
        let mut read = Vec::new();
        for setting in &args.settings {
            match setting.split_once('=') {
                Some((key, value)) => drop(set.insert(key.to_owned(), content(value)?)),
                None => read.push(setting),
            }
        }
        if !set.is_empty() || !args.reset.is_empty() {
            if let Some(key) = read.first() {
                bail!("cannot read {key} and change options in one command; use two");
            }
            return change(&client, args, set).await;
        }
        let options = client.ask(Read::GetConfig { app: args.app.clone() }).await?;
        match read.as_slice() {
            [] => show(&options, args.format),
            [key] => {
                let of_app = options["application-config"].get(key);
                match options["settings"].get(key).or(of_app) {
                    Some(option) => say(&option.get("value").map_or_else(String::new, option_text)),
                    None => bail!(
                        "key {key:?} not found in {:?} application config or charm settings.",
                        args.app.as_str()
                    ),
                }
            }
            _ => bail!("cannot show more than one option at a time; name one, or none for all"),
        }
    }
}

/// Changes options. `trust` is the application's, and the others are its charm's.
async fn change(
    client: &Client,
    mut args: Config,
    mut set: BTreeMap<String, String>,
) -> Result<()> {
    let trusted =
        match set.remove(TRUST) {
            Some(text) => Some(text.parse().map_err(|_| {
                anyhow::anyhow!("cannot set {TRUST} to {text:?}: it is true or false")
            })?),
            None => args.reset.iter().any(|key| key == TRUST).then_some(false),
        };
    args.reset.retain(|key| key != TRUST);
    let app = args.app;
    if !set.is_empty() || !args.reset.is_empty() {
        client.ask(Change::SetConfig { app: app.clone(), set, reset: args.reset }).await?;
    }
    match trusted {
        Some(trusted) => client.ask(Change::Trust { app, trusted }).await.map(drop),
        None => Ok(()),
    }
}

/// The option of every application, whatever its charm.
const TRUST: &str = "trust";

/// A value as typed, or the text of the file that `@` names.
pub(super) fn content(value: &str) -> Result<String> {
    match value.strip_prefix('@') {
        Some(file) => crate::files::read_given(Path::new(file))
            .with_context(|| format!("cannot read the value in {file}")),
        None => Ok(value.to_owned()),
    }
}

/// What `--config` says: options with their values, and files of such; the later one wins.
pub(super) fn typed(words: &[String], app: &str) -> Result<BTreeMap<String, String>> {
    let mut set = BTreeMap::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => drop(set.insert(key.to_owned(), content(value)?)),
            None => set.extend(options_in(Path::new(word), app)?),
        }
    }
    Ok(set)
}

/// The text of a file of options, `-` being standard input.
pub(super) fn text_of(file: &Path) -> Result<String> {
    let text = match file == Path::new("-") {
        true => crate::files::text(std::io::stdin()),
        false => crate::files::read_given(file),
    };
    text.with_context(|| format!("cannot read {}", file.display()))
}

/// The options in a file, with or without the application's name above them.
fn options_in(file: &Path, app: &str) -> Result<BTreeMap<String, String>> {
    let text = text_of(file)?;
    let whole: serde_json::Map<String, Value> = serde_saphyr::from_str(&text)
        .with_context(|| format!("cannot read {} as options and values", file.display()))?;
    let options = match whole.get(app) {
        Some(Value::Object(inner)) => inner.clone(),
        _ => whole,
    };
    Ok(options.iter().map(|(key, value)| (key.clone(), option_text(value))).collect())
}
