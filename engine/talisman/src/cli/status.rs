//! `status`: the model, or a part of it, in several forms.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::invocation::Invocation;
use super::output::{print, say, show, tell, yaml};
use super::values::{Format, duration};
use crate::api::Read;
use crate::status::{self, Shown};

/// Shows the model.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only these applications and units, by name (`*` stands for anything) or by status.
    selectors: Vec<String>,
    #[arg(long, default_value = "tabular")]
    format: Format,
    /// Show the relations too.
    #[arg(long, alias = "integrations")]
    relations: bool,
    /// Accepted for Juju's sake: times are in UTC.
    #[arg(long)]
    utc: bool,
    /// Accepted for Juju's sake: there are no colours.
    #[arg(long)]
    no_color: bool,
    /// Accepted for Juju's sake: the engine is asked once.
    #[arg(long, value_parser = clap::value_parser!(u32))]
    retry_count: Option<u32>,
    /// Accepted for Juju's sake.
    #[arg(long, value_parser = duration)]
    retry_delay: Option<Duration>,
    /// Show the storage too.
    #[arg(long)]
    storage: bool,
    /// Show it again and again, after this time; two seconds where none is named.
    #[arg(long, value_parser = duration, num_args = 0..=1, default_missing_value = "2s")]
    watch: Option<Duration>,
}

impl Status {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        super::images::warn_of_old(&at.paths()?);
        let mut last = None;
        loop {
            let mut status = client.ask(Read::Status).await?;
            let matched = status::select(&mut status, &args.selectors);
            if let Some(words) = empty(&status, matched) {
                tell(&words);
            }
            if matches!(args.format, Format::Json | Format::Yaml) && args.watch.is_none() {
                return show(&juju(status), args.format);
            }
            let text = text(status, &args)?;
            let Some(pause) = args.watch else { return print(&text) };
            if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                // Home, the lines, and nothing below them.
                say(&format!("\x1b[H\x1b[2J{}", text.trim_end()))?;
            } else if last.as_ref() != Some(&text) {
                say(text.trim_end())?;
            }
            last = Some(text);
            tokio::time::sleep(pause).await;
        }
    }
}

fn text(status: Value, args: &Status) -> Result<String> {
    Ok(match args.format {
        Format::Tabular | Format::Plain => {
            status::table(&status, Shown { relations: args.relations, storage: args.storage })
        }
        Format::Short => status::short(&status),
        Format::Summary => status::summary(&status),
        Format::Json => serde_json::to_string(&juju(status))?,
        Format::Yaml => yaml(&juju(status))?,
    })
}

/// The status without what only our own table needs.
fn juju(mut status: Value) -> Value {
    status.as_object_mut().map(|status| status.remove("relations"));
    status
}

/// What Juju says beside a status that has nothing to show.
fn empty(status: &Value, matched: bool) -> Option<String> {
    if !matched {
        return Some("Nothing matched specified filter.".to_owned());
    }
    let none = status["applications"].as_object().is_none_or(serde_json::Map::is_empty);
    let name = status["model"]["name"].as_str().unwrap_or_default();
    none.then(|| format!("\nModel {name:?} is empty."))
}
